"""An index over more rows than memory holds, built in a folder in one pass over them.

Rows and targets are written as they come, beside the code and the list of each row; the lists are
put together at the end. What is on disk is always the first so many rows, and how many is noted
after they are safe: a build that was killed is taken up where the note says. Only the codes are in
memory then, an eighth of a byte or less for each byte of the rows; the rows are mapped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekern.engine import ThreadEngine
from scalekern.engine.progress import step
from scalekern.neighbors.base import FloatArray
from scalekern.neighbors.build_folder import BuildFolder, Column
from scalekern.neighbors.centres import lists_of, quantizer_of
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import faiss_module, one_openmp_thread
from scalekern.neighbors.ivf import (
    TRAINING_ROWS_A_LIST,
    IVFPQIndex,
    Lists,
    lists_for,
    owning,
    projected,
)
from scalekern.neighbors.trial import held_rows
from scalekern.rows import Block, RowSource
from scalekern.rows.base import dense_rows

TRAINED, INDEX, CENTER = "trained.faiss", "index.faiss", "center.npy"
KEPT = (INDEX, "rows.npy", "targets.npy")
VERSION = 2
BLOCK_ROWS = 16_384
SAFE_ROWS = 1 << 20
"""So many rows are written between two notes of how far a build is."""
_MOST_TRAINING_ROWS = 1 << 20
_SORTED_LISTS = 64


@dataclass(frozen=True)
class OnDisk:
    """What a folder holds when it is finished.

    Attributes
    ----------
    index : IVFPQIndex
        Not yet tuned; its rows are mapped from the folder.
    targets : float64 array of shape (n, n_outputs), mapped
    """

    index: IVFPQIndex
    targets: NDArray[np.float64]


def build_on_disk(
    source: RowSource, folder: Path, metric: str, seed: int, n_jobs: int | None = None
) -> OnDisk:
    """Build the index of all rows in a folder, take up an unfinished build, or open a finished one.

    Parameters
    ----------
    source : RowSource
        Of vectors. Its rows are read once, besides a sample of at most a million.
    folder : Path
        New, empty, or what an earlier call for the same rows left.
    metric : str
        "euclidean", "cosine" or "inner_product".
    seed : int
    n_jobs : int or None

    Raises
    ------
    InvalidInputError
        If the folder holds something else, or an index of other rows.
    ModelFormatError
        If a file in it was altered or truncated.
    """
    work = _Build(source, folder, metric, seed)
    work.folder.open(work.description())
    if work.folder.note.get("finished"):
        work.check()
    else:
        work.train(n_jobs)
        work.write_rows(ThreadEngine(n_jobs))
        work.assemble()
    return work.result()


class _Build:
    """The state of a build, in its folder."""

    def __init__(self, source: RowSource, folder: Path, metric: str, seed: int) -> None:
        self._source, self._metric, self._seed = source, metric, seed
        self.folder = BuildFolder(folder)
        kind = np.dtype(source.dtype)
        n, d, t = source.n_rows, source.n_features, source.n_outputs
        self._arrays: dict[str, tuple[np.dtype, tuple[int, ...]]] = {
            "rows": (kind, (n, d)),
            "targets": (np.dtype(np.float64), (n, t)),
        }

    def description(self) -> dict[str, Any]:
        """Return what an index is of; the first rows stand for all of them."""
        source = self._source
        first = next(iter(source.blocks(1_024)))
        digest = hashlib.sha256(np.ascontiguousarray(dense_rows(first.X)).tobytes())
        if first.y is not None:
            digest.update(np.ascontiguousarray(first.y).tobytes())
        return {
            "version": VERSION,
            "rows": source.n_rows,
            "columns": source.n_features,
            "outputs": source.n_outputs,
            "dtype": np.dtype(source.dtype).name,
            "metric": self._metric,
            "seed": self._seed,
            "first_rows": digest.hexdigest(),
        }

    @step("training the index")
    def train(self, n_jobs: int | None) -> None:
        """Choose centres and codes by a sample of rows, and write the empty index."""
        if "scale" in self.folder.note:
            return
        n = self._source.n_rows
        n_lists = lists_for(n, IVFPQIndex.density)
        sample = self._sample(min(n, TRAINING_ROWS_A_LIST * n_lists, _MOST_TRAINING_ROWS))
        multiple = IVFPQIndex.multiple
        lists = Lists.of(sample, self._metric, n_lists, self._seed, n_jobs, multiple)
        quantizer = quantizer_of(lists.centres)
        index = owning(IVFPQIndex.trained(quantizer, lists), quantizer, lists.projection)
        faiss_module().write_index(index, str(self.folder.path / TRAINED))
        embedding = lists.embedding
        np.save(self.folder.path / CENTER, embedding.center)
        self.folder.note |= {"scale": embedding.scale, "norm": self._norm(embedding)}
        self.folder.note_files(TRAINED, CENTER)

    def _norm(self, embedding: Embedding) -> float:
        """Return the length of the longest row, which a sample does not know."""
        if self._metric != "inner_product":
            return embedding.norm
        lengths = [
            float(np.sqrt(np.square(dense_rows(block.X), dtype=np.float64).sum(axis=1)).max())
            for block in self._source.blocks(BLOCK_ROWS)
        ]
        return max(lengths)

    def _sample(self, size: int) -> FloatArray:
        """Return about `size` rows of blocks drawn by seed, in the order of the rows."""
        n_blocks = -(-self._source.n_rows // BLOCK_ROWS)
        wanted = min(n_blocks, max(_SORTED_LISTS, -(-size // BLOCK_ROWS)))
        rng = np.random.default_rng(self._seed)
        numbers = np.sort(rng.choice(n_blocks, wanted, replace=False))
        share = size / min(self._source.n_rows, wanted * BLOCK_ROWS)
        parts = []
        held = held_rows(self._source.n_rows, self._source.n_features, self._seed)
        for block in self._source.runs(numbers, BLOCK_ROWS):
            X = dense_rows(block.X)
            few = np.sort(rng.choice(len(X), max(1, round(share * len(X))), replace=False))
            few = few[~np.isin(few + block.start, held)]
            parts.append(X[few])
        return np.concatenate(parts)

    def write_rows(self, engine: ThreadEngine) -> None:
        """Write rows, targets, lists and codes, from where an earlier build was."""
        trained = self._trained()
        inner, projection = _parts(trained)
        size = int(inner.code_size)
        arrays = self._arrays | {
            "lists": (np.dtype(np.int32), (self._source.n_rows,)),
            "codes": (np.dtype(np.uint8), (self._source.n_rows, size)),
        }
        embedding = self._embedding(np.empty((0, self._source.n_features), self._source.dtype))
        quantizer = faiss_module().downcast_index(inner.quantizer)
        first = self.folder.note["done"]
        files: dict[str, Column] = {}

        def encode(block: Block) -> dict[str, NDArray[Any]]:
            X = dense_rows(block.X)
            points = projected(projection, embedding.embed(X))
            labels = lists_of(quantizer, points)
            codes = np.empty((len(points), size), dtype=np.uint8)
            swig = faiss_module().swig_ptr
            with one_openmp_thread():
                inner.encode_vectors(len(points), swig(points), swig(labels), swig(codes))
            y = np.zeros((len(X), 0)) if block.y is None else block.y
            return {"rows": X, "targets": y, "lists": labels.astype(np.int32), "codes": codes}

        def write(_: Block, parts: dict[str, NDArray[Any]]) -> None:
            for name, part in parts.items():
                files[name].append(part)
            done = files["lists"].rows
            if done - self.folder.note["done"] >= SAFE_ROWS:
                self._safe(files, done)

        with ExitStack() as opened:
            for name, (dtype, shape) in arrays.items():
                column = Column(self.folder.path / f"{name}.npy", dtype, shape, first)
                files[name] = opened.enter_context(closing(column))
            rest = _Rest(self._source, first)
            engine.map_blocks(rest, encode, write, "indexing", BLOCK_ROWS)
            self._safe(files, files["lists"].rows)

    def _safe(self, files: dict[str, Column], done: int) -> None:
        for file in files.values():
            file.sync()
        self.folder.note["done"] = done
        self.folder.save()

    @step("finishing the index")
    def assemble(self) -> None:
        """Put the codes into their lists, and leave only what searches need."""
        faiss = faiss_module()
        inner, projection = _parts(self._trained())
        labels = np.load(self.folder.path / "lists.npy", mmap_mode="r")
        codes = np.load(self.folder.path / "codes.npy", mmap_mode="r")
        order = np.argsort(labels, kind="stable")
        ends = np.searchsorted(labels[order], np.arange(inner.nlist), side="right")
        start = 0
        for number, end in enumerate(ends.tolist()):
            ids = np.ascontiguousarray(order[start:end], dtype=np.int64)
            own = np.ascontiguousarray(codes[ids])
            if len(ids):
                inner.invlists.add_entries(
                    number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(own)
                )
            start = end
        inner.ntotal = len(labels)
        index: Any = faiss.IndexIVFPQFastScan(inner)
        if projection is not None:
            index = faiss.IndexPreTransform(projection, index)
        partial = self.folder.path / f"{INDEX}.partial"
        faiss.write_index(index, str(partial))
        partial.replace(self.folder.path / INDEX)
        self.folder.note["finished"] = True
        self.folder.note_files(*KEPT)
        for name in ("lists.npy", "codes.npy", TRAINED):
            (self.folder.path / name).unlink(missing_ok=True)

    @step("checking the index")
    def check(self) -> None:
        """Read every file of a finished index once, and refuse it if one was altered."""
        for name in KEPT:
            self.folder.unaltered(name)

    def result(self) -> OnDisk:
        """Open what was built."""
        rows, targets = (self._mapped(name) for name in ("rows", "targets"))
        index = faiss_module().read_index(str(self.folder.path / INDEX))
        return OnDisk(IVFPQIndex(self._embedding(rows), index), targets)

    def _mapped(self, name: str) -> NDArray[Any]:
        dtype, shape = self._arrays[name]
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.load(self.folder.path / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def _embedding(self, rows: FloatArray) -> Embedding:
        center = np.load(self.folder.unaltered(CENTER), allow_pickle=False)
        return Embedding(
            rows, self._metric, center, self.folder.note["scale"], self.folder.note["norm"]
        )

    def _trained(self) -> Any:
        return faiss_module().read_index(str(self.folder.unaltered(TRAINED)))


class _Rest(RowSource):
    """The rows of a source from a block on."""

    def __init__(self, source: RowSource, first: int) -> None:
        self._source, self._first = source, first
        self.n_rows = source.n_rows - first
        self.n_features, self.dtype = source.n_features, source.dtype
        self.n_outputs, self.in_memory = source.n_outputs, source.in_memory
        self.name = source.name

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the blocks that are still to be read."""
        if not self._first:
            yield from self._source.blocks(max_rows)
            return
        numbers = np.arange(self._first // max_rows, -(-self._source.n_rows // max_rows))
        yield from self._source.runs(numbers, max_rows)

    def select(self, names: Any) -> RowSource:
        """Return the rest of the rows with the features `names`."""
        return _Rest(self._source.select(names), self._first)


def _parts(index: Any) -> tuple[Any, Any]:
    """Return the index of lists and what comes before it, of an index as `owning` made it."""
    faiss = faiss_module()
    if not isinstance(index, faiss.IndexPreTransform):
        return index, None
    inner = faiss.downcast_index(index.index)
    inner.referenced_objects = [index]
    return inner, faiss.downcast_VectorTransform(index.chain.at(0))
