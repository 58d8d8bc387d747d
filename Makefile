# `make demo` trains a small model on three nodes; `make test` runs everything that is checked.
# Needs python3.11 or newer with venv and pip; everything else goes into .venv, or is installed by the tests.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  $$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TESTS  ?=
# More than there are cores: most tests wait for an engine.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-long simulate fuzz lint docs dist test-deps pytest bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv with the package (editable) and the developers' tools

# The package lists alone decide: the code itself is installed editable.
$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (name one: make PYTHON=/path/to/python)." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the package and the developers' tools into $(VENV)"
	@$(BIN)/python -m pip install --disable-pip-version-check -qq --upgrade 'pip>=25.1' </dev/null
	@$(BIN)/python -m pip install --disable-pip-version-check -qq --editable . --group dev </dev/null
	@touch $@

demo: ## Train a classifier on three nodes (ENGINE=docker|podman|process to choose)
	@PYTHON="$(PYTHON)" ENGINE="$(ENGINE)" ./scripts/demo.sh

lint: $(STAMP) ## ruff, mypy and the import contracts
	@./scripts/lint.sh $(BIN)

docs: $(STAMP) ## The documentation as a site in docs/_build/html; a warning is an error
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

dist: $(STAMP) ## Wheel and sdist in dist/, the man page brought up to date first
	@$(BIN)/python scripts/generate_man.py
	@$(BIN)/python -m build --no-isolation --outdir dist .

test-deps: ## Install what tests on real engines need (Debian: apt-get as root or sudo)
	@./scripts/install_test_deps.sh

test: $(STAMP) test-deps lint ## Everything: lint, unit, conformance, engines, end to end (TESTS=path to narrow)
	@$(BIN)/python scripts/run_tests.py --workers $(WORKERS) $(TESTS)

test-long: ## The same on every engine, with more kills and longer walks (an hour and more)
	@RECONCILER_TEST_LONG=1 $(MAKE) test

fuzz: $(STAMP) ## Feed the readers changed input (SECONDS=600); what fails is shown, KEEP=n grows the corpus
	@nice $(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(KEEP),--keep $(KEEP))

simulate: $(STAMP) ## Random walks over a simulated engine, disk and user (STEPS=1000000 SEED=n)
	@$(BIN)/python -m tests.simulation --workers $(WORKERS) $(if $(STEPS),--steps $(STEPS)) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) test-deps ## Measure against the bare engines and the kubeflow SDK
	@$(BIN)/python -m benchmarks $(BENCH)

clean: ## Remove what was built here (not the caches under ~/.cache)
	rm -rf $(VENV) .demo build dist docs/_build docs/reference/generated packaging/wheels .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
