"""Which approximate index does what was asked at the least counted work, on these very rows.

Codes are built and tuned first, since that is cheap. What the same lists would cost uncompressed
follows from where the true neighbours lie, without building them; where that is less, they are. A
graph takes longest to build: it is tried on some of the rows, where it could be less work at all,
and built over all of them where it seems to be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.engine.limits import memory_budget
from scalekern.engine.progress import step
from scalekern.neighbors.base import FloatArray
from scalekern.neighbors.centres import quantizer_of
from scalekern.neighbors.faiss_index import one_openmp_thread
from scalekern.neighbors.hnsw import LINKS, HNSWIndex
from scalekern.neighbors.ivf import IVFIndex, IVFPQIndex, Lists, lists_for, projected
from scalekern.neighbors.knobs import NEW_SHARE, SMALLEST_EF_SEARCH
from scalekern.neighbors.trial import Goal, Recall, Sample, draw_sample
from scalekern.neighbors.tune import Tuned, tuned
from scalekern.neighbors.work import work_of

GRAPH_ROWS = 16_384
MARGIN = 0.8
"""A graph must seem to be less work by so much before it is built over all rows."""


@step("choosing the index")
def contest(
    rows: FloatArray,
    metric: str,
    sample: Sample,
    goal: Goal,
    seed: int,
    n_jobs: int | None,
    graph_threads: int = 1,
) -> Tuned:
    """Return the index of least work that reaches the goal, tuned.

    Its table is that of all that were tried.
    """
    n_lists, held = lists_for(len(rows), IVFPQIndex.density), sample.rows
    lists = Lists.of(rows, metric, n_lists, seed, n_jobs, IVFPQIndex.multiple, held)
    best = tuned(IVFPQIndex.over(lists), sample, goal)
    if not best.reached or _uncompressed_is_cheaper(best, lists, sample, goal):
        del lists
        uncompressed = IVFIndex.build(rows, metric, seed, n_jobs, held)
        best = _better(best, tuned(uncompressed, sample, goal))
    if _graph_is_cheaper(best, rows, metric, sample, goal, seed, n_jobs, graph_threads):
        graph = _tuned_graph(rows, metric, sample.k, goal, seed, n_jobs, graph_threads)
        best = _better(best, graph)
    return best


@step("trying a graph")
def _tuned_graph(
    rows: FloatArray,
    metric: str,
    k: int,
    goal: Goal,
    seed: int,
    n_jobs: int | None,
    threads: int,
) -> Tuned:
    apart = draw_sample(rows, metric, k, seed, n_jobs, apart=True)
    return tuned(HNSWIndex.build(rows, metric, threads, apart.rows), apart, goal)


def _better(one: Tuned, other: Tuned) -> Tuned:
    """Return the one that reaches the goal, at less work; and the table of both."""
    won = max(one, other, key=lambda found: (found.reached, -found.work))
    return replace(won, table=one.table + other.table)


def _graph_is_cheaper(
    best: Tuned,
    rows: FloatArray,
    metric: str,
    sample: Sample,
    goal: Goal,
    seed: int,
    n_jobs: int | None,
    threads: int,
) -> bool:
    """Return whether a graph seems to be less work, by one over some of the rows.

    The rows visited grow with the logarithm of those that there are.
    """
    n, d = rows.shape
    least = work_of("visit", NEW_SHARE * LINKS * max(sample.k, SMALLEST_EF_SEARCH), d)
    bytes_needed = n * (4 * d + 8 * LINKS)
    if goal.losses is not None or best.work < least or bytes_needed > memory_budget():
        return False
    some = np.sort(np.random.default_rng(seed).choice(n, min(n, GRAPH_ROWS), replace=False))
    few = np.ascontiguousarray(rows[some])
    tried = _tuned_graph(few, metric, sample.k, goal, seed, n_jobs, threads)
    return tried.reached and tried.work * np.log(n) / np.log(len(few)) < MARGIN * best.work


def _uncompressed_is_cheaper(codes: Tuned, lists: Lists, sample: Sample, goal: Goal) -> bool:
    """Return whether lists of rows as they are would do with less work.

    A true neighbour is found where its list is among those probed, so the whole curve follows from
    the rank of its list among the centres as the query sees them.
    """
    knob, d = codes.index.knob, lists.embedding.dimensions
    ranks = _ranks(lists, sample)
    target = goal.recall if goal.losses is None else codes.trial.recall.mean
    fixed = work_of("centre", knob.centres, d) + work_of("rows", 1, d)
    affordable = (codes.work - fixed) / work_of("row", knob.each, d)
    n_probes = int(affordable)
    return n_probes >= 1 and Recall.of(ranks < n_probes).reaches(target)


def _ranks(lists: Lists, sample: Sample) -> Any:
    """Return, of each true neighbour of the sample, how many centres are nearer than its own."""
    embed = lists.embedding.embed
    rows = lists.embedding.rows[sample.indices.ravel()]
    quantizer = quantizer_of(lists.centres)
    with one_openmp_thread():
        near = projected(lists.projection, embed(rows))
        own = quantizer.search(near, 1)[1].reshape(sample.indices.shape)
        queries = projected(lists.projection, lists.embedding.embed_queries(sample.queries))
        order = quantizer.search(queries, lists.n_lists)[1]
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(lists.n_lists)[None, :], axis=1)
    return np.take_along_axis(ranks, own, axis=1)
