"""Input that is broken in ways nobody thought of: an answer, or one clear line; never a crash.

Model directories sealed by someone who knows how, Parquet and CSV files with wrong bytes, and
command lines of words that commands know, in any order.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.base import is_classifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import scalekern as sk
from scalekern.cli import main
from scalekern.errors import ScalekernError, UnsupportedError
from scalekern.storage.document import seal

FUZZ = settings(
    deadline=None, derandomize=True, max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 2))
Y = X[:, 0] * X[:, 1]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=4,
)
FRAME = pd.DataFrame({"a": X[:, 0], "b": np.where(Y > 0, "up", "down"), "c": X[:, 1]})
TEXTS = ["".join(RNG.choice(list("acgt"), size=6)) for _ in range(40)]
SMALL = {"gamma": 1.0, "alpha": 0.1, "n_components": 5, "n_neighbors": 4, "random_state": 0}
APPROXIMATIONS = ("exact", "nystroem", "fourier", "local", "nystroem+local")
TAGGED = [
    {"__array__": [1, 2], "dtype": "float64"}, {"__array__": [[1], [2]], "dtype": "O"},
    {"__array__": [], "dtype": "U999999999"}, {"__tuple__": [1]}, {"__dict__": {"a": 1}},
    {"__object__": "RBF", "params": {"gamma": 1.0}},
    {"__object__": "LinearRegressor", "params": {}},
    {"__callable__": "f", "parameter": "kernel"}, "rbf", "exact", "fourier", "local", "hnsw",
]  # fmt: skip
FORGED = st.one_of(st.sampled_from(TAGGED), JSON)
MODELS = {
    name: (sk.SimilarityRegressor("rbf", approximation=name, **SMALL), X)
    for name in APPROXIMATIONS
} | {
    "learned": (sk.SimilarityRegressor("rbf", gamma=1.0, alpha=0.1, metric="learned"), X),
    "polynomial": (sk.SimilarityRegressor("polynomial", approximation="fourier", **SMALL), X),
    "sparse": (sk.SimilarityRegressor("rbf", gamma=1.0, alpha=0.1), csr_matrix(X)),
    "texts": (sk.SimilarityRegressor("edit_distance", gamma=1.0, alpha=0.1), TEXTS),
    "linear": (sk.LinearRegressor(), X),
    "knn": (sk.KNeighborsRegressor(2), X),
    "words": (sk.KNeighborsRegressor(2, metric="levenshtein"), TEXTS),
    "hnsw": (sk.KNeighborsRegressor(2, algorithm="hnsw", random_state=0), X),
    "ivf": (sk.KNeighborsClassifier(2, algorithm="ivf", random_state=0), X),
    "classifier": (sk.SimilarityClassifier(gamma=1.0, alpha=0.1), X),
    "log loss": (sk.SimilarityClassifier(loss="log_loss", n_components=5, random_state=0), X),
    "prepared": (make_pipeline(sk.RowPreparer("minmax", missing="mean", categories="target"),
                               sk.KNeighborsRegressor(2)), FRAME),
    "scaled": (make_pipeline(StandardScaler(), sk.LinearRegressor()), X),
}  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A stored model of each kind, with its files."""
    found = {}
    for name, (model, rows) in MODELS.items():
        folder = tmp_path_factory.mktemp("stored") / "model"
        model.fit(rows, (Y > 0).astype(int) if is_classifier(model) else Y)
        sk.save(model, folder)
        found[name] = folder, {file.name: file.read_bytes() for file in folder.iterdir()}
    return found


def used(folder, rows):
    """Load a model and do with it what one does; answers are finite, of one value a row."""
    model = sk.load(folder)
    some = rows.iloc[:5] if hasattr(rows, "iloc") else rows[:5]
    found = model.predict(some)
    assert len(found) == 5
    assert found.dtype.kind not in "fc" or np.isfinite(found).all()
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if last is model and getattr(last, "loss", "") != "log_loss":
        with contextlib.suppress(UnsupportedError):
            last.explain(some)
    if hasattr(last, "kneighbors"):
        repr(last)


def restored(folder, files):
    for name, data in files.items():
        (folder / name).write_bytes(data)


