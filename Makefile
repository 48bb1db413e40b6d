# Everything that one does with the checkout. `make` alone lists it. Works with GNU make 3.81 and later.
#
#   make setup PYTHON=/path/to/python3.12     another Python than the first one found that is new enough
#   make setup UV=                            with venv and pip, even where uv is installed
#   make test ARGS='-k merge -x'              more for pytest (also for bench and demo)

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The folder is part of the name: a checkout that was moved or copied has an environment that points elsewhere.
READY := $(VENV)/ready$(subst /,-,$(subst $() ,_,$(CURDIR)))

UV ?= $(shell command -v uv 2>/dev/null)
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for it in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$it" -c "$(IS_NEW_ENOUGH)" 2>/dev/null && { echo "$$it"; break; }; done
PYTHON ?= $(shell $(FIND_PYTHON))
# What builds a package is locked too, so it is installed first and nothing is built in isolation, by downloads.
UV_INSTALL = "$(UV)" pip install --quiet --compile-bytecode --python $(BIN)/python --no-build-isolation --no-deps
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps
LOCK = "$(UV)" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-strip-extras --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly lint bench docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

setup: $(READY) ## .venv with the locked dependencies and the package, editable; instant when nothing changed

$(READY): requirements/dev.txt requirements/build.txt pyproject.toml
	@test -n "$(PYTHON)" && "$(PYTHON)" -c "$(IS_NEW_ENOUGH)" 2>/dev/null || { \
		echo "Headrace needs Python 3.11 or later, and '$(or $(PYTHON),python3)' is not that." >&2; \
		echo "  fix: install one, then: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
ifneq ($(strip $(UV)),)
	"$(UV)" venv --quiet --clear --python "$(PYTHON)" $(VENV)
	$(UV_INSTALL) --require-hashes -r requirements/build.txt
	$(UV_INSTALL) --require-hashes -r requirements/dev.txt
	$(UV_INSTALL) --editable .
else
	"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "  fix: install venv for $(PYTHON) (Debian, Ubuntu: apt-get install python3-venv), or uv" >&2; exit 2; }
	$(PIP_INSTALL) --require-hashes -r requirements/build.txt
	$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(PIP_INSTALL) --editable .
endif
	@touch "$@"

demo: $(READY) ## a shop in a temporary folder, from nothing to published gold; says what to try next
	@$(BIN)/headrace demo --once $(ARGS)

test: $(READY) ## every test, on all cores; says what was skipped, and why
	$(BIN)/python -m pytest --no-header -n auto $(ARGS)

nightly: $(READY) ## the tests of properties, a thousand examples each: takes a while
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest --no-header -n auto --timeout 3600 tests/property $(ARGS)

lint: $(READY) ## ruff, its formatter, mypy strict, and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## topic to committed silver, in events per second
	$(BIN)/python benchmarks/bench_tick.py --events 1000000 $(ARGS)

docs: $(READY) ## links, coverage of verbs and settings, and the examples of README, run
	$(BIN)/python -m pytest --no-header tests/unit/test_docs.py tests/unit/test_docs_reference.py tests/services/test_docs_tour.py tests/services/test_docs_pages.py $(ARGS)

lock: ## compile requirements/*.txt anew, with the newest versions that pyproject.toml allows (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv" >&2; exit 2; }
	$(LOCK) pyproject.toml --output-file requirements/run.txt
	$(LOCK) pyproject.toml --group dev --constraints requirements/run.txt --output-file requirements/dev.txt
	$(LOCK) --group build --constraints requirements/dev.txt --output-file requirements/build.txt

clean: ## remove the environment, caches and what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
