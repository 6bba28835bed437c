"""One run over the parts of a job that are missing, and what is written down of it.

Whatever stops it, the log says what became of each part, and the manifest never says more than is
there.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from scalekern._config import get_config
from scalekern.engine.cluster import current_client
from scalekern.engine.progress import progress_bar
from scalekern.engine.tasks import each_finished
from scalekern.errors import ClusterError, InvalidInputError
from scalekern.scoring.job import DONE, FAILED, NO_MODEL, Job, Outcome, score_part
from scalekern.scoring.manifest import Found, write_manifest
from scalekern.scoring.models import give_models
from scalekern.scoring.parts import Part
from scalekern.scoring.summary import Scoring

ATTEMPTS = 5
SKIPPED = "skipped"
_log = logging.getLogger(__name__)
_NO_MODEL = "its host has no copy of the model; was the stored model replaced meanwhile?"


class Run:
    """One run over the parts that are missing.

    Parameters
    ----------
    job : Job
    parts : list of Part
        All of them.
    found : dict
        What is known of those that are done.
    settings : dict
        For the log.
    output : str
        What the user calls it.
    start : float
        When it began, by `time.perf_counter`.
    """

    def __init__(
        self,
        job: Job,
        parts: list[Part],
        found: Found,
        settings: dict[str, Any],
        output: str,
        start: float,
    ) -> None:
        self._job, self._parts, self._found, self._start = job, parts, found, start
        self._settings, self._outcomes = settings, dict[str, Outcome]()
        self._output = output
        self._began = datetime.now(UTC)

    def go(self, stale: Sequence[str], max_failures: int, n_jobs: int | None) -> Scoring:
        """Remove what is stale, do what is missing, and write down what became of it."""
        missing = [part for part in self._parts if part.name not in self._found]
        if missing:
            self._write_manifest(complete=False)
        for name in stale:
            self._job.output.delete(name)
        try:
            self._do(missing, max_failures, n_jobs)
            self._look_for_parts()
        except ClusterError as error:
            raise ClusterError(
                f"{error}; repeat with --resume to make the parts that are missing"
            ) from error
        finally:
            self._write_down()
        return self._scoring()

    def _write_down(self) -> None:
        """Write the log and the manifest; where even they have no place, only success needs them.

        The manifest that is there says already that the output is not complete.
        """
        scoring = self._scoring()
        try:
            self._write_log(scoring)
            self._write_manifest(complete=scoring.complete)
        except (OSError, InvalidInputError) as error:
            if scoring.complete:
                raise InvalidInputError(
                    f"all parts are in {scoring.output}, but its manifest cannot be written "
                    f"({error}); free some space and repeat with --resume"
                ) from error
            _log.warning("the log of this run cannot be written: %s", error)

    def _do(self, missing: list[Part], max_failures: int, n_jobs: int | None) -> None:
        failures = 0
        with progress_bar("predicting parts", len(missing), least=1, unit="parts") as advance:
            for part, outcome in self._results(missing, n_jobs):
                self._outcomes[part.name] = outcome
                advance(1)
                failures += outcome.state == FAILED
                if failures > max_failures:
                    return

    def _look_for_parts(self) -> None:
        """Take back what is said to be done and is not there: a worker may have its own disk."""
        for name, outcome in self._outcomes.items():
            place = self._job.output.at(name)
            if outcome.state == DONE and isinstance(place, Path) and not place.is_file():
                error = (
                    f"worker {outcome.worker} wrote it to {place} on a disk that is not seen from "
                    "here; give a folder that all share, or the URL of a store"
                )
                self._outcomes[name] = replace(outcome, state=FAILED, rows=0, error=error)

    def _results(self, parts: list[Part], n_jobs: int | None) -> Iterator[tuple[Part, Outcome]]:
        """Yield what becomes of each part; hosts without the model get it, and try again."""
        client = current_client() if get_config().engine == "dask" else None
        function, waiting = partial(score_part, self._job), parts
        for attempt in range(1, ATTEMPTS + 1):
            if not waiting:
                return
            if client is not None:
                give_models(client, self._job.model)
            again: list[Part] = []
            for part, result in each_finished(function, waiting, n_jobs):
                outcome = result if isinstance(result, Outcome) else _of_error(result)
                if outcome.state != NO_MODEL:
                    yield part, outcome
                elif attempt < ATTEMPTS:
                    again.append(part)
                else:
                    yield part, replace(outcome, state=FAILED, error=_NO_MODEL)
            waiting = again

    def _scoring(self) -> Scoring:
        parts = [self._record(part) for part in self._parts]
        complete = all(part["state"] in (DONE, SKIPPED) for part in parts)
        seconds = time.perf_counter() - self._start
        settings = {
            "started": self._began.isoformat(timespec="seconds"),
            "model": {"path": self._job.model.path, "sha256": self._job.model.seal},
            **self._settings,
        }
        return Scoring(self._output, complete, seconds, parts, settings)

    def _record(self, part: Part) -> dict[str, Any]:
        own = {"name": part.name, "input": str(part.view)}
        if part.name in self._found:
            n_rows, size, _ = self._found[part.name]
            return own | {"state": SKIPPED, "rows": n_rows, "bytes": size, "seconds": 0.0}
        outcome = self._outcomes.get(part.name, Outcome("not tried"))
        record = {name: getattr(outcome, name) for name in ("state", "rows", "bytes", "seconds")}
        more = {name: getattr(outcome, name) for name in ("worker", "error")}
        return own | record | {name: text for name, text in more.items() if text}

    def _write_manifest(self, *, complete: bool) -> None:
        scoring = self._scoring()
        there = [part for part in scoring.parts if part["state"] in (DONE, SKIPPED)]
        write_manifest(self._job.output, {
            "complete": complete,
            "model": scoring.settings["model"],
            "options": self._settings,
            "columns": self._job.expected,
            "rows_in": sum(part["rows"] for part in there),
            "rows_out": sum(part["rows"] for part in there),
            "parts": [
                {
                    "name": part["name"],
                    "input": part["input"],
                    "fingerprint": self._fingerprint(part["name"]),
                    "rows_in": part["rows"],
                    "rows_out": part["rows"],
                    "bytes": part["bytes"],
                }
                for part in there
            ],
            "failed": [
                {name: part[name] for name in ("name", "input", "error")}
                for part in scoring.of_state(FAILED)
            ],
        })  # fmt: skip

    def _fingerprint(self, name: str) -> str:
        outcome = self._outcomes.get(name)
        return self._found[name][2] if outcome is None else outcome.fingerprint

    def _write_log(self, scoring: Scoring) -> None:
        name = f"run-{self._began:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}.json"
        text = json.dumps(scoring.to_dict(), indent=1) + "\n"
        self._job.output.write(f"_scalekern/{name}", text.encode())


def _of_error(error: Exception) -> Outcome:
    """Return what became of a part whose task did not even give an outcome."""
    known = isinstance(error, ClusterError)
    text = str(error) if known else f"its task was lost ({type(error).__name__}: {error})"
    return Outcome(FAILED, error=" ".join(text.split()))
