"""The command line: the article's table, files in and out, and one clear line for what is wrong."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import scalekern as sk
from scalekern.cli import main
from scalekern.cli.options import Bytes

N = 240
RNG = np.random.default_rng(4)
X = RNG.normal(size=(N, 3))
Y = 3 + X[:, 0] * X[:, 1] + np.sin(X[:, 2])
KEYS = {
    "model",
    "rmse",
    "mae",
    "r2",
    "fit_seconds",
    "predict_seconds",
    "model_bytes",
    "gap_to_exact",
}
OURS = {"n_train", "note", "n_components"}


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def succeeds(*words):
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def strict_json(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def predictions_of(path):
    return pq.read_table(path)["prediction"].to_numpy()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One table of numbers, text and dates, in every kind of file."""
    folder = tmp_path_factory.mktemp("data")
    numbers = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": Y}
    table = pa.table(numbers)
    full = table.append_column("name", pa.array([f"row {i}" for i in range(N)]))
    full = full.append_column("day", pa.array(np.arange(N, dtype=np.int32), pa.date32()))
    full = full.append_column("w", pa.array(RNG.random(N)))
    (folder / "parts").mkdir()
    for number, start in enumerate(range(0, N, 100)):
        part = full.slice(start, 100)
        pq.write_table(part, folder / "parts" / f"{number}.parquet", row_group_size=33)
    pq.write_table(table, folder / "x.parquet")
    pa.csv.write_csv(table, folder / "x.csv")
    pa.csv.write_csv(full, folder / "full.csv")
    np.savetxt(folder / "plain.csv", np.column_stack([X, Y]), delimiter=",", fmt="%.17g")
    np.save(folder / "x.npy", np.column_stack([X, Y]))
    np.savez(folder / "x.npz", X=X, y=Y)
    return folder


# ---------------------------------------------------------------- the article's table


ARTICLE = (
    *("--target", "pressure", "--test-size", "0.25", "--random-state", "69"),
    *("--scaler", "minmax", "--gamma", "1", "--alpha", "1e-6", "--no-intercept"),
    *("--n-neighbors", "5", "--models", "exact,linear,knn,local,nystroem,fourier", "--json"),
)


def test_the_articles_command_gives_the_articles_table(airfoil, tmp_path):
    shown = succeeds("compare", airfoil, *ARTICLE, tmp_path / "out.json")
    table = {row["model"]: row for row in strict_json((tmp_path / "out.json").read_text())}
    assert table["exact"]["rmse"] == pytest.approx(3.640627, abs=1e-5)
    assert table["linear"]["rmse"] == pytest.approx(4.537698, abs=1e-5)
    assert table["knn"]["rmse"] == pytest.approx(3.710116, abs=1e-5)
    assert list(table) == ["exact", "linear", "knn", "local", "nystroem", "fourier"]
    assert table["exact"]["gap_to_exact"] == 0
    assert table["nystroem"]["gap_to_exact"] < 0.02
    for text in ("3.64063", "4.53770", "3.71012", "376 test rows", "1,127", "RBF(gamma=1.0)"):
        assert text in shown


def test_the_articles_command_works_as_a_process(airfoil):
    code = "from scalekern.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", str(airfoil), *ARTICLE, "-"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    rows = {row["model"]: row["rmse"] for row in strict_json(done.stdout)}
    assert rows["exact"] == pytest.approx(3.640627, abs=1e-5)


# ---------------------------------------------------------------- compare


def test_the_json_of_compare_is_a_list_of_rows_with_the_promised_keys(data, tmp_path):
    succeeds("compare", data / "x.csv", "--target", "y", "--json", tmp_path / "deep" / "out.json")
    rows = strict_json((tmp_path / "deep" / "out.json").read_text())
    assert [row["model"] for row in rows] == [
        "exact",
        "linear",
        "knn",
        "local",
        "nystroem",
        "fourier",
        "auto",
    ]
    for row in rows:
        assert set(row) == KEYS | OURS
        assert row["n_train"] == 180
        assert row["rmse"] >= row["mae"] > 0
        assert isinstance(row["model_bytes"], int)
        assert row["model_bytes"] > 0
        assert min(row["fit_seconds"], row["predict_seconds"]) > 0
    assert everything_in(tmp_path) == ["deep", "deep/out.json"]
    text = succeeds("compare", data / "x.csv", "--target", "y", "--json", "-")
    assert [row["rmse"] for row in strict_json(text)] == [row["rmse"] for row in rows]
    assert succeeds("compare", data / "x.csv", "--target", "y", "--quiet") == ""


def test_the_gap_is_null_where_there_is_no_exact_model_of_the_same_rows(data):
    sampled = succeeds(
        "compare", data / "x.csv", "--target", "y", "--exact-rows", 50, "--json", "-"
    )
    assert [row["gap_to_exact"] for row in strict_json(sampled)] == [None] * 7
    assert [row["n_train"] for row in strict_json(sampled)] == [50, *[180] * 6]
    without = succeeds(
        "compare", data / "x.csv", "--target", "y", "--models", "knn,linear,knn", "--json", "-"
    )
    assert [row["model"] for row in strict_json(without)] == ["knn", "linear"]
    assert {row["gap_to_exact"] for row in strict_json(without)} == {None}


def test_compare_is_what_python_compares(data):
    options = {"kernel": "matern32", "n_components": 30, "random_state": 5}
    table = sk.compare(X, Y, **options).rows()
    words = ["--kernel", "matern32", "--n-components", 30, "--random-state", 5, "--json", "-"]
    for file, target in (("x.csv", "y"), ("x.npz", "y"), ("x.npy", "-1"), ("x.parquet", "y")):
        shown = strict_json(succeeds("compare", data / file, "--target", target, *words))
        for ours, row in zip(shown, table, strict=True):
            assert ours["rmse"] == pytest.approx(row["rmse"], rel=1e-9)


