"""How a pass over rows is run: statistics that add up, threads, memory and progress."""

from scalekern.engine.base import Engine
from scalekern.engine.choose import engine_for
from scalekern.engine.limits import available_cores, memory_budget
from scalekern.engine.moments import Moments
from scalekern.engine.plan import Need, chunk_rows, require_memory
from scalekern.engine.sample import HashSample, hash_ids
from scalekern.engine.statistic import Statistic, Sums, Together, Walk
from scalekern.engine.threads import ThreadEngine

__all__ = [
    "Engine",
    "HashSample",
    "Moments",
    "Need",
    "Statistic",
    "Sums",
    "ThreadEngine",
    "Together",
    "Walk",
    "available_cores",
    "chunk_rows",
    "engine_for",
    "hash_ids",
    "memory_budget",
    "require_memory",
]
