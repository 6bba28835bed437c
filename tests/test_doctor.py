"""The doctor finds what is wrong: each problem is made here, in metadata, files and variables."""

import json
import shutil
import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner

import scalekern
from scalekern.checkup import libraries, resources, speed, versions
from scalekern.checkup.doctor import CHECKS, examine
from scalekern.checkup.findings import Checkup, Finding
from scalekern.checkup.model import check_model
from scalekern.cli import main
from scalekern.engine import limits

AVX512_FLAGS = "fpu avx2 fma avx512f avx512cd avx512vl avx512dq avx512bw"


@pytest.fixture
def installed(monkeypatch):
    """Return a function that sets what is installed, and what scalekern asks for."""

    def set_up(there, asked, python=">=3.11"):
        def version(name):
            if name not in there:
                raise metadata.PackageNotFoundError(name)
            return there[name]

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "requires", lambda name: asked)
        monkeypatch.setattr(metadata, "metadata", lambda name: {"Requires-Python": python})

    return set_up


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Return a function that sets the processor's features; None takes the file away."""

    def set_up(flags):
        file = tmp_path / "cpuinfo"
        if flags is not None:
            file.write_text(f"processor : 0\nflags\t\t: {flags}\nbugs : none\n")
        monkeypatch.setattr(libraries, "CPUINFO", str(file))

    return set_up


def levels(findings):
    return {finding.what: finding.level for finding in findings}


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("there", "level", "words"),
    [
        ({"numpy": "2.2.0"}, "ok", "2.2.0"),
        ({"numpy": "2.10"}, "ok", "2.10"),
        ({"numpy": "2.1.9"}, "problem", "too old"),
        ({"numpy": "3.0.0"}, "problem", "too new"),
        ({}, "problem", "missing"),
    ],
)
def test_versions_are_held_to_the_bounds_of_the_metadata(installed, there, level, words):
    installed({"scalekern": "1", **there}, ["numpy<3,>=2.2"])
    finding = {f.what: f for f in versions.check_versions()}["numpy"]
    assert (finding.level, words in finding.found) == (level, True)
    assert ("pip install 'numpy<3,>=2.2'" in finding.cure) == (level == "problem")


def test_a_python_that_is_too_old_is_a_problem(installed):
    installed({"scalekern": "1"}, [], python=">=9.0")
    assert levels(versions.check_versions())["Python"] == "problem"


def test_a_package_that_is_not_installed_says_so(installed):
    installed({}, [])
    assert levels(versions.check_versions()) == {"Python": "ok", "scalekern": "warning"}


def test_extras_that_are_missing_come_with_the_command(installed):
    asked = ["rapidfuzz>=3.9; extra == 'strings'", 'matplotlib>=3.10; extra == "plot"',
             "ruff; extra == 'lint'", "dask[dataframe]>=2025.1; extra == 'dask'"]  # fmt: skip
    installed({"scalekern": "1", "matplotlib": "3.10.1", "dask": "2024.1"}, asked)
    found = {f.what: f for f in versions.check_extras()}
    assert list(found) == ["[strings]", "[plot]", "[dask]"]
    assert "rapidfuzz is missing" in found["[strings]"].found
    assert "pip install 'scalekern[strings]'" in found["[strings]"].cure
    assert found["[plot]"].cure == ""
    assert found["[dask]"].level == "warning"
    assert "too old" in found["[dask]"].found


def test_the_bounds_of_this_package_are_read():
    try:
        metadata.version("scalekern")
    except metadata.PackageNotFoundError:
        pytest.skip("scalekern is not installed here; `make test` installs it")
    packages = {name for extra, name, _ in versions.requirements() if not extra}
    assert {"numpy", "scipy", "scikit-learn", "faiss-cpu"} <= packages
    assert {"strings", "plot"} <= {extra for extra, _, _ in versions.requirements()}


