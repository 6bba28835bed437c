"""scalekern.plan: what a fit would do, before anything is read, for a person to look at.

The counts are made a floor below (`planning`); here they become one object with seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import Any

from scalekern.engine.choose import crew_for
from scalekern.engine.cost import Crew, Step
from scalekern.engine.limits import memory_budget
from scalekern.engine.machine import rates
from scalekern.engine.plan import chunk_rows
from scalekern.estimators import SimilarityRegressor
from scalekern.features.parameters import tile_dtype_of
from scalekern.planning import Limit, Outlook, foresee
from scalekern.report.table import bytes_text
from scalekern.rows import RowSource
from scalekern.rows.outline import outline_of
from scalekern.storage.registry import steps_of


@dataclass(frozen=True)
class Plan:
    """What a fit would do.

    Attributes
    ----------
    model : str
        The estimator's class.
    rows, columns, outputs : int
        Columns as the model sees them; the most that there will be.
    dtype : str
        Of the tiles.
    approximation, why, solver : str
        What would run, and the reason.
    steps, predict_steps : tuple of Step
        Of the fit, and of predictions for as many rows, each with its rows, blocks and work.
    model_bytes : int
        Of the arrays that the model would predict with; the most that there will be.
    explain_bytes : int
        Of those that it would keep on top, to explain its predictions; the most again.
    memory_bytes : int
        What the fit would hold at its peak, rows in memory included where it gathers them.
    budget_bytes : int
        What `memory_limit`, or what is free, allows.
    fits : bool
        Whether the fit would start; if not, `problem` is its error and `remedy` what would fit.
    problem, remedy : str
    crew : Crew
        Who would run it: threads, and the workers of a Dask cluster.
    rates : dict of str to float
        What a core of this machine was measured to do in a second.
    notes : tuple of str
        What is not known before the rows are read.
    """

    model: str
    rows: int
    columns: int
    outputs: int
    dtype: str
    approximation: str
    why: str
    solver: str
    steps: tuple[Step, ...]
    predict_steps: tuple[Step, ...]
    model_bytes: int
    explain_bytes: int
    memory_bytes: int
    budget_bytes: int
    fits: bool
    problem: str
    remedy: str
    crew: Crew
    rates: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def passes(self) -> tuple[Step, ...]:
        """The steps that read the rows."""
        return tuple(step for step in self.steps if step.rows)

    @property
    def read_bytes(self) -> int:
        """Bytes that the fit reads from files."""
        return sum(step.read_bytes for step in self.steps)

    @property
    def seconds(self) -> float | None:
        """Estimated seconds of the fit; None where a step's are not known."""
        return self._seconds(self.steps)

    @property
    def predict_seconds(self) -> float | None:
        """Estimated seconds of predictions for as many rows; None where not known."""
        return self._seconds(self.predict_steps)

    def _seconds(self, steps: tuple[Step, ...]) -> float | None:
        if not all(step.known for step in steps):
            return None
        return sum(step.seconds(self.rates, self.crew) for step in steps)

    @property
    def merged_bytes(self) -> int:
        """Bytes that the blocks of all passes come to, which are merged."""
        return sum(step.merged_bytes for step in self.steps)

    @property
    def graph_tasks(self) -> int:
        """Tasks of all passes, if Dask runs them."""
        return sum(step.graph_tasks for step in self.steps)

    @property
    def n_threads(self) -> int:
        """Blocks that are worked on at a time."""
        return self.crew.threads

    def on_workers(self, workers: int, threads_per_worker: int = 1) -> Plan:
        """Return what the same fit would be on a Dask cluster of so many workers like this machine.

        Examples
        --------
        >>> import numpy as np, scalekern
        >>> found = scalekern.plan(np.empty((200_000, 4))).on_workers(8)
        >>> found.crew.threads, found.graph_tasks
        (8, 114)
        """
        crew = Crew(workers * threads_per_worker, self.crew.local_threads, workers)
        return replace(self, crew=crew)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return own | {
            "steps": [self._described(step) for step in self.steps],
            "predict_steps": [self._described(step) for step in self.predict_steps],
            "notes": list(self.notes),
            "passes": len(self.passes),
            "crew": vars(self.crew),
            "n_threads": self.n_threads,
            "read_bytes": self.read_bytes,
            "merged_bytes": self.merged_bytes,
            "graph_tasks": self.graph_tasks,
            "seconds": self.seconds,
            "predict_seconds": self.predict_seconds,
        }

    def _described(self, step: Step) -> dict[str, Any]:
        return step.to_dict() | {"seconds": self._seconds((step,))}

    def __str__(self) -> str:
        facts = [f"  {name:<14}{text}" for name, text in self._facts()]
        cells = [("step", "rows", "blocks", "reads", "seconds", "for"), *self._cells()]
        widths = [max(len(row[j]) for row in cells) for j in range(5)]
        table = [
            "  "
            + row[0].ljust(widths[0])
            + "".join(row[j].rjust(widths[j] + 2) for j in range(1, 5))
            + "  "
            + row[5]
            for row in cells
        ]
        end = [f"Note: {note}." for note in self.notes]
        return "\n".join([self._title(), *facts, "", *map(str.rstrip, table), *end])

    def _repr_html_(self) -> str:
        facts = "".join(
            f"<tr><th align=left>{escape(name)}</th><td align=left>{escape(text)}</td></tr>"
            for name, text in self._facts()
        )
        head = "".join(f"<th>{name}</th>" for name in ("step", "rows", "blocks", "reads", "seconds",
                                                       "for"))  # fmt: skip
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        notes = "".join(f"<p>Note: {escape(note)}.</p>" for note in self.notes)
        return (
            f"<p><b>{escape(self._title())}</b></p><table>{facts}</table>"
            f"<table><tr>{head}</tr>{body}</table>{notes}"
        )

    def _title(self) -> str:
        of = f" of {self.columns:,} columns" if self.columns else " of objects"
        return f"{self.model} on {self.rows:,} rows{of}; nothing has been fitted"

    def _facts(self) -> list[tuple[str, str]]:
        solver = f", solver {self.solver}" if self.solver else ""
        budget, threads = bytes_text(self.budget_bytes), self.n_threads
        predicting = (
            f"{_text(self.predict_seconds)} to predict as many rows, on {threads} "
            f"thread{'' if threads == 1 else 's'}"
        )
        model = f"at most {bytes_text(self.model_bytes)}"
        if self.explain_bytes:
            model += f", plus {bytes_text(self.explain_bytes)} to explain its predictions"
        workers = self.crew.workers
        engine = (
            f"{workers} Dask worker{'' if workers == 1 else 's'}: {self.graph_tasks:,} tasks, "
            f"{bytes_text(self.merged_bytes)} of sums merged"
        )
        facts = [
            ("would run", f"{self.approximation} ({self.why}){solver}, {self.dtype} tiles"),
            ("passes", f"{len(self.passes)} over the rows, {bytes_text(self.read_bytes)} read"),
            ("model", model),
            (
                "memory",
                f"{bytes_text(self.memory_bytes)} at the peak, of {budget} that a fit may use",
            ),
            *([("engine", engine)] if workers else []),
            ("seconds", f"about {_text(self.seconds)} to fit, {predicting}"),
        ]
        refused = [("refused", self.problem), ("what to do", self.remedy)]
        return facts if self.fits else facts + refused

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                step.what,
                f"{step.rows:,}" if step.rows else "",
                f"{step.tasks:,}",
                bytes_text(step.read_bytes) if step.read_bytes else "",
                _text(self._seconds((step,))),
                step.why or "as many rows again",
            )
            for step in (*self.steps, *self.predict_steps)
        ]


