"""What every engine promises: three ways to go over rows, with the same results on each.

It is separate so that statistics, solvers and estimators need not know who runs them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from scalekern.engine.statistic import Statistic
from scalekern.rows import Block, RowSource

S = TypeVar("S", bound=Statistic)
T = TypeVar("T")


class Engine(ABC):
    """Runs passes over rows.

    Attributes
    ----------
    n_threads : int
        How many blocks this process works on at a time.
    """

    n_threads: int

    @property
    @abstractmethod
    def local(self) -> Engine:
        """The engine of this process, for what is in its memory."""

    @abstractmethod
    def reduce(
        self,
        source: RowSource,
        make_statistic: Callable[[], S],
        what: str = "reading rows",
        max_rows: int | None = None,
    ) -> S:
        """Return the statistic of all rows of `source`.

        Parameters
        ----------
        source : RowSource
        make_statistic : callable
            Returns an empty statistic; called once for each block. It may be sent to another
            process, so it should hold no rows.
        what : str
            The name of the pass, for its progress bar.
        max_rows : int, optional
            Rows of a block, where a row costs more than reading it.
        """

    @abstractmethod
    def map_blocks(
        self,
        source: RowSource,
        function: Callable[[Block], Any],
        sink: Callable[[Block, Any], None],
        what: str = "predicting",
        max_rows: int | None = None,
    ) -> None:
        """Call `function` on every block, and `sink` with each block and its result, in order.

        `function` may be called in another process, so what it is to tell it returns; `sink` is
        called in this one, with a block that need not have its X any more.
        """

    @abstractmethod
    def scan(
        self,
        source: RowSource,
        step: Callable[[T, Any], T],
        state: T,
        *,
        seed: int,
        number: int = 0,
        batch_rows: int = 256,
        prepare: Callable[[Block], Any] | None = None,
        what: str = "learning",
    ) -> T:
        """Return the state after one step for each batch of rows, in an order drawn for the pass.

        What is not a sum runs here: one holder has the state, in this process. The order and the
        result do not depend on threads.

        Parameters
        ----------
        source : RowSource
        step : callable
            `step(state, prepared) -> state`, called in order.
        state : object
        seed : int
            Of the order, together with the number of the pass.
        number : int, default=0
            Of the pass.
        batch_rows : int, default=256
        prepare : callable, optional
            `prepare(block) -> prepared`, called ahead of the steps; by default the block itself.
        what : str
            The name of the pass, for its progress bar.
        """