def refusal(function, *arguments, **options):
    """Return the message of an error of the package; None for none. Others are mistakes."""
    try:
        function(*arguments, **options)
    except ScalekernError as error:
        return str(error)
    return None


def leaves(value, path=()):
    """Yield the path of everything within a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, (dict, list)):
            yield from leaves(inner, (*path, key))


@pytest.mark.parametrize("name", MODELS)
@settings(FUZZ, max_examples=40)
@given(data=st.data())
def test_a_forged_description_is_loaded_or_refused(name, data, stored):
    folder, files = stored[name]
    document = json.loads(files["model.json"])
    *way, last = data.draw(st.sampled_from(list(leaves(document))))
    part = document
    for key in way:
        part = part[key]
    if data.draw(st.booleans()) and isinstance(part, dict):
        del part[last]
    else:
        part[last] = data.draw(FORGED)
    document["sha256"] = seal(document)
    (folder / "model.json").write_text(json.dumps(document))
    try:
        said = refusal(used, folder, MODELS[name][1])
    finally:
        restored(folder, files)
    assert said != ""


def entries(value):
    """Yield the entries of files within a description's arrays."""
    for inner in value.values():
        if isinstance(inner, dict):
            yield from [inner] if "file" in inner else entries(inner)


CHANGES = [
    lambda a: a[:-1], lambda a: np.concatenate([a, a]), lambda a: a.T, np.ravel,
    lambda a: a[..., None], lambda a: a[:0], lambda a: a.astype("U3"), lambda a: np.zeros((2, 2)),
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, np.nan, a),
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, 10**6, a),
    lambda a: np.where(np.arange(a.size).reshape(a.shape) == 0, -1, a),
]  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@settings(FUZZ, max_examples=40)
@given(data=st.data())
def test_arrays_of_other_shapes_kinds_and_values_are_refused(name, data, stored):
    """Their size and checksum are right, so that only what they say can be wrong."""
    folder, files = stored[name]
    document = json.loads(files["model.json"])
    there = [entry for step in document["steps"] for entry in entries(step["arrays"])]
    entry, other = data.draw(st.sampled_from(there)), data.draw(st.sampled_from(there))
    if data.draw(st.integers(0, 3)) == 0:
        mine = dict(entry)
        entry.clear()
        entry.update(other)
        other.clear()
        other.update(mine)
    elif entry["file"].endswith(".npy"):
        old = np.load(io.BytesIO(files[entry["file"]]))
        try:
            new = np.ascontiguousarray(data.draw(st.sampled_from(CHANGES))(old))
        except (TypeError, ValueError, IndexError):
            return
        stream = io.BytesIO()
        np.save(stream, new, allow_pickle=False)
        rewritten(folder, entry, stream.getvalue(), shape=list(new.shape), dtype=new.dtype.str)
    else:
        bent = bytearray(files[entry["file"]])
        for _ in range(data.draw(st.integers(1, 3))):
            bent[data.draw(st.integers(0, min(len(bent), 400) - 1))] = data.draw(
                st.integers(0, 255)
            )
        rewritten(folder, entry, bytes(bent))
    document["sha256"] = seal(document)
    (folder / "model.json").write_text(json.dumps(document))
    try:
        said = refusal(used, folder, MODELS[name][1])
    finally:
        restored(folder, files)
    assert said != ""


def rewritten(folder, entry, content, **more):
    (folder / entry["file"]).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    entry |= {"bytes": len(content), "sha256": digest} | more


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": ["u", "v"] * 20, "y": Y})
    folder = tmp_path_factory.mktemp("parquet")
    pq.write_table(table, folder / "0.parquet", row_group_size=16)
    pq.write_table(table, folder / "1.parquet", row_group_size=16)
    return folder, (folder / "1.parquet").read_bytes()


def read_all(path, **options):
    """Read every row as a fit would; return how many there were."""
    source = sk.rows(path, target="y", **options)
    return sum(len(block) for block in source.blocks(7))


@FUZZ
@given(data=st.data())
def test_a_broken_part_is_refused_by_name_or_read(data, parquet):
    folder, good = parquet
    broken = bytearray(good)
    if data.draw(st.booleans()):
        del broken[data.draw(st.integers(0, len(good) - 1)) :]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            # The footer says what everything else means.
            place = data.draw(
                st.integers(0, len(good) - 1) | st.integers(len(good) - 900, len(good) - 1)
            )
            broken[place] = data.draw(st.integers(0, 255))
    (folder / "1.parquet").write_bytes(bytes(broken))
    said = refusal(read_all, folder, features=["a", "b"])
    assert said is None or "parquet" in said


