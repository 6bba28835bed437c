"""The settings of least work at which an approximate index does what was asked.

What it does at each is measured (`trial`). Only counted work is compared, never seconds, so every
machine settles on the same settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from scalekern.engine.progress import step
from scalekern.neighbors.approximate import MOST_CANDIDATES, ApproximateIndex
from scalekern.neighbors.trial import Goal, Sample, Trial

_FIRST_CANDIDATES = 8
_MOST_LOST = 1e-3


@dataclass(frozen=True, eq=False)
class Tuned:
    """An index at the settings chosen, what it does there, and all settings tried."""

    index: ApproximateIndex
    sample: Sample
    trial: Trial
    reached: bool
    work: float
    table: list[dict[str, Any]]
    line: dict[str, Any]

    def meets(self, goal: Goal) -> bool:
        """Return whether it does what it must, but for the luck of the draw."""
        if self.trial.excess is not None:
            return self.reached
        return self.trial.recall.mean >= goal.recall


def tuned(index: ApproximateIndex, sample: Sample, goal: Goal) -> Tuned:
    """Return `index` at the settings of least work found to reach the goal.

    Where none does, the one of highest recall is taken. Each line of the table is a dict: "index",
    the knob's name ("nprobe", "efSearch" or "setting") with its value, "candidates" for each
    neighbour where it has codes, "recall", "excess_error" where that is asked for, and "work" of
    one query, as `work` counts it.
    """
    search = _Search(index, sample, goal)
    with step(f"tuning the index to {goal}"):
        search.run()
    chosen = search.best
    reached = chosen is not None
    if chosen is None:
        chosen = max(search.trials, key=lambda s: (search.trials[s].recall.mean, -search.work(s)))
    at = index.at(*chosen)
    return Tuned(
        at,
        sample,
        search.trials[chosen],
        reached,
        search.work(chosen),
        search.table(),
        search.line(chosen),
    )


def measured(index: ApproximateIndex, sample: Sample, goal: Goal) -> Tuned:
    """Return `index` at the settings it has, and what it does there."""
    search = _Search(index, sample, goal)
    settings = index.setting, index.more
    reached = search.reaches(settings)
    work, line = search.work(settings), search.line(settings)
    return Tuned(index, sample, search.trials[settings], reached, work, search.table(), line)


@step("finishing the index")
def completed(found: Tuned, goal: Goal, n_threads: int = 1, *, fixed: bool = False) -> Tuned:
    """Return a tuned index with the rows that were held out of it, and what it does now.

    The rows that come into a graph last may cut the few links to a cluster far from the others.
    So those are counted that find none of their neighbours any more: a larger setting finds them,
    unless the setting is `fixed`, and the recall is less by those that stay lost.
    """
    index, sample, recall = found.index, found.sample, found.trial.recall
    if index.is_whole:
        return found
    before = sample.lost(index)
    whole = index.completed(n_threads)

    def lost(setting: int) -> float:
        return max(0.0, sample.lost(whole.at(setting)) - before)

    most = _MOST_LOST if goal.error is not None else max(_MOST_LOST, recall.mean - goal.recall)
    setting: int | None = None
    if not fixed:
        setting = smallest_reaching(lambda s: lost(s) <= most, index.setting, whole.knob.largest)
    whole = whole.at(setting or index.setting)
    trial = replace(found.trial, recall=replace(recall, mean=recall.mean - lost(whole.setting)))
    work = whole.work(sample.k)
    knob = whole.knob.name or "setting"
    line = {**found.line, knob: whole.setting, "recall": trial.recall.mean, "work": round(work)}
    old = [{"index": index.name, knob: s}.items() for s in (index.setting, whole.setting)]
    table = [t for t in found.table if not any(one <= t.items() for one in old)] + [line]
    reached = found.reached and (fixed or setting is not None)
    return Tuned(whole, sample, trial, reached, work, sorted(table, key=lambda t: t["work"]), line)


class _Search:
    """The trials of one index; more candidates need fewer probes, and the other way round."""

    def __init__(self, index: ApproximateIndex, sample: Sample, goal: Goal) -> None:
        self._index, self._sample, self._goal = index, sample, goal
        self.trials: dict[tuple[int, int], Trial] = {}
        self.best: tuple[int, int] | None = None

    def work(self, settings: tuple[int, int]) -> float:
        return self._index.at(*settings).work(self._sample.k)

    def table(self) -> list[dict[str, Any]]:
        return [self.line(settings) for settings in sorted(self.trials)]

    def line(self, settings: tuple[int, int]) -> dict[str, Any]:
        trial, index = self.trials[settings], self._index
        return {
            "index": index.name,
            index.knob.name or "setting": settings[0],
            **({"candidates": settings[1]} if index.compressed else {}),
            "recall": trial.recall.mean,
            **({} if trial.excess is None else {"excess_error": trial.excess}),
            "work": round(self.work(settings)),
        }

    def run(self) -> None:
        if not self._index.compressed:
            self._try(1)
            return
        more = _FIRST_CANDIDATES
        self._try(more)
        while self.best is not None and more > 1 and self.best[1] == more:
            more //= 2
            self._try(more)
        more = _FIRST_CANDIDATES
        while more < MOST_CANDIDATES and (self.best is None or self.best[1] == more):
            more *= 2
            self._try(more)

    def _try(self, more: int) -> None:
        knob = self._index.knob
        largest = max(knob.smallest, self._dearest(more))
        if self.best is not None and self.work((knob.smallest, more)) >= self.work(self.best):
            return
        found = smallest_reaching(lambda s: self.reaches((s, more)), knob.smallest, largest)
        if found is not None and (
            self.best is None or self.work((found, more)) < self.work(self.best)
        ):
            self.best = (found, more)

    def _dearest(self, more: int) -> int:
        """Return the largest setting that costs no more than the best so far."""
        low, high = self._index.knob.smallest, self._index.knob.largest
        if self.best is None:
            return high
        limit = self.work(self.best)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.work((middle, more)) <= limit else (low, middle - 1)
        return low

    def reaches(self, settings: tuple[int, int]) -> bool:
        if settings not in self.trials:
            self.trials[settings] = self._sample.trial(self._index.at(*settings), self._goal)
        return self.trials[settings].reaches(self._goal)


def smallest_reaching(reaches: Callable[[int], bool], smallest: int, largest: int) -> int | None:
    """Double from `smallest` until it reaches, then bisect to within a sixteenth; None if never.

    Examples
    --------
    >>> smallest_reaching(lambda s: s >= 11, 1, 100), smallest_reaching(lambda s: False, 1, 9)
    (11, None)
    """
    low, high = smallest - 1, smallest
    while not reaches(high):
        if high >= largest:
            return None
        low, high = high, min(2 * high, largest)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        if middle < smallest:
            break
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