def test_compare_measures_on_rows_of_their_own(data, tmp_path):
    table = pq.read_table(data / "x.parquet")
    pq.write_table(table.slice(0, 200), tmp_path / "train.parquet")
    # Other columns, in another order.
    pq.write_table(table.slice(200).select(["y", "c", "b", "a"]), tmp_path / "test.parquet")
    shown = strict_json(
        succeeds("compare", tmp_path / "train.parquet", "--target", "y", "--models", "linear",
                 "--test", tmp_path / "test.parquet", "--json", "-")
    )  # fmt: skip
    model = sk.LinearRegressor().fit(X[:200], Y[:200])
    rmse = np.sqrt(np.mean((model.predict(X[200:]) - Y[200:]) ** 2))
    assert shown[0]["rmse"] == pytest.approx(rmse, rel=1e-9)
    assert shown[0]["n_train"] == 200


def test_compare_leaves_out_what_takes_no_weights_and_says_so(data):
    words = ["compare", data / "full.csv", "--target", "y", "--drop", "name,day", "--weight", "w"]
    shown = succeeds(*words)
    assert "k-NN was left out: it cannot use sample weights." in shown
    names = [row["model"] for row in strict_json(succeeds(*words, "--json", "-"))]
    assert names == ["exact", "linear", "local", "nystroem", "fourier", "auto"]


def test_a_target_that_never_changes_is_no_table_of_zeros(tmp_path):
    np.savez(tmp_path / "flat.npz", X=X, y=np.full(N, 2.5))
    fails("compare", tmp_path / "flat.npz", "--target", "y", "--models", "linear",
          match="the target is 2.5 in every row, so that there is nothing to predict")  # fmt: skip


def test_test_targets_that_never_change_have_no_r2_and_that_is_said(tmp_path):
    np.savez(tmp_path / "train.npz", X=X, y=Y)
    np.savez(tmp_path / "flat.npz", X=X, y=np.full(N, 2.5))
    words = ["compare", tmp_path / "train.npz", "--test", tmp_path / "flat.npz", "--target", "y",
             "--models", "linear"]  # fmt: skip
    assert strict_json(succeeds(*words, "--json", "-"))[0]["r2"] is None
    assert "All test targets are 2.5, so there is no R²." in succeeds(*words)


def test_the_auto_model_of_compare_is_what_fit_fits(data, tmp_path):
    words = ["--target", "y", "--random-state", 3]
    shown = succeeds("compare", data / "x.csv", *words, "--models", "auto", "--kernel", "linear",
                     "--n-components", 7, "--json", tmp_path / "out.json")  # fmt: skip
    (row,) = strict_json((tmp_path / "out.json").read_text())
    assert row["note"] in shown
    train, test = train_test_split(np.arange(N), test_size=0.25, random_state=3)
    for name, part in (("train", train), ("test", test)):
        np.savez(tmp_path / f"{name}.npz", X=X[part], y=Y[part])
    succeeds("fit", tmp_path / "train.npz", *words, "-o", tmp_path / "m")
    found = sk.load(tmp_path / "m")
    predicted = found.predict(sk.rows(tmp_path / "test.npz", target="y"))
    rmse = np.sqrt(np.mean((predicted - Y[test]) ** 2))
    assert row["rmse"] == pytest.approx(rmse, rel=1e-9)
    assert row["note"].startswith(f"chose {found[-1].report_['approximation']}")
    assert "--model auto -o MODEL" in shown


def test_numbers_are_printed_in_four_digits(data, tmp_path):
    shown = succeeds("compare", data / "x.csv", "--target", "y", "--models", "exact")
    shown += succeeds("fit", data / "x.csv", "--target", "y", "--kernel", "rbf", "--model",
                      "exact", "-o", tmp_path / "m")  # fmt: skip
    gammas = re.findall(r"RBF\(gamma=([^)]*)\)", shown)
    assert len(gammas) == 2
    assert all(len(gamma.replace("0.", "").lstrip("0")) <= 4 for gamma in gammas)


# ---------------------------------------------------------------- fit and predict


MODELS = {
    "auto": lambda: sk.SimilarityRegressor(random_state=0),
    "exact": lambda: sk.SimilarityRegressor(approximation="exact", random_state=0),
    "nystroem": lambda: sk.SimilarityRegressor(
        approximation="nystroem", n_components=40, random_state=0
    ),
    "fourier": lambda: sk.SimilarityRegressor(
        approximation="fourier", n_components=40, random_state=0
    ),
    "knn": lambda: sk.KNeighborsRegressor(5, random_state=0),
    "linear": sk.LinearRegressor,
}
FILES = {
    "x.csv": "y",
    "x.parquet": "y",
    "parts": "y",
    "parts/*.parquet": "y",
    "plain.csv": "-1",
    "x.npy": "3",
    "x.npz": "y",
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("model", MODELS)
def test_fit_and_predict_are_those_of_python(model, file, data, tmp_path):
    out, path = tmp_path / "model", tmp_path / "sub" / "out.parquet"
    more = ["--drop", "name,day", "--drop", "w"] if "parts" in file else []
    more += ["--n-components", 40] if model in {"nystroem", "fourier"} else []
    shown = succeeds(
        "fit", data / file, "--target", FILES[file], "--model", model, *more, "-o", out
    )
    assert "on 240 rows x 3 features" in shown
    assert f"Saved it in {out} (" in shown
    assert f"Next: scalekern predict {out} NEW-DATA" in shown
    shown = succeeds("predict", out, data / file, "-o", path)
    assert f"Wrote 240 predictions to {path}" in shown
    expected = make_pipeline(sk.RowPreparer(), MODELS[model]()).fit(X, Y).predict(X)
    np.testing.assert_allclose(predictions_of(path), expected, rtol=1e-9)
    left = [name for name in everything_in(tmp_path) if not name.startswith("model")]
    assert left == ["sub", "sub/out.parquet"]


@pytest.mark.parametrize("scaler", ["standard", "minmax", "none"])
def test_the_scaler_is_stored_with_the_model(scaler, data, tmp_path):
    succeeds("fit", data / "x.csv", "--target", "y", "--model", "knn", "--scaler", scaler,
             "-o", tmp_path / "m")  # fmt: skip
    model = sk.load(tmp_path / "m")
    expected = make_pipeline(sk.RowPreparer(scaler), sk.KNeighborsRegressor(random_state=0))
    expected.fit(X, Y)
    frame = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]})
    np.testing.assert_allclose(model.predict(frame), expected.predict(X), rtol=1e-12)


