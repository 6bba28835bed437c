"""Measurements against peers, side by side on this machine: `make bench`.

Each run is a process of its own, ours and the peer's in turn, so that a drifting machine hits both;
ratios are kept and not seconds.
"""
