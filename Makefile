# make demo   plays the demo game
# make test   builds the package, installs the wheel, and passes every check on it
# make quick  passes the tests that start no process and take little, on the tree as it stands and with asyncio only
# make models plays submissions with the newest libraries in .venv-models, and makes the table of docs/models.md
#            (gigabytes; TORCH="torch==VERSION+cpu" where a build without a graphics card can be had)
# make bench  measures every row of docs/performance.md, peers included (ONLY="rounds storage" REPEAT=1 for some of it)
# All set up what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tests are imported by every worker, and are compiled but once if that is kept.
export PYTHONDONTWRITEBYTECODE :=
EXTRAS := scoring
# More than there are processors: most tests wait for processes, sockets and budgets, and can do so together.
PYTEST_ARGS ?= -n 5 --dist worksteal
# Each worker first imports all tests: more of them cost more than what they wait for together.
QUICK_ARGS ?= -n 4 --dist worksteal

# uv installs in seconds what pip installs in half a minute. Where it cannot be had, or has no index, pip does it.
install = $(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt $(1) 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(1)
FORGET = $(BIN)/python -m pip uninstall --quiet --yes crunch-game daily-density
ALL_EXTRAS := scoring,crunchdao,tables,postgres,dask,testing

SOURCES := pyproject.toml README.md $(shell find crunch_game examples -type f -not -name '*.pyc' -not -path '*/.*')

MODELS_VENV := .venv-models
TORCH ?= torch

.PHONY: demo test quick bench models check types played wheel clean

demo: $(VENV)/.installed
	$(BIN)/crunch-game demo

test: $(VENV)/.tools wheel
	$(MAKE) --no-print-directory check

quick: $(VENV)/.quick
	PYTHONPATH=$(CURDIR) $(BIN)/pytest $(QUICK_ARGS) -m 'not processes and not slow' -k 'not trio' --hypothesis-profile quick

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(REPEAT),--repeat $(REPEAT)) $(BENCH_ARGS)

models: $(MODELS_VENV)/bin/python
	$(MODELS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager \
		-e '.[$(EXTRAS)]' -r tests/libraries/requirements.txt $(TORCH)
	$(MODELS_VENV)/bin/python tests/libraries/matrix.py --write $(ONLY)

$(MODELS_VENV)/bin/python:
	$(PYTHON) -m venv $(MODELS_VENV)

check:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory -j 2 types played

# In what the tests leave of the processors while they wait.
types:
	nice -n 10 $(BIN)/mypy

# Compiled once first, and not by each worker at the same time.
played:
	$(BIN)/pytest --collect-only -qq
	CRUNCH_GAME_TEST_WHEEL=1 $(BIN)/pytest $(PYTEST_ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: $(VENV)/bin/python constraints.txt $(SOURCES)
	$(FORGET) 2>/dev/null || true
	$(call install,'.[$(EXTRAS)]' ./examples/daily_density)
	touch $@

$(VENV)/.quick: $(VENV)/.tools pyproject.toml
	$(call install,'.[$(ALL_EXTRAS)]' ./examples/daily_density)
	touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(call install,'.[$(ALL_EXTRAS)]')
	touch $@

$(VENV)/.tools: $(VENV)/bin/python constraints.txt pyproject.toml
	$(call install,--group dev)
	touch $@

wheel: $(VENV)/.tools
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(FORGET) 2>/dev/null || true
	$(call install,"$$(ls $(CURDIR)/dist/*.whl)[$(ALL_EXTRAS)]" ./examples/daily_density)

clean:
	rm -rf $(VENV) $(MODELS_VENV) .venv-peers dist build