def test_options_of_the_models_arrive(data, tmp_path):
    words = "--model exact --kernel laplacian --gamma 0.5 --alpha 0.1 --no-intercept --solver pinv"
    succeeds("fit", data / "x.csv", "--target", "y", *words.split(), "-o", tmp_path / "m")
    params = sk.load(tmp_path / "m").steps[-1][1].get_params()
    assert params["kernel"] == "laplacian"
    assert (params["gamma"], params["alpha"], params["fit_intercept"]) == (0.5, 0.1, False)
    assert params["solver"] == "pinv"
    words = "--model nystroem --n-components 20 --alpha 0.1,1,10 --random-state 9 --n-jobs 1"
    succeeds("fit", data / "x.csv", "--target", "y", *words.split(), "-o", tmp_path / "m")
    params = sk.load(tmp_path / "m").steps[-1][1].get_params()
    assert params["alpha"] == [0.1, 1.0, 10.0]
    assert (params["random_state"], params["n_components"], params["n_jobs"]) == (9, 20, 1)
    words = "--model local --kernel auto --gamma cv --metric learned"
    succeeds("fit", data / "x.csv", "--target", "y", *words.split(), "-o", tmp_path / "m")
    params = sk.load(tmp_path / "m").steps[-1][1].get_params()
    assert (params["kernel"], params["gamma"], params["metric"]) == ("auto", "cv", "learned")
    succeeds("fit", data / "x.csv", "--target", "y", "-o", tmp_path / "m")
    left = sk.load(tmp_path / "m").steps[-1][1].get_params()
    assert left == sk.SimilarityRegressor(random_state=0).get_params()
    words = (
        "--model knn --n-neighbors 3 --weights distance --metric cosine --algorithm hnsw "
        "--target-recall 0.8"
    )
    succeeds("fit", data / "x.csv", "--target", "y", *words.split(), "-o", tmp_path / "m")
    params = sk.load(tmp_path / "m").steps[-1][1].get_params()
    assert (params["n_neighbors"], params["weights"], params["metric"]) == (3, "distance", "cosine")
    assert (params["algorithm"], params["target_recall"]) == ("hnsw", 0.8)


def test_features_drop_weight_and_key_arrive(data, tmp_path):
    common = ["fit", data / "parts", "--target", "y", "--model", "linear", "-o", tmp_path / "m"]
    succeeds(*common, "--features", "b,a", "--weight", "w", "--key", "name")
    model = sk.load(tmp_path / "m")
    assert model.steps[0][1].feature_names_in_.tolist() == ["b", "a"]
    weights = np.asarray(pq.read_table(data / "parts")["w"])
    known = sk.LinearRegressor().fit(X[:, [1, 0]], Y, sample_weight=weights)
    np.testing.assert_allclose(
        model.predict(pa.table({"a": X[:, 0], "b": X[:, 1]})), known.predict(X[:, [1, 0]])
    )
    succeeds(*common, "--drop", "name", "--drop", "day,w")
    assert sk.load(tmp_path / "m").steps[0][1].feature_names_in_.tolist() == ["a", "b", "c"]


def test_the_json_of_fit_and_predict(data, tmp_path):
    words = ["fit", data / "x.csv", "--target", "y", "-o", tmp_path / "m", "--json"]
    succeeds(*words, tmp_path / "fit.json")
    from_file = strict_json((tmp_path / "fit.json").read_text())
    from_stdout = strict_json(succeeds(*words, "-"))
    for report in (from_file, from_stdout):
        assert report["model"] == "SimilarityRegressor"
        assert (report["rows"], report["features"]) == (N, ["a", "b", "c"])
        assert report["report"]["approximation"] == "exact"
        assert report["model_bytes"] > 0
        assert report["fit_seconds"] > 0
    words = ["predict", tmp_path / "m", data / "x.csv", "-o", tmp_path / "o.parquet", "--json"]
    succeeds(*words, tmp_path / "predict.json")
    for report in (
        strict_json((tmp_path / "predict.json").read_text()),
        strict_json(succeeds(*words, "-")),
    ):
        assert report["rows"] == N
        assert report["output"] == str(tmp_path / "o.parquet")
        assert report["rows_per_second"] == pytest.approx(N / report["predict_seconds"])


