"""Whether one core multiplies matrices as fast as its kind should."""

from __future__ import annotations

from collections.abc import Iterator

from scalekern.checkup.findings import OK, PROBLEM, Finding
from scalekern.checkup.libraries import _widest, named

FLOPS_A_CYCLE = {"avx512": 32, "avx2": 16, "none": 4}
"""Of float64, with one fused multiply-add unit of AVX-512 (many have two), or two of AVX2."""
LOW_CLOCK = 2.0e9
"""Cycles a second that any processor of a server or a laptop reaches under load."""
SHARE = 0.35
"""Below this share of it something is wrong: other programs, or kernels of another processor."""


def check_products() -> Iterator[Finding]:
    """Yield the measured speed of matrix products on one core."""
    from scalekern.engine.machine import rates

    yield product_finding(rates()["product64"], rates()["product32"])


def product_finding(float64: float, float32: float) -> Finding:
    """Return what to say of so many operations a second."""
    width = _widest()
    least = SHARE * FLOPS_A_CYCLE[width] * LOW_CLOCK
    found = f"{float64 / 1e9:.0f} GFLOP/s per core in float64, {float32 / 1e9:.0f} in float32"
    if float64 < least:
        return Finding(
            PROBLEM, "matrix products",
            f"{found}; with {named(width)} at least {least / 1e9:.0f} is normal",
            "see BLAS and kernel variables above; if they are ok, other programs are using the "
            "cores",
        )  # fmt: skip
    return Finding(OK, "matrix products", found)
