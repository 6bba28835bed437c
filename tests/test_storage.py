"""Stored models: the same to the last bit when whole, refused by name when they are not."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

import scalekern as sk
from scalekern.errors import InvalidInputError, ModelFormatError, ScalekernError, UnsupportedError
from scalekern.storage.document import seal
from scalekern.storage.registry import array_bytes, model_bytes

RNG = np.random.default_rng(11)
X = RNG.normal(size=(120, 4))
Y = X[:, 0] * X[:, 1] + X[:, 2]
LABELS = np.where(Y > 0, "up", "down")
QUERIES = RNG.normal(size=(33, 4))
WORDS = ["".join(RNG.choice(list("acgt"), size=n)) for n in RNG.integers(2, 7, size=50)]
LENGTHS = np.array([len(word) for word in WORDS], dtype=float)


def shared(x, z):
    return len(set(x) & set(z)) / max(1, len(set(x) | set(z)))


def unlike(x, z):
    return 1.0 - shared(x, z)


def l1_similarity(x, z):
    return float(np.exp(-np.abs(x - z).sum()))


def l1_block(A, B):
    return np.exp(-np.abs(A[:, None] - B[None]).sum(axis=2))


def fading(distances):
    return np.exp(-distances)


def approximate(name, **parameters):
    return sk.SimilarityRegressor(approximation=name, random_state=3, **parameters)


MODELS = {
    "linear": sk.LinearRegressor(),
    "exact": approximate("exact"),
    "pinv": approximate("exact", solver="pinv", gamma=1.0, alpha=1e-6, fit_intercept=False),
    "nystroem": approximate("nystroem", n_components=25, kernel="matern32"),
    "alphas": approximate("nystroem", n_components=25, alpha=np.array([0.1, 1.0])),
    "landmarks": approximate("nystroem", landmarks=X[:9], gamma=0.3),
    "float32 landmarks": approximate("nystroem", landmarks=X[:9].astype(np.float32), gamma=0.3),
    "fourier": approximate("fourier", n_components=24, alpha="gcv"),
    "kernel object": approximate("exact", kernel=sk.kernels.Matern(nu=2.5, length_scale=2.0)),
    "knn": sk.KNeighborsRegressor(4, weights="distance"),
    "brute": sk.KNeighborsRegressor(4, algorithm="brute", metric="cosine"),
    "hnsw": sk.KNeighborsRegressor(4, algorithm="hnsw", random_state=0),
    "ivf": sk.KNeighborsRegressor(4, algorithm="ivf", random_state=0),
    "canberra": sk.KNeighborsRegressor(4, metric="canberra"),
    "classifier": sk.KNeighborsClassifier(4),
    "prepared": make_pipeline(sk.RowPreparer(), approximate("exact")),
    "prepared knn": make_pipeline(sk.RowPreparer("minmax"), sk.KNeighborsRegressor()),
    "standard": make_pipeline(StandardScaler(), sk.LinearRegressor()),
    "no mean": make_pipeline(StandardScaler(with_mean=False), sk.KNeighborsClassifier()),
    "no scale": make_pipeline(StandardScaler(with_std=False), sk.LinearRegressor()),
    "minmax": make_pipeline(MinMaxScaler((-1, 2), clip=True), approximate("nystroem")),
    "one step": make_pipeline(sk.LinearRegressor()),
    "preparer": sk.RowPreparer(),
}


def last(model):
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def fitted(name, X=X):
    y = LABELS if is_classifier(MODELS[name]) else Y
    return clone(MODELS[name]).fit(X, y)


def answers(model, rows=QUERIES):
    if isinstance(model, sk.RowPreparer):
        return [model.transform(rows)]
    found = [model.predict(rows)]
    if is_classifier(model):
        found.append(model.predict_proba(rows))
    if isinstance(model, (sk.KNeighborsRegressor, sk.KNeighborsClassifier)):
        found.extend(model.kneighbors(rows))
    return found


def assert_same(one, other, rows=QUERIES):
    for a, b in zip(answers(one, rows), answers(other, rows), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def stored(model, folder, **options):
    sk.save(model, folder / "model")
    return sk.load(folder / "model", **options)


# ---------------------------------------------------------------- the same to the last bit


@pytest.mark.parametrize("name", MODELS)
def test_a_stored_model_is_the_same_to_the_last_bit(name, tmp_path):
    model = fitted(name)
    again = stored(model, tmp_path)
    assert type(again) is type(model)
    assert_same(again, model)
    assert repr(again) == repr(model)
    for key, value in last(model).get_params().items():
        loaded = last(again).get_params()[key]
        assert type(loaded) is type(value)
        assert repr(loaded) == repr(value)
    assert last(again).n_features_in_ == 4
    assert getattr(last(again), "report_", None) == getattr(last(model), "report_", None)


@pytest.mark.parametrize("name", MODELS)
def test_what_was_stored_once_can_be_stored_again_and_pickled(name, tmp_path):
    model = fitted(name)
    again = stored(model, tmp_path)
    sk.save(again, tmp_path / "second")
    assert_same(sk.load(tmp_path / "second"), model)
    assert_same(pickle.loads(pickle.dumps(again)), model)
    assert_same(stored(pickle.loads(pickle.dumps(model)), tmp_path), model)


@pytest.mark.parametrize("name", MODELS)
def test_float32_models_stay_float32(name, tmp_path):
    model = fitted(name, X.astype(np.float32))
    assert_same(stored(model, tmp_path), model, QUERIES.astype(np.float32))


@pytest.mark.parametrize("name", MODELS)
def test_the_names_of_columns_are_stored(name, tmp_path):
    frame = pd.DataFrame(X, columns=["b", "a", "ä,", "d"])
    again = stored(fitted(name, frame), tmp_path)
    first = again.steps[0][1] if isinstance(again, Pipeline) else again
    assert first.feature_names_in_.tolist() == ["b", "a", "ä,", "d"]
    if not isinstance(first, (StandardScaler, MinMaxScaler)):
        turned, same = (answers(again, rows)[0] for rows in (frame[["a", "d", "ä,", "b"]], frame))
        if is_classifier(again):
            np.testing.assert_array_equal(turned, same)
        else:
            np.testing.assert_allclose(turned, same, rtol=1e-9)


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array, sparse.coo_matrix])
@pytest.mark.parametrize("name", ["exact", "nystroem", "landmarks", "fourier", "linear", "knn"])
def test_models_of_sparse_rows_are_the_same(name, make, tmp_path):
    rows = X * (RNG.random(X.shape) < 0.4)
    model = fitted(name, make(rows))
    assert_same(stored(model, tmp_path), model, make(QUERIES))


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("name", ["linear", "exact", "nystroem", "fourier", "knn"])
def test_models_of_several_targets_are_the_same(name, n_outputs, tmp_path):
    model = clone(MODELS[name]).fit(X, np.column_stack([Y] * n_outputs))
    again = stored(model, tmp_path)
    assert again.predict(QUERIES).shape == (33, n_outputs)
    assert_same(again, model)


@pytest.mark.parametrize(
    "labels", [LABELS, LABELS.astype(object), Y > 0, np.digitize(Y, [-1, 1]), (Y > 0).astype("u1")]
)
def test_labels_keep_their_type(labels, tmp_path):
    model = sk.KNeighborsClassifier(3).fit(X, labels)
    again = stored(model, tmp_path)
    assert again.classes_.dtype == model.classes_.dtype
    assert_same(again, model)


def test_a_model_can_be_loaded_in_another_process(tmp_path):
    model = fitted("ivf")
    sk.save(model, tmp_path / "model")
    np.save(tmp_path / "queries.npy", QUERIES)
    code = (
        "import sys, numpy as np, scalekern\n"
        "model = scalekern.load(sys.argv[1] + '/model')\n"
        "np.save(sys.argv[1] + '/out.npy', model.predict(np.load(sys.argv[1] + '/queries.npy')))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), model.predict(QUERIES))


def test_arrays_are_mapped_and_the_model_outlives_its_replacement(tmp_path):
    model = fitted("exact")
    again = stored(model, tmp_path)
    assert isinstance(again.landmarks_, np.memmap)
    sk.save(fitted("linear"), tmp_path / "model")
    assert_same(again, model)


def test_model_bytes_are_those_of_the_stored_arrays(tmp_path):
    for name in MODELS:
        model = fitted(name)
        sk.save(model, tmp_path / "model")
        written = sum(
            file.stat().st_size - (128 if file.suffix == ".npy" else 0)
            for file in (tmp_path / "model").iterdir()
            if file.suffix in {".npy", ".faiss"}
        )
        assert model_bytes(model) == written
    assert array_bytes(["ab", "c"]) == 3


# ---------------------------------------------------------------- texts and functions


def test_text_models_come_back_with_their_function(tmp_path):
    for model in (
        approximate("exact", kernel=shared, alpha=0.1),
        approximate("nystroem", kernel=shared, alpha=0.1, n_components=8),
        sk.KNeighborsRegressor(3, metric=unlike),
        sk.KNeighborsClassifier(3, metric=unlike),
    ):
        model.fit(WORDS, LENGTHS)
        function = shared if hasattr(model, "kernel") else unlike
        again = stored(model, tmp_path, kernel=function)
        np.testing.assert_array_equal(again.predict(WORDS[:9]), model.predict(WORDS[:9]))
        with pytest.raises(ModelFormatError, match=f"'{function.__name__}'.*kernel=function"):
            sk.load(tmp_path / "model")


@pytest.mark.parametrize("odd", ["", "ä", "\x00", "\ud800", "a\nb", "x" * 5000])
def test_any_text_can_be_a_row(odd, tmp_path):
    words = [*WORDS, odd]
    model = approximate("exact", kernel=shared, alpha=0.1).fit(words, [*LENGTHS, 9.0])
    again = stored(model, tmp_path, kernel=shared)
    assert again.landmarks_ == words
    neighbors = sk.KNeighborsRegressor(1, metric=unlike).fit(words, [*LENGTHS, 9.0])
    again = stored(neighbors, tmp_path, kernel=unlike)
    np.testing.assert_array_equal(again.predict(words), neighbors.predict(words))


@pytest.mark.parametrize("kernel", [l1_similarity, sk.BlockKernel(l1_block, True)])
def test_functions_of_vectors_come_back_through_load(kernel, tmp_path):
    function = getattr(kernel, "function", kernel)
    model = approximate("exact", kernel=kernel, alpha=0.1).fit(X, Y)
    again = stored(model, tmp_path, kernel=function)
    assert_same(again, model)
    assert type(again.kernel) is type(kernel)
    with pytest.raises(InvalidInputError, match="kernel='rbf' is not a function"):
        sk.load(tmp_path / "model", kernel="rbf")


def test_several_functions_are_told_apart_by_their_parameters(tmp_path):
    model = sk.KNeighborsRegressor(3, metric=unlike, weights=fading).fit(WORDS, LENGTHS)
    again = stored(model, tmp_path, kernel={"metric": unlike, "weights": fading})
    np.testing.assert_array_equal(again.predict(WORDS), model.predict(WORDS))
    for wrong in (unlike, {"metric": unlike}, None):
        with pytest.raises(ModelFormatError, match="weights"):
            sk.load(tmp_path / "model", kernel=wrong)
    only = sk.KNeighborsRegressor(3, weights=fading).fit(X, Y)
    assert_same(stored(only, tmp_path, kernel=fading), only)


# ---------------------------------------------------------------- partial_fit


@pytest.mark.parametrize("name", ["landmarks", "fourier"])
def test_a_model_of_partial_fit_is_the_same_and_can_be_fitted_anew(name, tmp_path):
    model = clone(MODELS[name]).partial_fit(X[:60], Y[:60]).partial_fit(X[60:], Y[60:])
    again = stored(model, tmp_path)
    assert_same(again, model)
    assert_same(again.fit(X, Y), fitted(name))


@pytest.mark.parametrize("name", ["landmarks", "fourier"])
def test_partial_fit_after_load_goes_on_or_says_that_it_cannot(name, tmp_path):
    model = clone(MODELS[name]).partial_fit(X[:60], Y[:60])
    again = stored(model, tmp_path)
    try:
        again.partial_fit(X[60:], Y[60:])
    except ScalekernError as error:
        assert "partial_fit" in str(error)  # noqa: PT017
    else:
        np.testing.assert_allclose(
            again.predict(QUERIES), model.partial_fit(X[60:], Y[60:]).predict(QUERIES)
        )


@pytest.mark.parametrize("name", ["landmarks", "fourier"])
def test_partial_fit_goes_on_after_a_pickle(name):
    model = clone(MODELS[name]).partial_fit(X[:60], Y[:60])
    again = pickle.loads(pickle.dumps(model))
    assert_same(again.partial_fit(X[60:], Y[60:]), model.partial_fit(X[60:], Y[60:]))


def test_a_loaded_scaler_is_a_whole_scaler(tmp_path):
    for scaler in (StandardScaler(), MinMaxScaler((0, 3))):
        model = make_pipeline(clone(scaler), sk.LinearRegressor()).fit(X, Y)
        again = stored(model, tmp_path).steps[0][1]
        np.testing.assert_array_equal(again.inverse_transform(X), model[0].inverse_transform(X))
        one, other = again.partial_fit(QUERIES), model[0].partial_fit(QUERIES)
        np.testing.assert_array_equal(one.transform(X), other.transform(X))


# ---------------------------------------------------------------- what cannot be stored


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(RobustScaler(), sk.LinearRegressor()),
        make_pipeline(StandardScaler(), Ridge()),
        make_pipeline(sk.Nystroem(n_components=5), Ridge()),
        Ridge(),
    ],
)
def test_other_steps_are_refused_by_name(model, tmp_path):
    model.fit(X, Y)
    with pytest.raises(UnsupportedError, match=r"the step '\w+' is a \w+, which cannot be stored"):
        sk.save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_subclass_is_not_taken_for_its_parent(tmp_path):
    class LinearRegressor(sk.LinearRegressor):
        """Something else of the same name."""

    with pytest.raises(UnsupportedError, match="LinearRegressor, which cannot be stored"):
        sk.save(LinearRegressor().fit(X, Y), tmp_path / "model")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_not_fitted_is_refused(name, tmp_path):
    with pytest.raises(InvalidInputError, match="is not fitted; call fit before save"):
        sk.save(clone(MODELS[name]), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_fit_that_failed_is_no_model(tmp_path):
    model = sk.SimilarityRegressor(gamma="wide")
    with pytest.raises(InvalidInputError, match="gamma='wide'"):
        model.fit(X, Y)
    with pytest.raises(InvalidInputError, match="not fitted"):
        sk.save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_objects_and_odd_parameters_are_refused_and_leave_nothing(tmp_path):
    graphs = [{1: 2}, {2: 3}, {1: 3}]
    of_objects = approximate("exact", kernel=shared, alpha=0.1).fit(graphs, [1.0, 2.0, 3.0])
    odd = sk.LinearRegressor().fit(X, Y).set_params(n_jobs=object())
    seeded = approximate("exact").set_params(random_state=np.random.RandomState(0)).fit(X, Y)
    for model, message in (
        (of_objects, "neither numbers nor texts"),
        (odd, "n_jobs is a object"),
        (seeded, "random_state is a RandomState"),
    ):
        with pytest.raises(UnsupportedError, match=message):
            sk.save(model, tmp_path / "model")
        assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- where it is written


def test_a_stored_model_is_replaced(tmp_path):
    for name in ("knn", "linear", "exact"):
        model = fitted(name)
        assert_same(stored(model, tmp_path), model)
        assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert not list((tmp_path / "model").glob("*index*"))


@pytest.mark.parametrize("content", [None, "", "{}", '{"learner": 1}', "not json", "[]"])
def test_another_folder_or_file_is_never_replaced(tmp_path, content):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work")
    if content is not None:
        (folder / "model.json").write_text(content)
    (tmp_path / "file").write_text("text")
    for target in (folder, tmp_path / "file", tmp_path):
        with pytest.raises(InvalidInputError, match="already exists and is not a stored model"):
            sk.save(fitted("linear"), target)
    assert (folder / "chapter.txt").read_text() == "years of work"
    assert (tmp_path / "file").read_text() == "text"


def test_a_model_folder_with_something_of_the_user_in_it_is_not_replaced(tmp_path):
    sk.save(fitted("linear"), tmp_path / "model")
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"also holds 'notes.txt'"):
        sk.save(fitted("linear"), tmp_path / "model")
    assert (tmp_path / "model" / "notes.txt").read_text() == "mine"


def test_a_link_to_a_model_stays_a_link(tmp_path):
    sk.save(fitted("linear"), tmp_path / "first")
    (tmp_path / "current").symlink_to("first")
    model = fitted("knn")
    sk.save(model, tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert_same(sk.load(tmp_path / "first"), model)
    assert len(list(tmp_path.iterdir())) == 2


def test_folders_above_are_made_and_the_working_directory_is_no_target(tmp_path, monkeypatch):
    sk.save(fitted("linear"), tmp_path / "a" / "b" / "model")
    sk.load(tmp_path / "a" / "b" / "model")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match="not a stored model"):
        sk.save(fitted("linear"), ".")
    sk.save(fitted("linear"), "here")
    sk.load("here")


def test_a_path_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match=r"cannot be written: .*file is not a writable"):
        sk.save(fitted("linear"), tmp_path / "file" / "model")


def test_the_rights_of_a_model_are_those_of_the_user(tmp_path):
    before = os.umask(0o077)
    try:
        sk.save(fitted("linear"), tmp_path / "model")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o700


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("step", ["np.save", "json", "rename", "mkdir"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, step, replace):
    old = fitted("linear")
    if replace:
        sk.save(old, tmp_path / "model")

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    rename, calls = type(tmp_path).rename, []

    def last_rename_fails(self, target):
        calls.append(target)
        return full() if len(calls) == 1 + replace else rename(self, target)

    if step == "np.save":
        monkeypatch.setattr(np, "save", full)
    elif step == "json":
        monkeypatch.setattr(type(tmp_path), "write_text", full)
    elif step == "mkdir":
        monkeypatch.setattr(type(tmp_path), "mkdir", full)
    else:
        monkeypatch.setattr(type(tmp_path), "rename", last_rename_fails)
    with pytest.raises(InvalidInputError, match=r"model cannot be written: .*No space left"):
        sk.save(fitted("knn"), tmp_path / "model")
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == (["model"] if replace else [])
    if replace:
        assert_same(sk.load(tmp_path / "model"), old)


# ---------------------------------------------------------------- what is refused


def altered(folder, change, *, sealed=True):
    """Change model.json, and seal it again as someone who knows how would."""
    file = folder / "model.json"
    document = json.loads(file.read_text())
    change(document)
    if sealed:
        document["sha256"] = seal(document)
    file.write_text(json.dumps(document))


@pytest.fixture
def model_folder(tmp_path):
    sk.save(fitted("exact"), tmp_path / "model")
    return tmp_path / "model"


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("empty", "file"):
        with pytest.raises(ModelFormatError, match=f"{name} is not a stored model"):
            sk.load(tmp_path / name)
    with pytest.raises(ModelFormatError, match="nowhere does not exist; give the folder"):
        sk.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "null", '"x"', "[" * 100_000, "{}", '{"format": 1}', "\x00", '{"a": NaN'],
)
def test_a_description_that_is_none_is_refused(model_folder, text):
    (model_folder / "model.json").write_text(text)
    with pytest.raises(ModelFormatError, match=r"model\.json"):
        sk.load(model_folder)


def test_a_description_that_is_too_large_is_not_read(model_folder):
    with (model_folder / "model.json").open("r+b") as file:
        file.truncate(65 << 20)
    with pytest.raises(ModelFormatError, match="larger than"):
        sk.load(model_folder)


@pytest.mark.parametrize("number", [0, 2, 1.5, "1", None, True, [1]])
def test_other_formats_are_refused_by_number(model_folder, number):
    altered(model_folder, lambda document: document.update(format=number))
    with pytest.raises(ModelFormatError, match=r"has format .*reads format 1"):
        sk.load(model_folder)


@pytest.mark.parametrize("name", ["Ridge", "os.system", "", None, 3, ["LinearRegressor"], {}])
def test_other_classes_are_refused_by_name(model_folder, name):
    altered(model_folder, lambda document: document["steps"][0].update({"class": name}))
    with pytest.raises(ModelFormatError, match=r"is of class .*this version knows .*'Linear"):
        sk.load(model_folder)


def test_a_changed_value_is_found(model_folder):
    def change(document):
        document["steps"][0]["params"]["gamma"] = 3.0

    altered(model_folder, change, sealed=False)
    with pytest.raises(ModelFormatError, match="altered"):
        sk.load(model_folder)


def wrong_parts():
    yield "steps", lambda d: d.update(steps=[])
    yield "steps", lambda d: d.update(steps="x")
    yield "steps", lambda d: d.update(steps=[3])
    for key in ("params", "fitted", "arrays", "n_features_in", "feature_names_in"):
        yield "describe", lambda d, key=key: d["steps"][0].pop(key)
    yield "describe", lambda d: d["steps"][0].update(params=[])
    yield "describe", lambda d: d["steps"][0]["params"].update(depth=3)
    yield "unknown kind", lambda d: d["steps"][0]["params"].update(gamma={"__code__": "x"})
    yield "describe", lambda d: d["steps"][0]["params"].update(gamma={"__array__": [1]})
    yield (
        "describe",
        lambda d: d["steps"][0]["params"].update(gamma={"__array__": [[1], [2, 3]], "dtype": "f8"}),
    )
    yield (
        "is of class",
        lambda d: d["steps"][0]["params"].update(gamma={"__object__": "Popen", "params": {}}),
    )
    yield "describe", lambda d: d["steps"][0]["arrays"].pop("intercept_")
    yield "lacks", lambda d: d["steps"][0]["arrays"].update(intercept_=3)
    for key in ("kind", "file", "bytes", "sha256", "shape", "dtype"):
        yield "lacks", lambda d, key=key: d["steps"][0]["arrays"]["landmarks_"].pop(key)
    yield "unknown kind", lambda d: d["steps"][0]["arrays"]["landmarks_"].update(kind="pickle")
    yield "holds", lambda d: d["steps"][0]["arrays"]["landmarks_"].update(shape=[4, 120])
    yield "holds", lambda d: d["steps"][0]["arrays"]["landmarks_"].update(dtype="<f4")
    yield "valid sparse|lacks", lambda d: d["steps"][0]["arrays"]["landmarks_"].update(kind="csr")
    yield "not .* texts", lambda d: d["steps"][0]["arrays"]["landmarks_"].update(kind="texts")


@pytest.mark.parametrize(("message", "change"), list(wrong_parts()))
def test_a_description_with_wrong_parts_is_refused(model_folder, message, change):
    altered(model_folder, change)
    with pytest.raises(ModelFormatError, match=message):
        sk.load(model_folder)


@pytest.mark.parametrize(
    "name", ["../secret.npy", "/etc/passwd", "sub/x.npy", "..", ".", "", "a\x00b", "..\\x.npy"]
)
def test_file_names_do_not_leave_the_directory(model_folder, name):
    shutil.copy(model_folder / "0-landmarks_.npy", model_folder.parent / "secret.npy")

    def change(document):
        document["steps"][0]["arrays"]["landmarks_"]["file"] = name

    altered(model_folder, change)
    with pytest.raises(ModelFormatError, match=r"outside its folder|has no file"):
        sk.load(model_folder)


def test_links_are_not_followed(model_folder):
    file = model_folder / "0-landmarks_.npy"
    file.rename(model_folder.parent / "elsewhere.npy")
    file.symlink_to(model_folder.parent / "elsewhere.npy")
    with pytest.raises(ModelFormatError, match=r"has no file '0-landmarks_.npy'"):
        sk.load(model_folder)


@pytest.mark.parametrize("name", MODELS)
def test_files_that_are_missing_truncated_or_longer_are_refused_by_name(name, tmp_path):
    sk.save(fitted(name), tmp_path / "model")
    for file in sorted((tmp_path / "model").iterdir()):
        whole = file.read_bytes()
        for content in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\x00"):
            file.write_bytes(content)
            with pytest.raises(ModelFormatError, match=file.name):
                sk.load(tmp_path / "model")
        file.unlink()
        with pytest.raises(ModelFormatError, match=file.name):
            sk.load(tmp_path / "model")
        file.write_bytes(whole)
    sk.load(tmp_path / "model")


def forged(folder, content, name="landmarks_", **entry):
    """Put other content in the place of an array, with size and checksum that fit it."""
    from scalekern.storage.arrays import checksum

    file = folder / f"0-{name}.npy"
    file.write_bytes(content)

    def change(document):
        document["steps"][0]["arrays"][name] |= {
            "bytes": len(content), "sha256": checksum(file), **entry
        }  # fmt: skip

    altered(folder, change)


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def header(text, version=b"\x01\x00"):
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + text.encode()


BOMB = "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }"


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (npy(np.array([{}], dtype=object), allow_pickle=True), {"shape": [1], "dtype": "|O"}),
        (npy(np.zeros(3, dtype="f8,i4")), {"shape": [3], "dtype": "|V12"}),
        (npy(np.asfortranarray(X)), {}),
        (npy(X)[:-8], {}),
        (npy(X) + b"12345678", {}),
        (npy(X, version=(2, 0)), {}),
        (header(BOMB), {"shape": [99999999999]}),
        (header(BOMB), {"shape": []}),
        (header(BOMB), {"shape": [0]}),
        (header(BOMB + " " * 60_000), {"shape": [99999999999]}),
        (header("{'descr': __import__('os').system('true')}"), {}),
        (header("(" * 3000), {}),
        (header("'''"), {}),
        (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 4), }"), {}),
        (b"\x93NUMPY\x09\x00", {}),
        (b"PK\x03\x04", {}),
        (b"", {}),
        (pickle.dumps(X), {}),
    ],
)
def test_forged_arrays_are_refused_before_they_are_read(model_folder, content, entry):
    forged(model_folder, content, **entry)
    with pytest.raises(ModelFormatError, match=r"0-landmarks_.npy"):
        sk.load(model_folder)


@pytest.mark.parametrize("outputs", [10**12, 0, -1, 2, "1", 1.5])
def test_a_description_cannot_ask_for_more_outputs_than_its_arrays_have(model_folder, outputs):
    altered(model_folder, lambda found: found["steps"][0]["fitted"].update(n_outputs_=outputs))
    with pytest.raises(ModelFormatError, match="n_outputs_"):
        sk.load(model_folder)


@pytest.mark.parametrize("neighbors", [10**12, 0, -3])
def test_a_description_cannot_ask_for_more_neighbors_than_there_are(tmp_path, neighbors):
    sk.save(approximate("local").fit(X, Y), tmp_path / "m")
    altered(
        tmp_path / "m", lambda found: found["steps"][0]["fitted"].update(n_neighbors_=neighbors)
    )
    with pytest.raises(ModelFormatError, match="n_neighbors_"):
        sk.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("part", "array"),
    [
        ("indices", np.full(480, 10**6, dtype=np.int32)),
        ("indices", np.full(480, -7, dtype=np.int32)),
        ("indptr", np.full(121, 480, dtype=np.int32)),
        ("indptr", np.arange(121, dtype=np.int32)[::-1].copy()),
    ],
)
def test_forged_sparse_rows_are_refused(tmp_path, part, array):
    from scalekern.storage.arrays import checksum

    sk.save(fitted("exact", sparse.csr_matrix(X)), tmp_path / "model")
    file = tmp_path / "model" / f"0-landmarks_-{part}.npy"
    file.write_bytes(npy(array))

    def change(document):
        entry = document["steps"][0]["arrays"]["landmarks_"]["parts"][part]
        entry |= {"bytes": file.stat().st_size, "sha256": checksum(file)}

    altered(tmp_path / "model", change)
    with pytest.raises(ModelFormatError, match="landmarks_ is not a valid sparse matrix"):
        sk.load(tmp_path / "model")


def test_a_forged_faiss_index_is_refused(tmp_path):
    from scalekern.storage.arrays import checksum

    sk.save(fitted("ivf"), tmp_path / "model")
    file = tmp_path / "model" / "0-index-index.faiss"
    whole = file.read_bytes()
    for content in (b"", b"IxF2" + b"\xff" * 100, whole[:50], whole[:-9], pickle.dumps(X)):
        file.write_bytes(content)

        def change(document, content=content):
            entry = document["steps"][0]["arrays"]["index-index.faiss"]
            entry |= {
                "bytes": len(content), "sha256": checksum(file), "shape": [len(content)]
            }  # fmt: skip

        altered(tmp_path / "model", change)
        with pytest.raises(ModelFormatError, match=r"index\.faiss"):
            sk.load(tmp_path / "model")


FLIPS = 60


@pytest.mark.parametrize(
    "name", ["exact", "fourier", "knn", "ivf", "prepared", "minmax", "classifier", "words"]
)
def test_flipped_bytes_are_refused_or_change_nothing(name, tmp_path):
    # Every value of every file is under a checksum, model.json under one of its own. What may be
    # flipped unseen is what leaves all values of model.json as they are: a space, the e of 1e-05,
    # a digit that a float64 has no room for; and then the model must be the very same.
    if name == "words":
        model = approximate("exact", kernel=shared, alpha=0.1).fit(WORDS, LENGTHS)
        rows, options = WORDS, {"kernel": shared}
    else:
        model, rows, options = fitted(name), QUERIES, {}
    sk.save(model, tmp_path / "model")
    rng = np.random.default_rng(5)
    files = sorted((tmp_path / "model").iterdir())
    refused = unseen = 0
    for _ in range(FLIPS):
        # Half of the flips are in the description, where most of the parsing is.
        file = tmp_path / "model" / "model.json" if rng.random() < 0.5 else rng.choice(files)
        whole = file.read_bytes()
        place, bit = rng.integers(len(whole)), rng.integers(8)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        file.write_bytes(flipped)
        try:
            again = sk.load(tmp_path / "model", **options)
        except ModelFormatError:
            refused += 1
        else:
            unseen += 1
            assert file.name == "model.json"
            assert json.loads(flipped) == json.loads(whole)
            assert_same(again, model, rows)
        file.write_bytes(whole)
    assert refused + unseen == FLIPS
    assert refused > FLIPS / 3


def test_the_order_of_keys_and_the_spaces_of_the_description_do_not_count(model_folder):
    file = model_folder / "model.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(document.items())), separators=(",", ":")))
    assert_same(sk.load(model_folder), fitted("exact"))