@pytest.mark.parametrize("file", ["parts", "parts/*.parquet", "full.csv"])
def test_kept_columns_stand_before_the_prediction_with_their_types(file, data, tmp_path):
    succeeds("fit", data / "x.csv", "--target", "y", "--model", "linear", "-o", tmp_path / "m")
    succeeds("predict", tmp_path / "m", data / file, "-o", tmp_path / "o.parquet",
             "--keep", "name,day", "--keep", "a")  # fmt: skip
    out = pq.read_table(tmp_path / "o.parquet")
    assert out.column_names == ["name", "day", "a", "prediction"]
    assert pa.types.is_date32(out.schema.field("day").type)
    assert out["prediction"].type == pa.float64()
    assert out["name"].to_pylist() == [f"row {i}" for i in range(N)]
    np.testing.assert_array_equal(out["a"].to_numpy(), X[:, 0])
    known = sk.LinearRegressor().fit(X, Y).predict(X)
    np.testing.assert_allclose(out["prediction"].to_numpy(), known)


def test_predictions_in_csv_are_those_in_parquet_to_the_last_digit(model, data, tmp_path):
    for name in ("o.parquet", "o.csv"):
        succeeds("predict", model, data / "full.csv", "-o", tmp_path / name, "--keep", "name,a")
    text, table = pa.csv.read_csv(tmp_path / "o.csv"), pq.read_table(tmp_path / "o.parquet")
    assert text.to_pydict() == table.to_pydict()
    assert {path.name for path in tmp_path.iterdir()} == {"o.csv", "o.parquet"}


def test_kept_columns_may_have_missing_values_and_types_that_differ_by_file(tmp_path):
    (tmp_path / "parts").mkdir()
    keys = [pa.array([1, 2], pa.int32()), pa.array([None, 2**40]), pa.array([None, None])]
    for number, key in enumerate(keys):
        table = pa.table({"a": [1.0, 2.0], "y": [0.0, 1.0], "id": key})
        pq.write_table(table, tmp_path / "parts" / f"{number}.parquet")
    succeeds("fit", tmp_path / "parts", "--target", "y", "--features", "a", "--model", "linear",
             "-o", tmp_path / "m")  # fmt: skip
    succeeds("predict", tmp_path / "m", tmp_path / "parts", "-o", tmp_path / "o.parquet",
             "--keep", "id")  # fmt: skip
    kept = pq.read_table(tmp_path / "o.parquet")["id"].to_pylist()
    assert kept == [1, 2, None, 2**40, None, None]


def test_many_blocks_keep_their_rows_in_order(tmp_path):
    n = 150_000
    a = np.arange(n, dtype=np.float64)
    table = pa.table({"a": a, "y": 2 * a, "id": [f"i{i}" for i in range(n)]})
    (tmp_path / "parts").mkdir()
    for start in range(0, n, 40_001):
        part = table.slice(start, 40_001)
        pq.write_table(part, tmp_path / "parts" / f"{start:06}.parquet", row_group_size=7000)
    succeeds("fit", tmp_path / "parts", "--target", "y", "--features", "a", "--model", "linear",
             "-o", tmp_path / "m")  # fmt: skip
    succeeds("predict", tmp_path / "m", tmp_path / "parts", "-o", tmp_path / "o.parquet",
             "--keep", "id")  # fmt: skip
    out = pq.read_table(tmp_path / "o.parquet")
    assert out["id"].equals(table["id"])
    np.testing.assert_allclose(out["prediction"].to_numpy(), 2 * a, atol=1e-4)


def test_columns_are_found_by_name_and_others_ignored(data, tmp_path):
    succeeds("fit", data / "x.csv", "--target", "y", "--model", "knn", "-o", tmp_path / "m")
    table = pq.read_table(data / "parts").select(["day", "c", "name", "a", "b"])
    pq.write_table(table, tmp_path / "new.parquet")
    succeeds("predict", tmp_path / "m", tmp_path / "new.parquet", "-o", tmp_path / "o.parquet")
    succeeds("predict", tmp_path / "m", data / "x.csv", "-o", tmp_path / "same.parquet")
    np.testing.assert_array_equal(
        predictions_of(tmp_path / "o.parquet"), predictions_of(tmp_path / "same.parquet")
    )


def test_models_made_in_python_predict_from_files(data, tmp_path):
    two = np.column_stack([Y, -Y])
    labels = np.where(Y > 3, "high", "low")
    frame = pq.read_table(data / "x.parquet").select(["a", "b", "c"])
    models = {
        "bare": sk.KNeighborsRegressor(3).fit(frame, Y),
        "arrays": make_pipeline(sk.RowPreparer(), sk.LinearRegressor()).fit(X, Y),
        "scaler": make_pipeline(StandardScaler(), sk.SimilarityRegressor()).fit(
            frame.to_pandas(), Y
        ),
        "classes": sk.KNeighborsClassifier(3).fit(frame, labels),
        "two": sk.LinearRegressor().fit(frame, two),
    }
    np.savez(tmp_path / "x.npz", X=X)
    for name, model in models.items():
        sk.save(model, tmp_path / name)
        file = tmp_path / "x.npz" if name == "arrays" else data / "full.csv"
        result = run("predict", tmp_path / name, file, "-o", tmp_path / "o.parquet")
        assert result.exit_code == 0, result.stderr
        out = pq.read_table(tmp_path / "o.parquet")
        rows = X if name == "arrays" else frame.to_pandas()
        if name == "two":
            assert out.column_names == ["prediction_0", "prediction_1"]
            predicted = np.column_stack([out[j].to_numpy() for j in (0, 1)])
            np.testing.assert_allclose(predicted, model.predict(rows))
        elif name == "classes":
            assert out["prediction"].to_pylist() == model.predict(rows).tolist()
        else:
            np.testing.assert_allclose(out["prediction"].to_numpy(), model.predict(rows))