def plan(X: Any, y: Any = None, *, estimator: Any = None) -> Plan:
    """Say what a fit would do, and how long it would take, without doing it.

    Only shapes, types and the footers of Parquet files are looked at. The choices, the memory and
    the passes are those that `fit` goes by; seconds come from counted work and a measurement of
    this machine of about half a second, once a process, and are not precise: fits took 0.65 to
    1.4 times as long as planned, k-NN and local models 0.5 to 1.7 times, predictions 0.5 to 1.8
    times (`python -m benchmarks.plan`).

    Parameters
    ----------
    X : array, sparse matrix, frame, Dask array of known chunks, rows, or n objects
        CSV and NumPy files have been read by the time that they are rows.
    y : array of shape (n,) or (n, n_outputs), optional
        One output is assumed without it.
    estimator : estimator or pipeline, optional
        `SimilarityRegressor()` by default.

    Returns
    -------
    Plan

    Raises
    ------
    InvalidInputError
        For bad values of parameters.
    UnsupportedError
        For an estimator that cannot be planned, or a combination that does not exist.

    Examples
    --------
    >>> import numpy as np, scalekern
    >>> found = scalekern.plan(np.empty((50_000, 4)))
    >>> found.approximation, len(found.passes), found.model_bytes
    ('exact', 2, 2009360)
    """
    model = SimilarityRegressor() if estimator is None else estimator
    source = outline_of(X, y)
    found, last = foresee(model, source)
    end = steps_of(model)[-1]
    crew = crew_for(source, getattr(end, "n_jobs", None))
    budget = memory_budget()
    over = [limit for limit in found.limits if limit.need.bytes > budget]
    return Plan(
        model=type(end).__name__,
        rows=source.n_rows,
        columns=last.n_features,
        outputs=max(1, last.n_outputs),
        dtype="float64" if found.name in ("exact", "local") else str(tile_dtype_of(last)),
        approximation=found.name,
        why=found.why,
        solver=found.solver,
        steps=tuple(found.steps),
        predict_steps=tuple(found.predict),
        model_bytes=found.model_bytes,
        explain_bytes=found.explain_bytes,
        memory_bytes=_peak(found, last, crew.local_threads),
        budget_bytes=budget,
        fits=not over,
        problem=over[0].need.refusal(budget) if over else "",
        remedy="; ".join(_remedy(limit, budget) for limit in over),
        crew=crew,
        rates=rates(),
        notes=tuple(found.notes),
    )


def _peak(found: Outlook, source: RowSource, n_threads: int) -> int:
    """Return the largest need, with the rows that are held and the chunks in flight."""
    row_bytes = max(1, source.n_features) * 8
    chunks = (n_threads + 1) * chunk_rows(source.n_rows, row_bytes) * row_bytes
    needs = [limit.need.bytes for limit in found.limits]
    return max(needs, default=0) + found.held_bytes + min(chunks, source.n_rows * row_bytes)


def _remedy(limit: Limit, budget: int) -> str:
    largest = limit.largest(budget)
    if not largest:
        return limit.need.cure
    return f"up to {largest:,} {limit.name}; {limit.need.cure}"


def _text(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return "<0.01" if seconds < 0.01 else f"{seconds:.3g}"
