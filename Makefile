# Every target sets up what it needs by itself. `make help` lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash

# The Python that makes the virtual environments; 3.11 or newer.
PYTHON ?= python3
# With TESTS, `make test` runs these tests and nothing else: TESTS=tests/unit or TESTS="-k name".
TESTS ?=
# How many tests run side by side: most of them wait. Each worker has a cluster and Airflows.
WORKERS ?= 3
# The versions of `make test-kubernetes`.
KUBERNETES ?= 1.34 1.35 1.36 1.37
# Of `make test-matrix`, those whose names have one of these: 3.12, airflow-3.2, 3.13-airflow-3.3.2.
CELLS ?=
# Of `make bench`, those rows alone: ROWS="no_op waits"; `-m tests.bench --help` lists them.
ROWS ?=
# The order of `make test-random`, and what happens in `make soak`.
SEED ?= $(shell echo $$RANDOM)

BIN := .venv/bin
OLDEST := .venv-oldest/bin
COMPILE := uv pip compile pyproject.toml --extra dev --quiet --no-annotate --no-header \
	--no-emit-index-url --python-version 3.11

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9.-]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: demo
demo: setup ## Run the example DAG on a real Airflow and Kubernetes, and show the run
	@$(BIN)/python -m tests.demo run

.PHONY: up
up: setup ## Start the demo's Airflow and Kubernetes, and leave them running
	@$(BIN)/python -m tests.demo up

.PHONY: down
down: setup ## Stop what `make up` started
	@$(BIN)/python -m tests.demo down

.PHONY: test
ifeq ($(strip $(TESTS)),)
test: lint types contracts setup-all build ## Run all checks and tests, or those in TESTS=...
	$(BIN)/pytest -n $(WORKERS)
else
test: setup-all
	$(BIN)/pytest $(TESTS)
endif

.PHONY: test-random
test-random: setup-all build ## Run all tests, or those in TESTS=..., in a random order (SEED=...)
	$(BIN)/pytest -n $(WORKERS) --shuffle $(SEED) $(TESTS)

.PHONY: unit
unit: setup ## Run the unit tests, which need neither Airflow nor a cluster to run
	$(BIN)/pytest tests/unit

.PHONY: lint
lint: setup ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: types
types: setup ## Check types
	$(BIN)/mypy

.PHONY: contracts
contracts: setup ## Check which module imports which
	$(BIN)/lint-imports

.PHONY: docs
docs: setup ## Build the documentation into docs/_build; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

.PHONY: test-oldest
test-oldest: ## Run the unit and Airflow tests with the oldest versions supported
	@$(PYTHON) -m tests.setup --postgres --browser --venv .venv-oldest --constraints constraints-oldest.txt
	$(OLDEST)/pytest -n $(WORKERS) tests/unit tests/airflow

.PHONY: test-matrix
test-matrix: setup ## Run the unit and Airflow tests on each Python with each Airflow (CELLS=3.12)
	$(BIN)/python -m tests.matrix --workers $(WORKERS) $(CELLS) -- $(TESTS)

.PHONY: test-kubernetes
test-kubernetes: setup ## Run the cluster's tests on each version in KUBERNETES="1.34 1.35 ..."
	@failed=; for version in $(KUBERNETES); do \
		echo "Kubernetes $$version"; export FLOWJOB_KUBERNETES=$$version; \
		$(BIN)/python -m tests.support.build && $(BIN)/pytest -n $(WORKERS) tests/cluster \
			|| failed="$$failed $$version"; \
	done; if [ -n "$$failed" ]; then echo "failed on:$$failed"; exit 1; fi

.PHONY: test-scale
test-scale: setup-all ## Run the long tests: more clusters, executors, schedulers (TESTS="-k name")
	$(BIN)/pytest tests/scale $(TESTS)

.PHONY: test-compose
test-compose: build ## Run docker-compose.yaml on a Docker engine of its own (root on Debian)
	$(BIN)/pytest tests/compose/running.py

.PHONY: release-check
release-check: setup ## Build wheel and sdist into dist/, check them, and use them on their own
	rm -rf dist
	FLOWJOB_DIST=dist $(BIN)/pytest tests/release

.PHONY: bench
bench: setup-postgres build ## Measure side by side with Airflow's own operators, for docs/ (ROWS=...)
	$(BIN)/python -m tests.bench $(ROWS)

.PHONY: bench-alone
bench-alone: setup-postgres build ## Measure what thousands of pods, kept Jobs and kills cost
	$(BIN)/python -m tests.bench.indexed
	$(BIN)/python -m tests.bench.kept
	$(BIN)/python -m tests.bench.ended_at_once

.PHONY: soak
soak: setup-postgres build ## Kill and meddle at random for ten minutes (SEED=...), and count
	$(BIN)/python -m tests.soak --seed $(SEED)

.PHONY: lock
lock: setup ## Pin the newest versions in constraints.txt
	$(BIN)/$(COMPILE) --upgrade --output-file constraints.txt

# Airflow 3.1.2 breaks on newer releases of what it needs, such as structlog: hence the dates.
.PHONY: lock-oldest
lock-oldest: setup ## Pin the oldest versions supported in constraints-oldest.txt
	printf '%s\n' apache-airflow==3.1.2 apache-airflow-providers-cncf-kubernetes==10.8.0 \
		PyYAML==6.0.2 | $(BIN)/$(COMPILE) --upgrade --constraints - \
		--exclude-newer 2025-11-06 --exclude-newer-package ruff=2025-12-31 \
		--output-file constraints-oldest.txt

# What was new when it was: its users have no newer Kubernetes provider, either.
.PHONY: lock-3.2
lock-3.2: setup ## Pin the last Airflow 3.2 in constraints-3.2.txt
	printf '%s\n' apache-airflow==3.2.2 | $(BIN)/$(COMPILE) --upgrade --constraints - \
		--exclude-newer 2026-06-01 --output-file constraints-3.2.txt

.PHONY: clean
clean: ## Stop the demo, and remove what the other targets made in this checkout
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m tests.demo down; fi
	rm -rf .venv .venv-oldest .venv-matrix .flowjob dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find provider dags tests -name __pycache__ -prune -exec rm -rf {} +

# Not targets to type.

.PHONY: setup
setup:
	@$(PYTHON) -m tests.setup

.PHONY: setup-postgres
setup-postgres:
	@$(PYTHON) -m tests.setup --postgres

.PHONY: setup-all
setup-all:
	@$(PYTHON) -m tests.setup --postgres --browser

# What takes minutes the first time, where its progress is seen.
.PHONY: build
build: setup
	@$(BIN)/python -m tests.support.build
