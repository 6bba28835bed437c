"""Choices made from data: the bandwidth, and which approximation to use."""

from scalekern.selection.bandwidth import select_kernel

__all__ = ["select_kernel"]
