"""The compiled libraries of this process: BLAS and its kernels, OpenMP, FAISS's instructions."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scalekern.checkup.findings import OK, PROBLEM, WARNING, Finding

CPUINFO = "/proc/cpuinfo"
CORE_VARIABLES = ("OPENBLAS_CORETYPE", "MKL_DEBUG_CPU_TYPE", "MKL_ENABLE_INSTRUCTIONS",
                  "BLIS_ARCH_TYPE", "NPY_DISABLE_CPU_FEATURES")  # fmt: skip
"""They choose kernels by hand, and are left over more often than meant."""
WIDTHS = {"none": 0, "avx2": 1, "avx512": 2}
KERNEL_WIDTHS = {
    "avx2": ("haswell", "zen", "excavator", "steamroller", "piledriver"),
    "avx512": ("skylakex", "cooperlake", "sapphirerapids", "icelake"),
}
NARROW = ("katmai", "coppermine", "northwood", "prescott", "banias", "atom", "core2", "penryn",
          "dunnington", "nehalem", "athlon", "opteron", "barcelona", "bobcat", "sandybridge",
          "bulldozer")  # fmt: skip
"""OpenBLAS's kernels of x86 without AVX2."""
AVX512 = ("avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw")
"""What OpenBLAS's and FAISS's AVX-512 kernels ask of a processor."""


def check_blas(loaded: Sequence[Mapping[str, Any]] | None = None) -> Iterator[Finding]:
    """Yield each BLAS with its kernels and threads, and whether several get in each other's way."""
    libraries = _loaded() if loaded is None else loaded
    blas = [lib for lib in libraries if lib.get("user_api") == "blas"]
    for lib in blas:
        yield _blas(lib)
    if not blas:
        yield Finding(
            WARNING, "BLAS", "none that threadpoolctl knows, so its threads cannot be limited",
            "install NumPy's own wheels: pip install numpy",
        )  # fmt: skip
    yield from _openmp([lib for lib in libraries if lib.get("user_api") == "openmp"])


def check_core_variables(environment: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Yield variables that force kernels for another processor."""
    values = os.environ if environment is None else environment
    there = {name: values[name] for name in CORE_VARIABLES if values.get(name)}
    if not there:
        yield Finding(OK, "kernel variables", "none set")
    for name, value in there.items():
        narrow = _width_of(value)
        found, slow = f"{name}={value}", False
        if narrow is not None and WIDTHS[narrow] < WIDTHS[_widest()]:
            slow = True
            found += (
                f" forces {named(narrow)} on a processor with {named(_widest())}: half the speed"
            )
        yield Finding(
            PROBLEM if slow else WARNING, "kernel variables", found,
            f"unset {name} before Python starts",
        )  # fmt: skip


def check_faiss() -> Iterator[Finding]:
    """Yield the instructions that FAISS uses, against those that there are."""
    try:
        import faiss
    except ImportError as error:
        cure = "pip install --force-reinstall faiss-cpu"
        yield Finding(PROBLEM, "FAISS", f"cannot be imported: {error}", cure)
        return
    options = str(faiss.get_compile_options()).upper()
    used = "avx512" if "AVX512" in options else "avx2" if "AVX2" in options else "none"
    yield faiss_finding(used, faiss.__version__)


def faiss_finding(used: str, version: str) -> Finding:
    """Return what to say of a FAISS that uses the instructions `used`."""
    there = _widest()
    found = f"{version}, {named(used)}"
    if WIDTHS[used] < WIDTHS["avx2"] <= WIDTHS[there]:
        cure = "unset FAISS_OPT_LEVEL if it is set; else pip install --force-reinstall faiss-cpu"
        return Finding(PROBLEM, "FAISS", f"{found}; the processor has {named(there)}", cure)
    return Finding(OK, "FAISS", found)


def named(width: str) -> str:
    """Return instructions of a width in words."""
    return {"none": "generic instructions", "avx2": "AVX2", "avx512": "AVX-512"}[width]


def cpu_flags() -> set[str]:
    """Return the processor's features as Linux names them; none where that is not told."""
    try:
        text = Path(CPUINFO).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return set(match.group(1).split()) if match else set()


def _widest() -> str:
    flags = cpu_flags()
    if all(flag in flags for flag in AVX512):
        return "avx512"
    return "avx2" if "avx2" in flags else "none"


def _width_of(kernel: str) -> str | None:
    """Return the width of the instructions that a kernel's name stands for; None if unknown."""
    low = kernel.lower().replace("-", "").replace("_", "")
    for width, names in KERNEL_WIDTHS.items():
        if any(low.startswith(name) for name in names):
            return width
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return "none" if x86 and low.startswith(NARROW) else None


def _loaded() -> list[dict[str, Any]]:
    """Return the libraries of a process that has imported what fits import."""
    with suppress(ImportError):  # told of by the check of FAISS
        import faiss  # noqa: F401  (loads its own of both)
    import numpy  # noqa: F401, ICN001  (loads its BLAS)
    import sklearn.utils._openmp_helpers  # noqa: F401  (loads its OpenMP)
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().info())


def _blas(lib: Mapping[str, Any]) -> Finding:
    kernels = str(lib.get("architecture") or "unknown")
    threads = lib.get("num_threads")
    owner = Path(str(lib.get("filepath", ""))).parent.name.removesuffix(".libs") or "?"
    found = (
        f"{lib.get('internal_api')} {lib.get('version') or ''} of {owner}: {kernels} kernels, "
        f"{threads} thread{'' if threads == 1 else 's'}"
    )
    width = _width_of(kernels)
    if width is not None and WIDTHS[width] < WIDTHS[_widest()] and not _is_zen(kernels):
        cure = "unset OPENBLAS_CORETYPE if it is set; else upgrade: pip install -U numpy scipy"
        return Finding(PROBLEM, "BLAS", f"{found}; the processor has {named(_widest())}", cure)
    return Finding(OK, "BLAS", found)


def _is_zen(kernels: str) -> bool:
    # OpenBLAS gives every Zen the AVX2 kernels that suit most of them.
    return kernels.lower().startswith("zen")


def _openmp(libraries: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    families = {str(lib.get("prefix", "")) for lib in libraries}
    paths = [str(lib.get("filepath", "")) for lib in libraries]
    if {"libiomp5", "libomp"} <= families or {"libiomp", "libomp"} <= families:
        yield Finding(
            PROBLEM, "OpenMP", f"Intel's and LLVM's runtimes are both loaded: {', '.join(paths)}",
            "they can deadlock; install NumPy, SciPy and FAISS from one source, all pip or all "
            "conda",
        )  # fmt: skip
    elif len(families) > 1:
        named = ", ".join(sorted(families))
        yield Finding(
            WARNING, "OpenMP", f"{len(families)} runtimes are loaded: {named}",
            "each starts its own threads; install all packages from one source, pip or conda",
        )  # fmt: skip
    else:
        yield Finding(OK, "OpenMP", ", ".join(sorted(families)) or "not loaded")