CELLS = st.sampled_from(
    ["1", "-2.5", "", "NA", "nan", "inf", "x", '"', '"a,b"', " 3", "1e400", "é"]
)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=6)


@FUZZ
@given(lines=LINES, raw=st.booleans(), end=st.sampled_from(["\n", "\r\n", "\r", ""]))
@example(lines=["1,2", "3"], raw=True, end="\n")
def test_any_csv_is_read_or_refused(lines, raw, end, tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes(("a,b,y\n" + end.join(lines)).encode())
    said = refusal(read_all, file, raw=raw)
    assert said is None or "x.csv" in said


@FUZZ
@given(content=st.binary(max_size=60))
@example(content=b"\x80\r")  # a header that is no text
def test_any_bytes_are_refused_as_a_table_and_as_an_array(content, tmp_path):
    for name in ("x.csv", "x.npy", "x.npz", "x.parquet", "x.csv.gz"):
        (tmp_path / name).write_bytes(content)
        said = refusal(read_all, tmp_path / name)
        assert said is None or name in said


WORDS = [
    "compare", "fit", "predict", "neighbors", "plan", "doctor", "completion", "demo", "--help",
    "--target", "y", "nothing", "--features", "a", "a,b", "--drop", "b", "--weight", "--key",
    "--models", "linear", "knn", "--model", "--gamma", "-1", "nan", "1", "0", "--alpha", "loo",
    "--n-components", "5", "--n-neighbors", "1000000", "--missing", "mean", "--categories",
    "--test-size", "1,x", "--row", "3", "--json", "-", "--quiet", "-o", "--scaler",
    "minmax", "--kernel", "cosine", "--random-state", "--memory-limit", "--coverage", "0.9", "{x}",
    "{csv}", "{folder}", "{missing}", "{out}", "--", "-",
]  # fmt: skip


BEGUN = [
    ["compare", "{x}", "--target", "y", "--models", "linear"],
    ["compare", "{csv}", "--target", "y", "--models", "knn"],
    ["fit", "{x}", "--target", "y", "--model", "knn", "-o", "{out}"],
    ["fit", "{x}", "--target", "y", "--model", "exact", "-o", "{out}"],
    ["plan", "{x}", "--target", "y"],
    ["predict", "{model}", "{x}", "-o", "{out}.parquet"],
    ["neighbors", "{model}", "{x}", "--row", "1"],
]


@settings(FUZZ, max_examples=150)
@given(
    begun=st.sampled_from([[], *BEGUN]),
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=6),
)
@example(
    begun=[], words=["compare", "{csv}", "--target", "y", "--models", "linear", "--test-size", "0"]
)
@example(
    begun=[], words=["fit", "{csv}", "--target", "y", "--features", "y", "-o", "{out}", "--quiet"]
)
@example(begun=[], words=["predict", "{folder}", "{csv}", "-o", "{csv}"])
def test_any_command_line_ends_by_a_known_code_and_one_line(begun, words, stored, tmp_path):
    words = [*begun, *words]
    if "demo" in words or "doctor" in words:
        words = [*words, "--help"]
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y})
    pq.write_table(table, tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_text("a,b,y\n1,2,3\n4,5,7\n2,2,1\n0,1,9\n")
    places = {
        "x": tmp_path / "x.parquet", "csv": tmp_path / "x.csv", "folder": tmp_path,
        "missing": tmp_path / "no.parquet", "out": tmp_path / "out", "model": stored["knn"][0],
    }  # fmt: skip
    with contextlib.chdir(tmp_path):  # `-o y` writes where one stands
        result = CliRunner().invoke(main, [word.format(**places) for word in words])
    told = f"{words}: {result.exception!r}\n{result.stderr}"
    assert result.exit_code in (0, 1, 2), told
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    errors = [line for line in result.stderr.splitlines() if not line.startswith("scalekern: note")]
    assert len(errors) <= 1, told
    if result.exit_code == 2:
        assert errors, told
        assert errors[0].startswith("scalekern: "), told