def test_threads_of_predict_are_those_asked_for(data, tmp_path, monkeypatch):
    succeeds("fit", data / "x.csv", "--target", "y", "--model", "linear", "-o", tmp_path / "m")
    from scalekern.estimators import base

    seen = []
    engine_for = base.engine_for
    monkeypatch.setattr(base, "engine_for", lambda rows, n: seen.append(n) or engine_for(rows, n))
    words = ["predict", tmp_path / "m", data / "x.csv", "-o", tmp_path / "o.parquet"]
    succeeds(*words, "--n-jobs", 1)
    succeeds(*words)
    assert seen == [1, None]


def test_an_existing_output_is_replaced_whole_or_left_alone(data, tmp_path):
    succeeds("fit", data / "x.csv", "--target", "y", "--model", "linear", "-o", tmp_path / "m")
    out = tmp_path / "o.parquet"
    out.write_text("old")
    (tmp_path / "bad.csv").write_text("a,b,c\n1,2,3\n1,,3\n")
    fails("predict", tmp_path / "m", tmp_path / "bad.csv", "-o", out)
    assert out.read_text() == "old"
    succeeds("predict", tmp_path / "m", data / "x.csv", "-o", out)
    assert len(predictions_of(out)) == N


# ---------------------------------------------------------------- what is wrong


def fails(*words, match=""):
    """Run a command that must fail: code 2, one line, no traceback."""
    result = run(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert re.fullmatch(r"scalekern: [^\n]+\n", result.stderr), result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert re.search(match, result.stderr), result.stderr
    return result.stderr


WRONG_ROWS = {
    "nowhere.csv": (None, "nowhere.csv does not exist"),
    "nowhere/*.parquet": (None, "does not exist"),
    "empty.csv": ("", "empty.csv is empty; give a file with a line of column names"),
    "header.csv": ("a,y\n", "header.csv has no rows"),
    "semicolons.csv": ("a;y\n1;2\n", "must be separated by commas"),
    "ragged.csv": ("a,y\n1,2\n3\n", "Expected 2 columns, got 1"),
    "text.csv": ("a,y\nx,1\nz,2\n", "holds text, not numbers .first 'x' at row 0.*--drop"),
    "missing.csv": ("a,y\n1,2\n,3\n", r"column 'a' of missing.csv has 1 missing .*row 1"),
    "nan.csv": ("a,y\n1,2\nnan,3\n", r"column 'a' of nan.csv has 1 missing.*row 1"),
    "inf.csv": ("a,y\n1,2\n2,inf\n", r"column 'y' of inf.csv has 1 infinite.*row 1"),
    "other.csv": ("a,b\n1,2\n", "other.csv has no column 'y'; it has 'a', 'b'"),
    "only.csv": ("y\n1\n2\n", "only.csv has no column left for the features"),
    "twice.csv": ("a,a,y\n1,2,3\n", "more than one column 'a'"),
    "bad.parquet": ("PAR1", "bad.parquet cannot be read as Parquet"),
    "bad.npy": ("nothing", "bad.npy cannot be read"),
    "bad.npz": ("nothing", "bad.npz cannot be read"),
    "notes.txt": ("a,y\n1,2\n", "notes.txt is of no known kind; the endings are .parquet, .csv"),
}


@pytest.mark.parametrize("command", ["compare", "fit"])
@pytest.mark.parametrize("name", WRONG_ROWS)
def test_wrong_rows_are_one_line_and_leave_nothing(name, command, tmp_path):
    content, message = WRONG_ROWS[name]
    if content is not None:
        (tmp_path / name).write_text(content)
    before = everything_in(tmp_path)
    more = ["-o", tmp_path / "m"] if command == "fit" else []
    fails(command, tmp_path / name, "--target", "y", "--json", tmp_path / "out.json", *more,
          match=message)  # fmt: skip
    assert everything_in(tmp_path) == before


WRONG_OPTIONS = {
    "--target": (["--target", "z"], "no column 'z'; it has 'a', 'b', 'c', 'y'"),
    "--features": (["--features", "a,z"], "no column 'z'"),
    "--features target": (["--features", "a,y"], "'y' is both feature and target"),
    "--drop": (["--drop", "z"], "no column 'z'"),
    "--weight": (["--weight", "z"], "no column 'z'"),
    "--weight negative": (["--weight", "a"], r"'a' of x.csv must be .* not negative; row \d"),
    "--key": (["--key", "z"], "no column 'z'"),
    "--kernel": (["--kernel", "magic"], "'magic' is not one of"),
    "--gamma": (["--gamma", "wide"], "'wide' is neither a number nor one of median, scale, cv"),
    "--gamma 0": (["--gamma", "0"], "gamma=0.0"),
    "--gamma several": (["--gamma", "1,2"], "'1,2' is several numbers; give one"),
    "--alpha": (["--alpha", "small"], "'small' is neither a number nor one of loo, gcv, cv"),
    "--alpha -1": (["--alpha", "-1"], "alpha"),
    "--alpha nan": (["--alpha", "nan"], "alpha"),
    "--scaler": (["--scaler", "robust"], "'robust' is not one of 'standard'"),
    "--n-components": (["--n-components", "0"], "0 is not in the range x>=1|whole number above 0"),
    "--n-neighbors": (["--n-neighbors", "500"], "n_neighbors=500 but n_samples"),
    "--n-neighbors 0": (["--n-neighbors", "0"], "0 is not in the range"),
    "--random-state": (["--random-state", "-1"], "-1 is not in the range"),
    "--n-jobs": (["--n-jobs", "two"], "'two' is not a valid int"),
    "--memory-limit": (["--memory-limit", "0"], "memory_limit=0"),
    "--memory-limit much": (["--memory-limit", "much"], "'much' is not a size; write one such as"),
    "--tile-dtype": (["--tile-dtype", "int8"], "'int8' is not one of"),
    "--json": (["--json", "FOLDER"], "is a folder; give the name of a file"),
    "--json, a URL": (["--json", "s3://store/x.json"], "is a URL; give the name of a file"),
    "--unknown": (["--unknown"], "No such option:? '?--unknown"),
}


@pytest.mark.parametrize("command", ["fit", "plan"])
@pytest.mark.parametrize(
    ("model", "option"),
    [
        ("linear", "--n-components=7"),
        ("linear", "--no-intercept"),
        ("exact", "--weights=distance"),
        ("exact", "--n-neighbors=7"),
        ("nystroem", "--target-recall=0.5"),
        ("local", "--n-components=9"),
        ("knn", "--kernel=laplacian"),
        ("knn", "--alpha=5"),
    ],
)
def test_options_of_other_models_are_refused(command, model, option, data, tmp_path):
    output = ["-o", str(tmp_path / "model")] if command == "fit" else []
    name, given = option.split("=")[0].replace("no-", ""), [command, str(data / "full.csv")]
    match = f"{name} does nothing with --model {model}"
    fails(*given, "--target", "y", "--model", model, option, *output, match=match)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["compare", "fit"])
