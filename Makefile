# Headrace. `make` or `make help` lists what there is; every target sets up what it needs.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
# The suite starts hundreds of Python processes; where this is set, each of them would compile every file anew.
unexport PYTHONDONTWRITEBYTECODE
INSTALLED := $(VENV)/.installed

.PHONY: help setup demo test test-fast test-faults check docs bench soak lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 13
	@echo
	@echo "FULL=1 make demo    the whole year in place of January to March"
	@echo "Needed: Python 3.11 or newer with venv; for tests also Java 17 and Maven."

setup: $(INSTALLED) ## make .venv and install the locked dependencies and the project

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); Headrace needs 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "this Python has no venv (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)

$(VENV)/.locked: requirements.lock | $(UV)
	@$(UV) pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r requirements.lock
	@touch $@

$(INSTALLED): pyproject.toml $(VENV)/.locked
	@$(UV) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## run the whole loop on real flights (January to March; FULL=1: the year)
	@$(BIN)/python -m examples.flights.demo $(if $(FULL),--full)

# Seven processes for two cores: much of a test is waiting. A file stays in one of them.
SIDE_BY_SIDE = -n 7 --dist loadfile --no-loadscope-reorder

SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
LINT = $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
TYPES_AND_SITE = $(BIN)/mypy && $(BIN)/lint-imports && $(SITE) --quiet --site-dir .cache/site

# Types and documents are checked beside the tests, which wait much; what is wrong with them is said at the end.
test: setup ## check, and run every test, on real Kafka and Redis
	@mkdir -p .cache
	@$(LINT)
	@{ $(TYPES_AND_SITE); } >.cache/check.log 2>&1 & check=$$! failed=0; \
	  $(BIN)/python -m pytest $(SIDE_BY_SIDE) --durations=40 || failed=1; \
	  wait $$check || { cat .cache/check.log; failed=1; }; \
	  exit $$failed

test-fast: setup ## the tests that need no server: no Kafka, Redis or registry (two minutes)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not server and not faults"

test-faults: setup ## many rounds: kill, stop, add and remove processes; all random examples (minutes)
	@$(BIN)/python -m pytest -m faults
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "hypothesis and not faults" --hypothesis-profile=full

check: setup ## ruff, mypy, the import contracts and the documentation
	@$(LINT)
	@$(TYPES_AND_SITE)

docs: setup ## build the documentation as a site: site/index.html
	@$(SITE)

bench: setup ## run the benchmarks of Headrace alone (docs/benchmarks.md: and of its peers)
	@for file in benchmarks/[a-z]*.py; do $(BIN)/python "$$file"; done
	@$(BIN)/python -m benchmarks.streams --peers headrace --keys 10000 --format avro
	@$(BIN)/python -m benchmarks.streams.latency
	@$(BIN)/python -m benchmarks.streams.restore
	@$(BIN)/python -m benchmarks.streams.changelog
	@$(BIN)/python -m benchmarks.featurestore
	@$(BIN)/python -m benchmarks.featurestore.http

soak: setup ## an hour at constant load with restarts: nothing may grow (SOAK_MINUTES=8: shorter)
	@$(BIN)/python -m benchmarks.soak

COMPILE = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --quiet --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: $(UV) ## resolve requirements.lock anew, and from it that of the image
	@$(COMPILE) --all-extras --upgrade -o requirements.lock
	@$(COMPILE) --extra streams --extra feast --extra learners --extra onnx --constraint requirements.lock \
	  -o deploy/requirements.lock
	@! grep -nE '://|^-' requirements.lock deploy/requirements.lock

clean: ## remove everything these targets made
	@rm -rf $(VENV) .cache .headrace dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  .import_linter_cache examples/*/.headrace examples/*/*/.headrace examples/flights/data examples/flights/out
	@find . -name __pycache__ -prune -exec rm -rf {} +
