"""The report: its numbers are the comparison's, it loads nothing, and no name in it is code."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from click.testing import CliRunner

import scalekern as sk
from scalekern.cli import main
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.report import sections
from scalekern.report.candidates import MODELS
from scalekern.report.markup import element
from scalekern.report.names import family_of, key_of, name_of
from scalekern.report.page import write_page
from scalekern.report.recommend import on_front, recommend
from scalekern.report.wording import choice_of, rounded

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

RNG = np.random.default_rng(7)
X = RNG.uniform(-3, 3, size=(240, 2))
Y = np.sin(X[:, 0]) * X[:, 1] + 0.1 * RNG.standard_normal(240)
SIZES = [10, 40, 120]
# Its exact model needs the whole Gram matrix, where a definite one could do without.
INDEFINITE = sk.BlockKernel(lambda X, Z: np.exp(-0.5 * ((X[:, None] - Z) ** 2).sum(axis=2)))
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser would see: elements in order, their attributes, and text by element."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))

    def inside(self, tag):
        return [text for path, text in self.texts if path and path[-1] == tag]

    @property
    def all_text(self):
        return "".join(text for path, text in self.texts if "style" not in path)


def cells(text):
    """Return the lines of the first table as lists of cells."""
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    return [
        [Page(f"<p>{cell}</p>").all_text for cell in _between(line)]
        for line in body.split("<tr")[1:]
    ]


def _between(line):
    return [part.split(">", 1)[1].split("</td>")[0] for part in line.split("<td")[1:]]


@pytest.fixture(scope="module")
def comparison():
    return sk.compare(X, Y, n_components=SIZES, alpha=1e-2, gamma=0.5)


@pytest.fixture(scope="module")
def page(comparison):
    return comparison.to_html(title="Waves", target="height", unit="m")


def test_the_table_of_the_report_has_the_numbers_of_the_comparison(comparison, page):
    lines = cells(page)
    assert len(lines) == len(comparison.results) == 11
    for line, result in zip(lines, comparison.results, strict=True):
        assert line[0] == name_of(result.model)
        for cell, value in zip(
            line[1:5], (result.rmse, result.mae, result.r2, result.gap_to_exact), strict=True
        ):
            assert float(cell.rstrip("* ")) == pytest.approx(value, rel=5e-3, abs=5e-5)
        assert float(line[1].rstrip("* ")) == pytest.approx(result.rmse, rel=1e-5)
        assert line[-2:] == ["180", result.note]
    assert page.count('class="chosen"') == 1
    marked = page[page.index('class="chosen"') :]
    assert f"<td>{name_of(comparison.recommended.model)}</td>" in marked[:120]


def test_the_report_says_what_it_is_of(comparison, page):
    text = Page(page).all_text
    for words in (
        "Waves", "height", "60 (a quarter of all rows, split off at random)",
        comparison.recommended.reason, comparison.results[-1].note,
        f"mean {comparison.y_test.mean():.4g}", f"alpha {comparison.alpha:.4g}",
        "scalekern.compare(X, y, gamma=0.5, alpha=0.01, n_components=[10, 40, 120])",
        sk.__version__, np.__version__,
    ):  # fmt: skip
        assert words in text, words
    for result in comparison.results:
        if result.model in ("local", "nystroem-120", "fourier-120", "auto"):
            assert f"gap to exact {result.gap_to_exact:.3g}" in text


def test_the_report_says_what_each_kind_of_model_is(comparison, page):
    assert set(sections.WHAT_MODELS_ARE) == set(MODELS)
    text = Page(page).all_text
    for result in comparison.results:
        assert sections.WHAT_MODELS_ARE[family_of(result.model)] in text


def test_the_report_loads_nothing_and_runs_nothing(page):
    found = Page(page)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in found.elements}
    images = [attributes for tag, attributes in found.elements if tag == "img"]
    assert len(images) == 8
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    for tag, attributes in found.elements:
        assert "href" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert tag == "img" or "src" not in attributes
    assert "url(" not in page
    assert "@import" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_pictures_inside_are_whole_files(page):
    for tag, attributes in Page(page).elements:
        if tag != "img":
            continue
        kind, _, code = attributes["src"].partition(";base64,")
        content = base64.b64decode(code, validate=True)
        if kind == "data:image/png":
            assert content.startswith(b"\x89PNG")
            assert content.rstrip().endswith(b"IEND\xaeB`\x82")
        else:
            assert content.rstrip().endswith(b"</svg>")


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><b>bold",
    "it's & ümläut 温度 \u202e\U0001f600",
    "x" * 5000,
    "$\\frac{",
    "nul\x00 and \x1b[31m",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_code(name, page):
    frame = pa.table({name: X[:, 0], "b": X[:, 1]}) if "\x00" not in name else X
    compared = sk.compare(frame, Y, models=["linear", "knn"])
    hostile = compared.to_html(title=name, target=name, unit=name, command=name)
    found = Page(hostile)
    ours = {tag for tag, _ in Page(page).elements} | {"bdi"}
    assert {tag for tag, _ in found.elements} <= ours
    for _, attributes in found.elements:
        assert not any(attribute.startswith("on") for attribute in attributes)
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name)
    assert found.inside("title") == [shown]
    assert found.inside("h1") == [shown]
    assert found.inside("code") == [shown]
    if len(name) < 50 and frame is not X:
        assert found.inside("bdi") == [shown, "b"]
    hostile.encode("utf-8")


def test_half_a_letter_is_no_error():
    assert element("p", "half \ud800") == "<p>half ?</p>"


def test_a_report_is_written_whole_or_not_at_all(comparison, tmp_path):
    path = tmp_path / "report.html"
    text = comparison.to_html(path)
    assert path.read_text(encoding="utf-8") == text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InvalidInputError, match="is a folder; give the name of a file"):
        write_page(tmp_path, text)
    with pytest.raises(InvalidInputError, match="folder that exists"):
        write_page(tmp_path / "nowhere" / "report.html", text)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_the_command_line_writes_the_report(tmp_path):
    name = "<i>height</i>"
    pa.csv.write_csv(pa.table({"a": X[:, 0], "b": X[:, 1], name: Y}), tmp_path / "x.csv")
    out = tmp_path / "report.html"
    words = ["compare", str(tmp_path / "x.csv"), "--target", name, "--n-components", "5,20",
             "--report", str(out), "--json", str(tmp_path / "out.json")]  # fmt: skip
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "Recommended: " in result.output
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["n_components"] for row in rows] == [None] * 4 + [5, 20] * 2 + [None]
    lines = cells(out.read_text(encoding="utf-8"))
    for line, row in zip(lines, rows, strict=True):
        assert float(line[1].rstrip("* ")) == pytest.approx(row["rmse"], rel=1e-5)
    assert "Predicting <i>" in Page(out.read_text(encoding="utf-8")).all_text
    for more in (["--n-components", "5,x"], ["--report", str(tmp_path)]):
        assert CliRunner().invoke(main, words + more).exit_code == 2


def test_the_auto_model_is_a_regressor_with_nothing_set(comparison):
    alone = sk.SimilarityRegressor(random_state=0)
    model = comparison.models["auto"]
    assert model.get_params() == alone.get_params()
    prepared = comparison.preparer.transform(X)
    train = np.random.RandomState(0).permutation(240)[60:]
    alone.fit(prepared[train], Y[train])
    np.testing.assert_allclose(
        alone.predict(prepared), comparison.pipeline("auto").predict(X), rtol=1e-9
    )
    gap = comparison.predictions["auto"] - comparison.predictions["exact"]
    expected = np.sqrt(np.mean(gap**2)) / comparison.y_test.std()
    assert comparison.results[-1].gap_to_exact == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"approximation": "nystroem", "n_components": 30}, "Nyström, Matérn 5/2, 30 landmarks"),
        ({"approximation": "local", "n_neighbors": 9}, "local, Matérn 5/2, 9 neighbours"),
        ({"approximation": "exact", "alpha": 0.1}, "exact, Matérn 5/2"),
    ],
)
def test_what_was_chosen_is_said_in_words(settings, words):
    model = sk.SimilarityRegressor("matern52", gamma=0.5, random_state=0, **settings)
    assert choice_of(model.fit(X, Y)) == words


def test_a_learned_metric_is_said():
    wide = np.column_stack([RNG.standard_normal((400, 4)), 0.02 * RNG.standard_normal(400)])
    target = np.sin(150 * wide[:, -1])
    model = sk.SimilarityRegressor("rbf", approximation="local", n_neighbors=16, random_state=0)
    model.fit(wide, target)
    assert hasattr(model, "feature_relevances_")
    assert choice_of(model).endswith(", learned metric")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RBF(gamma=0.06068091705114675)", "RBF(gamma=0.06068)"),
        ("1.2345678e-10", "1.235e-10"),
        ([0.25, 1.23456, 100000], "[0.25, 1.235, 100000]"),
        ("faiss 1.15.200000, part-0.000001.parquet", "faiss 1.15.200000, part-0.000001.parquet"),
    ],
)
def test_long_numbers_and_nothing_else_are_shortened(text, shown):
    assert rounded(text) == shown


def test_nobody_reads_sixteen_digits():
    table = sk.compare(X, Y, models=["exact", "nystroem"], n_components=20)
    text = Page(table.to_html()).all_text
    assert rounded(table.kernel) in text
    assert table.kernel not in text


def test_a_model_fitted_to_fewer_rows_says_so_beside_its_name():
    table = sk.compare(X, Y, models=["exact", "linear"], exact_rows=50)
    assert "exact (50 rows)" in str(table)
    page = table.to_html()
    assert cells(page)[0][0] == "exact (50 rows)"
    text = Page(page).all_text
    assert "fitted to the same 180 rows (exact to 50 of them)" in text
    assert "linear (" not in text


def test_the_report_of_rows_from_a_file_says_where_they_are_from(tmp_path):
    pa.csv.write_csv(pa.table({"a": X[:, 0], "b": X[:, 1], "height": Y}), tmp_path / "x.csv")
    source = sk.rows(tmp_path / "x.csv", target="height", raw=True)
    for size, share in ((0.25, "60 (a quarter of"), (0.3, "72 (30% of"), (24, "24 (a part of")):
        table = sk.compare(source, models=["linear"], test_size=size)
        text = Page(table.to_html()).all_text
        assert f"{240 - table.data.n_test} (x.csv)" in text
        assert f"{share} x.csv, split off at random)" in text
        assert "Predicting height" in text
        assert "2: a, b" in text
    table = sk.compare(X, Y, test=(X, Y), models=["linear"])
    assert "(X)" not in Page(table.to_html()).all_text


def test_a_target_that_is_the_same_everywhere_is_an_error_and_in_test_rows_a_remark():
    with pytest.raises(InvalidInputError, match="target is 7 in every row"):
        sk.compare(X, np.full(240, 7.0))
    table = sk.compare(X, Y, test=(X[:5], np.full(5, 7.0)), models=["linear"])
    assert "all are 7, so there is no R²" in Page(table.to_html()).all_text


# ---------------------------------------------------------------- several sizes, failures


def test_several_sizes_are_models_of_their_own(comparison):
    assert set(comparison.models) == {
        "exact", "linear", "knn", "local", "auto",
        *(key_of(family, size) for family in ("nystroem", "fourier") for size in SIZES),
    }  # fmt: skip
    for curve in comparison.curves():
        key = key_of(curve["model"], curve["n_components"])
        error = comparison.predictions[key] - comparison.y_test
        assert curve["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12)
        alone = sk.compare(
            X, Y, n_components=curve["n_components"], alpha=1e-2, gamma=0.5, models=[curve["model"]]
        )
        assert alone.results[0].model == curve["model"]
        assert alone.results[0].rmse == pytest.approx(curve["rmse"], rel=1e-9)
    gaps = [r.gap_to_exact for r in comparison.results if family_of(r.model) == "nystroem"]
    assert gaps == sorted(gaps, reverse=True)


def test_more_landmarks_than_rows_are_as_many_as_rows():
    table = sk.compare(X, Y, models=["nystroem"], n_components=[20, 999])
    assert [result.n_components for result in table.results] == [20, 180]


@pytest.mark.parametrize("sizes", [[], [10, 0], [2.5], "many"])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(InvalidInputError, match="n_components"):
        sk.compare(X, Y, n_components=sizes)


def test_the_exact_model_beyond_the_memory_limit_is_left_out_with_the_reason():
    with sk.config_context(memory_limit=1_700_000):
        names = ["exact", "linear", "knn", "nystroem"]
        table = sk.compare(X, Y, models=names, n_components=40, kernel=INDEFINITE)
    rows = {row["model"]: row for row in table.rows()}
    assert "not fitted: the exact model of 180 rows needs about" in rows["exact"]["note"]
    unknown = ("rmse", "mae", "r2", "gap_to_exact", "fit_seconds", "model_bytes")
    assert {rows["exact"][key] for key in unknown} == {None}
    assert {row["gap_to_exact"] for row in rows.values()} == {None}
    assert all(rows[name]["rmse"] > 0 for name in ("linear", "knn", "nystroem"))
    assert "exact: not fitted: the exact model of 180 rows" in str(table)
    assert "not fitted: the exact model of 180 rows" in Page(table.to_html()).all_text
    assert table.best in table.models
    json.loads(table.to_json())


def test_where_no_model_can_be_fitted_the_error_is_raised():
    with (
        sk.config_context(memory_limit=1000),
        pytest.raises(InvalidInputError, match="needs about"),
    ):
        sk.compare(X, Y, models=["exact"], kernel=INDEFINITE)


def test_a_model_that_fails_does_not_stop_the_others(monkeypatch):
    def fail(self, *args, **kwargs):
        raise np.linalg.LinAlgError("singular <matrix>")

    monkeypatch.setattr(sk.KNeighborsRegressor, "fit", fail)
    table = sk.compare(X, Y, models=["linear", "knn"])
    assert [row["note"] for row in table.rows()] == ["", "not fitted: singular <matrix>"]
    assert "singular &lt;matrix&gt;" in table.to_html()
    monkeypatch.setattr(sk.KNeighborsRegressor, "fit", lambda self, X: 1 + "a")
    with pytest.raises(TypeError):  # a bug is not hidden
        sk.compare(X, Y, models=["linear", "knn"])


@pytest.mark.parametrize("wrong", [{"alpha": -1.0}, {"gamma": 0.0}, {"kernel": "flat"}])
def test_a_wrong_parameter_is_an_error_not_a_row(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sk.compare(X, Y, **wrong)


@pytest.mark.parametrize("kind", [np.asarray, list, pa.array])
def test_classes_are_refused_with_what_to_do(kind):
    labels = kind([str(label) for label in np.where(Y > 0, "up", "down")])
    with pytest.raises(UnsupportedError, match=r"texts such as .*SimilarityClassifier.*log_loss"):
        sk.compare(X, labels)


# ---------------------------------------------------------------- the rule


def losses(*means, noise=1.0, n=1000):
    """Squared errors of models of the given means, with noise that they share and a bit of own."""
    rng = np.random.default_rng(0)
    shared = rng.exponential(noise, n)
    return [mean + shared + 0.01 * rng.standard_normal(n) for mean in means]


@pytest.mark.parametrize("n", [3, 300])
def test_a_recommendation_by_few_rows_says_that_they_are_few(n):
    a, b = losses(1.0, 1.0, n=n)
    advice = recommend({"local": a, "linear": b}, {"local": 10**9, "linear": 8})
    assert ("so few test rows hardly tell models apart" in advice.reason) == (n == 3)


def test_a_clearly_better_model_is_recommended_whatever_its_size():
    a, b = losses(1.0, 1.1)
    advice = recommend({"local": a, "linear": b}, {"local": 10**9, "linear": 8})
    assert advice.model == advice.best == "local"
    assert advice.within_noise == ("local",)
    assert "every other model is worse by more than the noise" in advice.reason


def test_within_noise_the_fewest_bytes_win():
    a, c = losses(1.0, 2.0)
    b = a + 0.0002 + np.where(np.arange(1000) % 2, 0.01, -0.01)
    advice = recommend(
        {"exact": a, "nystroem-250": b, "linear": c},
        {"exact": 55_000, "nystroem-250": 12_000, "linear": 48},
    )
    assert (advice.model, advice.best) == ("nystroem-250", "exact")
    assert set(advice.within_noise) == {"exact", "nystroem-250"}
    assert "Nyström 250" in advice.reason
    assert "12.0 kB against 55.0 kB" in advice.reason


def test_the_noise_is_that_of_the_difference_row_by_row():
    # Far less than the noise of either mean, yet the same on every row.
    shared = np.random.default_rng(0).exponential(100.0, 500)
    steady = recommend({"knn": shared, "linear": shared + 0.01}, {"knn": 9000, "linear": 8})
    assert steady.model == "knn"
    difference = np.where(np.arange(500) % 2, 1.0, -0.98)
    swinging = recommend({"knn": shared, "linear": shared + difference}, {"knn": 9000, "linear": 8})
    assert swinging.model == "linear"


@pytest.mark.parametrize(("times", "chosen"), [(1.9, "linear"), (2.1, "knn")])
def test_the_rule_draws_its_line_at_two_standard_errors(times, chosen):
    swing = np.where(np.arange(400) % 2, 1.0, -1.0)
    error = swing.std(ddof=1) / 20
    zero = np.zeros(400)
    advice = recommend({"knn": zero, "linear": swing + times * error}, {"knn": 9, "linear": 1})
    assert advice.model == chosen


def test_one_model_one_row_and_no_model():
    assert recommend({"knn": np.ones(1)}, {"knn": 5}).model == "knn"
    both = recommend({"knn": np.ones(1), "exact": np.array([1.5])}, {"knn": 5, "exact": 1})
    assert both.model == "knn"
    with pytest.raises(InvalidInputError, match="no model can be recommended"):
        recommend({"knn": np.array([np.nan])}, {"knn": 5})


def test_the_front_is_what_nothing_beats_in_both():
    rng = np.random.default_rng(3)
    costs, errors = rng.integers(0, 12, (2, 60)).tolist()
    pairs = list(zip(costs, errors, strict=True))
    for (cost, error), on in zip(pairs, on_front(costs, errors), strict=True):
        beaten = [(c, e) for c, e in pairs if c <= cost and e <= error and (c, e) != (cost, error)]
        assert on == (not beaten)


def test_names_of_sizes_are_taken_apart():
    assert family_of(key_of("nystroem", 250)) == "nystroem"
    assert name_of("fourier-12000") == "Fourier 12,000"
    assert family_of("my-250") == "my-250"