@pytest.mark.parametrize("name", WRONG_OPTIONS)
def test_wrong_options_are_one_line_and_leave_nothing(name, command, data, tmp_path):
    words, message = WRONG_OPTIONS[name]
    words = [tmp_path if word == "FOLDER" else word for word in words]
    more = ["--model", "knn", "-o", tmp_path / "m"] if command == "fit" else []
    if command == "fit" and ("gamma" in name or "alpha" in name or "kernel" in name):
        more = ["--model", "exact", "-o", tmp_path / "m"]
    if "weight" in name:
        more += ["--models", "linear"] if command == "compare" else ["--model", "linear"]
    target = [] if "--target" in words else ["--target", "y"]
    fails(command, data / "x.csv", *target, *words, *more, match=message)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit"], "Missing argument 'DATA'"),
        (["fit", "a.csv", "b.csv", "--target", "y", "-o", "m"], "quotes around a pattern"),
        (["fit", "x.csv"], "Missing option '--target'"),
        (["fit", "x.csv", "--target", "y"], "Missing option '-o'"),
        (["compare"], "Missing argument 'DATA'"),
        (["predict"], "Missing argument 'MODEL'"),
        (["predict", "m", "x.csv"], "Missing option '-o'"),
        (["predict", "m", "x.csv", "-o", "out.npy"], "out.npy must end in .parquet or .csv"),
        (["guess"], "No such command 'guess'"),
        (["--guess"], "No such option:? '?--guess"),
    ],
)
def test_wrong_words_are_one_line(words, message):
    fails(*words, match=message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--test-size", "0"], "test_size"),
        (["--test-size", "-1"], "test_size"),
        (["--test-size", "1"], "test_size"),
        (["--test-size", "9999"], "test_size"),
        (["--models", "exact,magic"], "'magic'; choose one of 'exact', 'linear'"),
        (["--exact-rows", "1"], "1 is not in the range"),
        (["--test", "nowhere.csv"], "nowhere.csv does not exist"),
    ],
)
def test_wrong_options_of_compare_are_one_line(words, message, data):
    fails("compare", data / "x.csv", "--target", "y", *words, match=message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "forest"], "'forest' is not one of 'auto', 'exact'"),
        (["--model", "nystroem", "--solver", "pinv"], "solver='pinv' does not go with"),
        (["--model", "fourier", "--kernel", "linear"], "need a stationary or polynomial kernel"),
        (["--model", "knn", "--metric", "nearness"], "metric='nearness' does not exist"),
        (["--model", "knn", "--algorithm", "quick"], "algorithm='quick' is none of"),
        (["--model", "knn", "--target-recall", "2"], "2.0 is not in the range"),
        (["--model", "knn", "--weight", "w"], "cannot use sample weights"),
        (["--model", "linear", "--target", "name"], "string, not a number; .*--model knn"),
        (["--model", "linear", "--key", "y"], "both target and weight or key"),
    ],
)
def test_wrong_options_of_fit_are_one_line(words, message, data, tmp_path):
    words = ["--drop", "name,day", "--target", "y", *words, "-o", tmp_path / "m"]
    fails("fit", data / "full.csv", *words, match=message)
    assert everything_in(tmp_path) == []


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "m"
    succeeds("fit", data / "x.csv", "--target", "y", "--model", "linear", "-o", folder)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere.csv", None, r"nowhere.csv does not exist"),
        ("empty.csv", "", r"empty.csv is empty"),
        ("header.csv", "a,b,c\n", r"header.csv has no rows"),
        ("lacking.csv", "a,c\n1,2\n", r"lacking.csv has no column 'b'; it has 'a', 'c'"),
        ("text.csv", "a,b,c\n1,x,3\n", "column 'b' of text.csv is string, not a number"),
        ("missing.csv", "a,b,c\n1,2,3\n1,,3\n", r"'b' of missing.csv has 1 missing .*row 1"),
        ("late.csv", "a,b,c\n" + "1,2,3\n" * 99 + "1,inf,3\n", r"'b' of late.csv .*row 99"),
        ("twice.csv", "a,b,c,a\n1,2,3,4\n", r"more than one column 'a'"),
        ("bad.parquet", "PAR1", r"bad.parquet cannot be read as Parquet"),
    ],
)
def test_wrong_rows_for_predict_are_one_line_and_leave_nothing(
    name, content, message, model, tmp_path
):
    if content is not None:
        (tmp_path / name).write_text(content)
    before = everything_in(tmp_path)
    words = ["-o", tmp_path / "o.parquet", "--json", tmp_path / "o.json"]
    fails("predict", model, tmp_path / name, *words, match=message)
    assert everything_in(tmp_path) == before


