# Everything runs in .venv, which these targets make; a bare machine needs Python 3.10 or later and make.
#   make demo DATA=data/datalist.json    your own radiographs instead of made ones
#   make test PYTHON=python3.13          another interpreter (after `make clean`)

PYTHON ?= python3
DATA ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
# One thread a worker: two workers that each start a thread a core would fight for the cores.
TEST_ENV := OMP_NUM_THREADS=1 MPLBACKEND=Agg

.PHONY: help demo test lint verify docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## run the demonstration; DATA=datalist.json for your own radiographs
	$(BIN)/radbundles demo $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.installed-dev ## run the tests
	$(TEST_ENV) $(BIN)/python -m pytest -q -n 2 --dist loadfile

verify: $(VENV)/.installed ## verify all bundles
	$(TEST_ENV) $(BIN)/radbundles verify --all

lint: $(VENV)/.installed-dev ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-docs ## build the documentation into docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "docs/_build/index.html"

clean: ## remove .venv and everything built
	rm -rf $(VENV) build dist docs/_build src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "RadBundles needs Python 3.10 or later; '$(PYTHON)' is missing or older. Name another: make PYTHON=python3.12" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Packages are installed together with torch under the constraints, so that no later step replaces the torch build.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable ".[$*]"
	@touch $@ $(VENV)/.installed
