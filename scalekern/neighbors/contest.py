"""Which approximate index does what was asked at the least counted work, on these very rows.

Codes are built and tuned first, since that is cheap. What the same lists would cost uncompressed
follows from where the true neighbours lie, without building them; where that is less, they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.neighbors.base import FloatArray
from scalekern.neighbors.centres import quantizer_of
from scalekern.neighbors.faiss_index import one_openmp_thread
from scalekern.neighbors.ivf import IVFIndex, IVFPQIndex, Lists, lists_for, projected
from scalekern.neighbors.tune import Goal, Recall, Sample, Tuned, tuned
from scalekern.neighbors.work import work_of


def contest(
    rows: FloatArray, metric: str, sample: Sample, goal: Goal, seed: int, n_jobs: int | None
) -> Tuned:
    """Return the index of least work that reaches the goal, tuned.

    Its table is that of all that were tried.
    """
    lists = Lists.of(
        rows, metric, lists_for(len(rows), IVFPQIndex.density), seed, n_jobs, IVFPQIndex.multiple
    )
    codes = tuned(IVFPQIndex.over(lists), sample, goal)
    if codes.reached and not _uncompressed_is_cheaper(codes, lists, sample, goal):
        return codes
    del lists
    plain = tuned(IVFIndex.build(rows, metric, seed, n_jobs), sample, goal)
    better = plain if (plain.reached, -plain.work) > (codes.reached, -codes.work) else codes
    return replace(better, table=codes.table + plain.table)


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