def test_a_bad_value_in_a_late_file_leaves_nothing_half_written(model, data, tmp_path):
    table = pq.read_table(data / "x.parquet")
    (tmp_path / "parts").mkdir()
    big = pa.concat_tables([table] * 600)
    pq.write_table(big, tmp_path / "parts" / "0.parquet")
    spoiled = table.set_column(0, "a", pa.array([None, *X[1:, 0]]))
    pq.write_table(spoiled, tmp_path / "parts" / "1.parquet")
    before = everything_in(tmp_path)
    fails("predict", model, tmp_path / "parts", "-o", tmp_path / "o.parquet", "--keep", "y",
          match=r"'a' of 1.parquet has .*row 0")  # fmt: skip
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--keep", "z"], "no column 'z'"),
        (["--keep", "prediction"], "'prediction' has the name of a column"),
        (["--n-jobs", "two"], "'two' is not a valid int"),
        (["--json", "FOLDER"], "is a folder"),
        (["-o", "FOLDER"], "a folder of predictions is made of Parquet files"),
    ],
)
def test_wrong_options_of_predict_are_one_line(words, message, model, data, tmp_path):
    words = [tmp_path if word == "FOLDER" else word for word in words]
    out = [] if "-o" in words else ["-o", tmp_path / "o.parquet"]
    fails("predict", model, data / "x.csv", *out, *words, match=message)
    assert everything_in(tmp_path) == []


def test_wrong_models_are_one_line(data, tmp_path):
    (tmp_path / "empty").mkdir()
    sk.save(sk.RowPreparer().fit(X), tmp_path / "preparer")
    sk.save(sk.SimilarityRegressor(lambda x, z: float(x @ z), alpha=1.0).fit(X, Y), tmp_path / "f")
    sk.save(sk.LinearRegressor().fit(X, Y), tmp_path / "cut")
    (tmp_path / "cut" / "model.json").write_text("{")
    before = everything_in(tmp_path)
    for name, message in {
        "nowhere": "nowhere does not exist; give the folder that `scalekern fit -o`",
        "empty": "empty is not a stored model: it has no model.json",
        "cut": "model.json is truncated or damaged",
        "preparer": "ends in a RowPreparer, which does not predict",
        "f": "has the function '<lambda>' as its kernel",
    }.items():
        fails("predict", tmp_path / name, data / "x.npz", "-o", tmp_path / "o.parquet",
              match=message)  # fmt: skip
        assert everything_in(tmp_path) == before