@pytest.mark.parametrize(
    ("version", "bounds", "said"),
    [
        ("1.8.2", ">=1.9", "too old"),
        ("1.9.0rc1", ">=1.9", ""),
        ("2.0", "<2", "too new"),
        ("1.9.9", ">=1.9,<2", ""),
        ("1.9", "!=1.9.0", "excluded"),
        ("1.9", "~=1.10", "too old"),
        ("1.0", "", ""),
    ],
)
def test_bounds_are_compared_as_numbers(version, bounds, said):
    assert versions.fault(version, bounds) == said


def test_cores_that_a_quota_takes_away_are_told(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    files = {"/sys/fs/cgroup/cpu.max": "200000 100000"}
    monkeypatch.setattr(limits, "_read", lambda path: files.get(path, ""))
    finding = only(resources.check_cores())
    assert (finding.level, "2 of the machine's 64" in finding.found) == ("warning", True)


@pytest.mark.parametrize(("used", "level"), [("1073741824", "ok"), ("4294967000", "problem")])
def test_memory_is_that_of_the_cgroup(monkeypatch, used, level):
    start = "/sys/fs/cgroup/memory."
    files = {
        start + "max": "4294967296",
        start + "current": used,
        "/proc/meminfo": "MemAvailable: 99999999 kB",
    }
    monkeypatch.setattr(limits, "_read", lambda path: files.get(path, ""))
    finding = only(resources.check_memory())
    assert (finding.level, "cgroup limit of 4.0 GiB" in finding.found) == (level, True)


def test_little_space_for_temporary_files_is_a_warning_and_none_a_problem(monkeypatch):
    class Usage:
        free = 1 << 20

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    assert only(resources.check_temporary_space()).level == "warning"

    def none():
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr("tempfile.gettempdir", none)
    assert only(resources.check_temporary_space()).level == "problem"


@pytest.mark.parametrize(
    ("variables", "level", "words"),
    [
        ({}, "ok", "none set"),
        ({"OMP_NUM_THREADS": "4"}, "ok", "=4"),
        ({"OMP_NUM_THREADS": "1"}, "warning", "fewer"),
        ({"OMP_NUM_THREADS": "16"}, "warning", "more threads"),
        ({"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "2"}, "warning", "contradict"),
        ({"MKL_NUM_THREADS": "all"}, "problem", "not a number"),
        ({"OMP_NUM_THREADS": "0"}, "problem", "not a number"),
        ({"OMP_NUM_THREADS": "²"}, "problem", "not a number"),
    ],
)
def test_thread_variables_are_compared_with_the_cores(monkeypatch, variables, level, words):
    monkeypatch.setattr(limits, "available_cores", lambda: 4)
    finding = only(resources.check_thread_variables(variables))
    assert (finding.level, words in finding.found) == (level, True)
    assert (level == "ok") or all(name in finding.cure for name in list(variables)[:1])


@pytest.mark.parametrize(
    ("flags", "value", "level"),
    [
        (AVX512_FLAGS, "Haswell", "problem"),
        (AVX512_FLAGS, "SkylakeX", "warning"),
        ("fpu avx2 fma", "Haswell", "warning"),
        ("fpu avx2 fma", "Prescott", "problem"),
        (None, "Haswell", "warning"),
    ],
)
def test_a_variable_that_halves_the_speed_is_a_problem(processor, flags, value, level):
    processor(flags)
    finding = only(libraries.check_core_variables({"OPENBLAS_CORETYPE": value}))
    assert finding.level == level
    assert "unset OPENBLAS_CORETYPE" in finding.cure
    assert only(libraries.check_core_variables({})).level == "ok"


def blas(kernels, prefix="libscipy_openblas"):
    return {
        "user_api": "blas", "internal_api": "openblas", "prefix": prefix, "version": "0.3.30",
        "filepath": "/site/numpy.libs/x.so", "num_threads": 2, "architecture": kernels,
    }  # fmt: skip


def openmp(prefix):
    return {"user_api": "openmp", "prefix": prefix, "filepath": f"/site/{prefix}.so"}


@pytest.mark.parametrize(
    ("flags", "kernels", "level"),
    [
        (AVX512_FLAGS, "SkylakeX", "ok"),
        (AVX512_FLAGS, "Haswell", "problem"),
        (AVX512_FLAGS, "Zen", "ok"),
        (AVX512_FLAGS, "Katmai", "problem"),
        ("fpu avx2", "Haswell", "ok"),
        ("fpu avx2", "neoversen1", "ok"),
        (None, "Haswell", "ok"),
    ],
)
def test_kernels_narrower_than_the_processor_are_a_problem(processor, flags, kernels, level):
    processor(flags)
    found = list(libraries.check_blas([blas(kernels)]))
    assert levels(found)["BLAS"] == level
    assert kernels in found[0].found


@pytest.mark.parametrize(
    ("prefixes", "level"),
    [
        ([], "ok"),
        (["libgomp", "libgomp"], "ok"),
        (["libgomp", "libomp"], "warning"),
        (["libiomp", "libomp"], "problem"),
    ],
)
def test_several_openmp_runtimes_are_told(prefixes, level):
    loaded = [blas("Zen"), *map(openmp, prefixes)]
    assert levels(libraries.check_blas(loaded))["OpenMP"] == level


def test_a_process_without_a_known_blas_is_warned_of():
    assert levels(libraries.check_blas([]))["BLAS"] == "warning"


@pytest.mark.parametrize(
    ("flags", "used", "level"),
    [
        (AVX512_FLAGS, "avx512", "ok"),
        (AVX512_FLAGS, "none", "problem"),
        ("fpu avx2", "none", "problem"),
        ("fpu sse4_2", "none", "ok"),
        (None, "none", "ok"),
    ],
)
def test_a_faiss_without_the_processors_instructions_is_a_problem(processor, flags, used, level):
    processor(flags)
    assert libraries.faiss_finding(used, "1.15").level == level


@pytest.mark.parametrize(("gflops", "level"), [(40, "ok"), (5, "problem")])
def test_slow_matrix_products_are_a_problem(processor, gflops, level):
    processor(AVX512_FLAGS)
    assert speed.product_finding(gflops * 1e9, 2 * gflops * 1e9).level == level


def test_nothing_fails_where_there_is_no_proc_and_no_cgroup(processor, monkeypatch):
    list(libraries.check_blas())  # other packages ask for what is taken away while they load
    processor(None)
    monkeypatch.setattr(limits, "_read", lambda path: "")
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.delattr("os.sysconf", raising=False)
    found = scalekern.doctor()
    assert not [f for f in found if "could not be checked" in f.found]
    assert {f.what for f in found} >= {"Python", "cores", "memory", "BLAS", "FAISS"}


def test_a_check_that_fails_does_not_keep_others_from_speaking():
    def broken():
        raise ImportError("no module named scipy")

    def odd():
        raise ZeroDivisionError("odd")

    fine = Finding("ok", "last", "well")
    found = examine([("BLAS", broken), ("odd", odd), ("last", lambda: iter([fine]))])
    assert [f.level for f in found] == ["problem", "warning", "ok"]
    assert "no module named scipy" in found.findings[0].found


def test_every_check_says_something():
    for name, check in CHECKS:
        if name != "extras":  # which an uninstalled package has none of
            assert list(check()), name


@pytest.mark.parametrize("level", ["ok", "warning", "problem"])
def test_the_command_exits_with_1_for_problems_only(monkeypatch, capsys, level):
    finding = Finding(level, "BLAS", "<slow> kernels", "" if level == "ok" else "do this")
    monkeypatch.setattr("scalekern.checkup.doctor", lambda _=None: Checkup((finding,)))
    for words in (["doctor"], ["doctor", "--json", "-"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == (level == "problem")
        out = capsys.readouterr().out
    assert json.loads(out)["findings"][0]["level"] == level
    text = str(Checkup((finding,)))
    assert text.startswith(level)
    assert ("do this" in text) == (level != "ok")
    assert "&lt;slow&gt;" in Checkup((finding,))._repr_html_()


def imported_by(code):
    """Return the modules of a fresh process that has run the code."""
    code += "\nimport sys; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_importing_the_package_imports_no_scikit_learn_until_an_estimator_is_asked_for():
    code = (
        "import sys, scalekern\nassert 'sklearn' not in sys.modules\nscalekern.SimilarityRegressor"
    )
    assert "sklearn" in imported_by(code)


def test_every_public_name_is_there_and_listed():
    code = "import scalekern\nfor name in scalekern.__all__: getattr(scalekern, name)\n"
    imported_by(code + "assert callable(scalekern.rows) and callable(scalekern.plan)")
    assert set(scalekern.__all__) <= set(dir(scalekern))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scalekern.nothing  # noqa: B018


def test_rows_stays_the_function_whatever_is_imported_first():
    imported_by(
        "from scalekern.rows.base import Block\nimport scalekern.rows.validate\n"
        "import scalekern\nassert callable(scalekern.rows)"
    )


def test_a_model_loads_in_a_process_that_named_no_class(tmp_path):
    model = scalekern.LinearRegressor().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    scalekern.save(model, tmp_path / "model")
    path = str(tmp_path / "model")
    for line in ("from scalekern.storage import load", "from scalekern import load"):
        imported_by(f"{line}\nassert type(load({path!r})).__name__ == 'LinearRegressor'")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor") / "model"
    scalekern.save(scalekern.LinearRegressor().fit([[0.0], [1.0]], [0.0, 1.0]), folder)
    return folder


def test_a_whole_model_is_ok(model):
    assert [f.level for f in check_model(model)] == ["ok"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.json", b"{", "is truncated or damaged"),
        ("0-coef_.npy", b"", "is truncated or altered"),
        ("0-coef_.npy", None, "has no file"),
    ],
)
def test_a_damaged_model_is_a_problem(model, tmp_path, name, content, words):
    copy = shutil.copytree(model, tmp_path / "model")
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(content)
    finding = only(check_model(copy))
    assert finding.level == "problem"
    assert words in finding.found


def test_no_model_is_a_problem(tmp_path):
    assert "does not exist" in only(check_model(tmp_path / "nowhere")).found


def test_a_model_of_other_versions_is_a_warning(model, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda package: "99.0")
    (_, warning) = check_model(model)
    assert warning.level == "warning"
    assert "(here 99.0)" in warning.found


def test_a_model_with_a_function_is_a_warning_that_says_how_to_give_it(tmp_path):
    fitted = scalekern.SimilarityRegressor(lambda a, b: float(a == b), alpha=1.0)
    scalekern.save(fitted.fit(["a", "b"], [0.0, 1.0]), tmp_path / "model")
    (_, warning) = check_model(tmp_path / "model")
    assert (warning.level, "load(path, kernel=function)" in warning.cure) == ("warning", True)


def test_the_command_takes_a_model(model):
    result = CliRunner().invoke(main, ["doctor", str(model.parent / "nowhere")])
    assert result.exit_code == 1
    assert "nowhere does not exist" in result.output


def test_a_folder_for_temporary_files_that_is_not_used_is_a_warning(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/there/is/none")
    finding = only(resources.check_temporary_space())
    assert (finding.level, "TMPDIR=/there/is/none cannot be written to" in finding.found) == (
        "warning", True
    )  # fmt: skip


def test_a_faiss_that_cannot_be_imported_is_a_problem_and_hides_no_other(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    finding = only(libraries.check_faiss())
    assert finding.level == "problem"
    assert "force-reinstall" in finding.cure
    assert all(f.what in ("BLAS", "OpenMP") for f in libraries.check_blas())
