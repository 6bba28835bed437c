# Each target sets itself up: it needs Python >= 3.11 and make, and no active environment.
#
#   PYTHON=python3.12   the interpreter to build environments with; else the first that works
#   TESTFLAGS="-k rbf"  more arguments for pytest
#   JOBS=4              test processes
#   WHEEL=dist/x.whl    install this wheel instead of the checkout (give VENV as well)
#   SCALEKERN_DATA=dir  where the tests and benchmarks find real data

VENV ?= .venv
WHEEL ?=
JOBS ?= 2
TESTFLAGS ?=
BENCHFLAGS ?=
DOCTESTS ?= --doctest-modules --pyargs scalekern

BIN = $(VENV)/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINT),--constraint $(CONSTRAINT))
INTERPRETERS = $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python3.14 python)

# Tests, and the processes that they start, import the package that is installed, not the folder
# they run in. They share the cores already, so BLAS has one thread in each (tests of leaked limits
# set a limit first); each begins with a half of its own, so that tests that share what was fitted
# are in one process.
PYTEST = PYTHONSAFEPATH=1 $(BIN)/python -m pytest
test verify: export OPENBLAS_NUM_THREADS ?= 1

unexport PYTHONPATH PYTHONHOME
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench bench-full docs verify wheel clean

help:
	@echo "make demo     predict flight delays with every model, with pictures, in demo-output/"
	@echo "make test     the tests"
	@echo "make lint     ruff and mypy; 'make format' mends what ruff can"
	@echo "make bench    the benchmarks in short; 'make bench-full' takes hours"
	@echo "make docs     the site, in build/docs; its pages are run"
	@echo "make verify   the statistical tests, then the tests with the lowest versions allowed"
	@echo "make wheel    sdist and wheel in dist/"
	@echo "make clean    remove all that these made"

demo: $(VENV)/.has-demo
	$(BIN)/scalekern demo --output demo-output

test: $(VENV)/.has-test
	$(PYTEST) -n $(JOBS) --dist worksteal $(DOCTESTS) tests/ $(TESTFLAGS)

lint: $(VENV)/.has-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.has-lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.has-bench
	$(BIN)/python -m benchmarks all --short $(BENCHFLAGS)

# Hours. One suite: .venv/bin/python -m benchmarks NAME; without a name it lists them.
bench-full: $(VENV)/.has-bench
	$(BIN)/python -m benchmarks all --full $(BENCHFLAGS)

# Pages are run when they or the package have changed; what they printed is kept in build/docs-runs.
docs: $(VENV)/.has-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

# The lowest versions have wheels for Python 3.11. Their printed arrays differ: no doctests.
verify: $(VENV)/.has-test
	$(if $(wildcard tests/verification),$(PYTEST) tests/verification tests/cluster $(TESTFLAGS),@echo "no tests/verification")
	mkdir -p build
	$(BIN)/python .ci/lowest.py > build/lowest.txt
	$(MAKE) test VENV=.venv-lowest CONSTRAINT=build/lowest.txt PYTHON=$(or $(PYTHON),python3.11) DOCTESTS=

wheel: $(VENV)/.has-lint
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf .venv .venv-* build dist demo-output .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A name on the path may be a shim that fails, or a Python without venv: each is tried.
$(BIN)/python:
	@for python in $(INTERPRETERS); do \
	  if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "$$($$python --version) in $(VENV)"; \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "No Python >= 3.11 with venv among: $(INTERPRETERS)." >&2; \
	echo "Install one (on Debian also its package python3-venv), or name it: make PYTHON=/path/to/python" >&2; \
	exit 1

# pip keeps an installed wheel of the same version, hence the second call.
$(VENV)/.has-%: pyproject.toml $(WHEEL) | $(BIN)/python
	$(PIP_INSTALL) $(if $(WHEEL),"$(WHEEL)[$*]",--editable ".[$*]")
	$(if $(WHEEL),$(PIP_INSTALL) --force-reinstall --no-deps $(WHEEL))
	@touch $@