def test_outputs_that_cannot_be_written_are_said_before_the_work(model, data, tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = everything_in(tmp_path)
    target = ["--target", "y", "--model", "linear"]
    for out, message in (
        ("full", "already exists and is not a stored model"),
        ("file", "already exists and is not a stored model"),
        ("file/m", "cannot be written"),
    ):
        fails("fit", data / "x.csv", *target, "-o", tmp_path / out, match=message)
    fails("predict", model, data / "x.csv", "-o", tmp_path / "file" / "o.parquet",
          match="cannot be written")  # fmt: skip
    for command in (
        ["compare", data / "x.csv", "--target", "y"],
        ["fit", data / "x.csv", *target, "-o", tmp_path / "m"],
        ["predict", model, data / "x.csv", "-o", tmp_path / "o.parquet"],
    ):
        fails(*command, "--json", tmp_path / "file" / "x.json", match="cannot be written")
    assert everything_in(tmp_path) == before


def test_predictions_do_not_overwrite_their_data(model, data, tmp_path):
    file = tmp_path / "mine.parquet"
    file.write_bytes((data / "x.parquet").read_bytes())
    before = file.read_bytes()
    for source in (file, tmp_path, tmp_path / "*.parquet"):
        fails("predict", model, source, "-o", file, match="is one of the files of the data")
        assert file.read_bytes() == before


def test_a_full_disk_is_one_line_and_leaves_nothing(model, data, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    fails("predict", model, data / "x.csv", "-o", tmp_path / "o.parquet", match="No space left")
    close, calls = pq.ParquetWriter.close, []

    def full_at_the_end(self):
        calls.append(self)
        return full() if len(calls) == 1 else close(self)

    monkeypatch.setattr(pq.ParquetWriter, "close", full_at_the_end)
    fails("predict", model, data / "x.csv", "-o", tmp_path / "o.parquet", match="No space left")
    monkeypatch.undo()
    from pathlib import Path

    monkeypatch.setattr(Path, "replace", full)
    fails("compare", data / "x.csv", "--target", "y", "--models", "linear",
          "--json", tmp_path / "o.json", match="No space left")  # fmt: skip
    assert everything_in(tmp_path) == []


def test_warnings_are_one_line_each(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", X=rng.normal(size=(900, 12)), y=rng.normal(size=900))
    with pytest.MonkeyPatch.context() as patch:
        # pytest makes an error of each warning; a user's Python shows them.
        patch.setenv("PYTHONWARNINGS", "default")
        code = "from scalekern.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "fit", tmp_path / "x.npz", "--target", "y", "--model",
             "knn", "--algorithm", "PCA2,SQ4", "-o", tmp_path / "m"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0
    assert re.fullmatch(r"scalekern: note: recall at 5 neighbours is [^\n]+\n", done.stderr)


def test_help_names_every_command_and_the_first_thing_to_do():
    for words in ((), ("--help",), ("-h",)):
        shown = succeeds(*words)
        assert "scalekern compare DATA --target COLUMN" in shown
        assert {"compare", "fit", "predict"} <= set(shown.split())
    assert succeeds("--version").split()[-1] == sk.__version__
    for command in ("compare", "fit", "predict"):
        assert "--json" in succeeds(command, "--help")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", main.commands)
def test_help_has_an_example_and_a_purpose_for_each_option(command, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = succeeds(command, "--help")
    assert re.search(r"^Examples?:\n +", shown, re.MULTILINE)
    text = shown[: re.search(r"^Examples?:", shown, re.MULTILINE).start()]
    assert max(map(len, text.splitlines())) <= columns
    for param in main.commands[command].params:
        if isinstance(param, click.Option):
            assert param.help.endswith(".")
            assert shown.count(f"{param.opts[-1]} ") >= 1
    for line in main.commands[command].examples:
        words = shlex.split(line, comments=True)
        assert command in line.split()
        options = {name for param in main.commands[command].params for name in param.opts}
        assert {word for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize("models", ["linear", "knn", "nystroem", "exact", "local", "auto"])
def test_compare_and_fit_end_with_commands_that_run(models, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = ["--n-components", "5,10"] if models == "nystroem" else []
    shown = succeeds("compare", data / "full.csv", "--target", "y", "--drop", "name,day,w",
                     "--models", models, *sizes)  # fmt: skip
    fit = shlex.split(shown.splitlines()[-1].removeprefix("Next: "))
    assert fit[:2] == ["scalekern", "fit"]
    assert fit[fit.index("--model") + 1] == models
    as_compared = "--kernel rbf --gamma median --metric euclidean" in shlex.join(fit)
    assert as_compared == (models in {"nystroem", "exact", "local"})
    shown = succeeds(*fit[1:])
    predict = shlex.split(shown.splitlines()[-1].removeprefix("Next: "))
    succeeds(*[str(data / "full.csv") if word == "NEW-DATA" else word for word in predict[1:]])
    assert pq.read_table("predictions.parquet").num_rows == N


@pytest.mark.parametrize(
    ("models", "given", "kept"),
    [
        ("nystroem", "--n-components 40", "--n-components 40"),
        ("fourier", "", "--n-components 1000"),
        ("exact", "--alpha 0.1 --no-intercept", "--alpha 0.1 --no-intercept"),
        ("exact", "--alpha 0.1,1", "--alpha 0.1,1.0"),
        ("local", "", "--n-neighbors 32"),
        ("local", "--n-neighbors 9 --random-state 3", "--n-neighbors 9 --random-state 3"),
        ("knn", "--n-neighbors 9 --alpha 0.1", "--n-neighbors 9"),
        ("auto", "--alpha 0.1 --n-neighbors 9", "--model auto"),
    ],
)
def test_compare_ends_with_the_settings_that_its_model_had(models, given, kept, data):
    shown = succeeds("compare", data / "x.csv", "--target", "y", "--models", models, *given.split())
    command = shown.splitlines()[-1]
    assert set(kept.split()) <= set(command.split())
    left = {word for word in set(given.split()) - set(kept.split()) if word.startswith("--")}
    assert not left & set(command.split())


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("4GB", 4 * 10**9), ("4gib", 4 << 30), ("1.5 MB", 1_500_000), ("2k", 2000)],
)
def test_sizes_of_memory_may_have_a_unit(text, size):
    assert Bytes().convert(text, None, None) == size


def test_words_of_options_may_be_written_as_the_help_writes_them(data, tmp_path):
    words = ["--target", "y", "--gamma", "SCALE", "--alpha", "GCV", "-o", tmp_path / "m"]
    succeeds("fit", data / "x.csv", *words)
    params = sk.load(tmp_path / "m").steps[-1][1].get_params()
    assert (params["gamma"], params["alpha"]) == ("scale", "gcv")


def test_messages_of_several_lines_become_one(tmp_path):
    fails("compare", tmp_path / "no\nwhere.csv", "--target", "y", match=r"no where.csv does not")


def test_a_mistake_in_words_points_to_the_help():
    assert fails("fit", "x.csv").endswith("Missing option '--target'; see main fit --help\n")


def test_a_mistake_in_a_real_process_is_code_2_and_one_line(data, tmp_path):
    code = "from scalekern.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", data / "x.csv", "--target", "z", "-o", tmp_path / "m"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"scalekern: x.csv has no column 'z'; [^\n]+\n", done.stderr)
    assert everything_in(tmp_path) == []


def test_neighbors_shows_the_columns_of_rows_found_by_their_key(tmp_path):
    # Keys that are whole numbers too, but not those of the rows.
    columns = {"id": np.arange(N)[::-1], "a": X[:, 0], "b": X[:, 1], "y": X[:, 2]}
    file, model = tmp_path / "x.parquet", tmp_path / "model"
    pq.write_table(pa.table(columns), file)
    train = ("--target", "y", "--key", "id")
    succeeds("fit", file, *train, "--model", "knn", "--scaler", "none", "-o", model, "--quiet")
    shown = succeeds("neighbors", model, file, "--row", 7, "--rows", file, *train, "--json", "-")
    document = json.loads(shown)
    nearest = document["neighbors"][0]
    assert nearest["row"] == N - 1 - 7
    assert nearest["target"] == X[7, 2]
    assert document["query"] == {"a": X[7, 0], "b": X[7, 1]}
    assert {name: nearest[name] for name in "ab"} == document["query"]
