# `make demo` and `make test` need Python 3.11 or newer, git and make, and no other step.
#
# Each makes `.venv` if there is none, and installs into it again when pyproject.toml has changed.
# PYTHON=... chooses the interpreter; without it the first that is new enough is taken.

PYTHON ?=
VENV := .venv
BENCH ?=
BIN := $(VENV)/bin
IMAGE ?= examples/demo-image/ledger.oci.tar
FUZZ_SECONDS ?= 60
# More options for pytest, and how many of it work at once; 0 for one that works alone.
PYTEST ?=
PYTEST_WORKERS ?= 2
FUZZ_TARGETS ?= header pax gzip-resume zstd-resume index-file documents whole-image

# The tests start a thousand processes: each would compile the package if none wrote that down.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help bench demo test campaign fuzz check lint types docs clean

help:
	@echo "make demo      show an image as one filesystem (IMAGE=... for one of yours)"
	@echo "make test      lint, types, tests and documentation: what has to pass"
	@echo "make campaign  the tests with full counts"
	@echo "make fuzz      each fuzz target for a minute (FUZZ_SECONDS=..., FUZZ_TARGETS=...)"
	@echo "make bench     speed against other readers of the same bytes (BENCH=--full: the published sizes)"
	@echo "make check     lint and types alone"
	@echo "make docs      the documentation, into docs/_build/html"
	@echo "make clean     remove the environment and everything built"

demo: $(VENV)/installed-run
	@$(BIN)/python examples/demo.py $(IMAGE)

# Types and documentation take as long as each other, and neither more than one core.  A file of
# tests stays in one worker, with what its tests share.
test: $(VENV)/installed-dev
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory -j2 types docs
	$(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadfile $(PYTEST)

campaign: $(VENV)/installed-dev
	UNIONLAYERS_CAMPAIGN=1 $(BIN)/pytest --timeout 14400 -o faulthandler_timeout=20000 $(PYTEST)

# Findings and what led to them are kept in build/fuzz.
fuzz: $(VENV)/installed-fuzz
	@for target in $(FUZZ_TARGETS); do \
	    echo "== $$target for $(FUZZ_SECONDS) s"; \
	    $(BIN)/python fuzz/run.py $$target -max_total_time=$(FUZZ_SECONDS) -verbosity=0 \
	        -print_final_stats=1 || exit 1; \
	done

bench: $(VENV)/installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	$(BIN)/python -m benchmarks $(BENCH)

check: lint types

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The installed package is the working tree itself, so that only pyproject.toml dates a stamp.
$(VENV)/installed-run: pyproject.toml $(VENV)/made
	@echo "Installing unionlayers into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# Python compiles what it imports; pip would compile all there is, in half of the time it takes.
$(VENV)/installed-dev: pyproject.toml $(VENV)/made
	@echo "Installing unionlayers and what its tests need into $(VENV)"
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --editable ".[dev]"
	@touch $@ $(VENV)/installed-run

$(VENV)/installed-fuzz: pyproject.toml $(VENV)/made
	@echo "Installing unionlayers and the fuzzer into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[fuzz]"
	@touch $@ $(VENV)/installed-run

# An environment made by hand is kept if it has pip.  Of the Pythons that are new enough, the first
# with venv and ensurepip is taken.
$(VENV)/made:
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    python=; lacking=; \
	    for each in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
	        "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	        if "$$each" -c 'import ensurepip, venv' >/dev/null 2>&1; then python=$$each; break; fi; \
	        lacking=$${lacking:-$$each}; \
	    done; \
	    if [ -z "$$python$$lacking" ]; then \
	        echo "Python 3.11 or newer is needed and was not found$(if $(PYTHON), as $(PYTHON),; make PYTHON=/path/to/python3 names one)." >&2; \
	        exit 1; \
	    fi; \
	    if [ -z "$$python" ]; then \
	        version=$$("$$lacking" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	        add="apt-get install python$$version-venv"; \
	        if command -v dnf >/dev/null 2>&1; then add="dnf install python3-libs"; fi; \
	        if [ "$$(id -u)" != 0 ]; then add="sudo $$add"; fi; \
	        echo "$$lacking has no venv or ensurepip. Add them by:  $$add" >&2; \
	        exit 1; \
	    fi; \
	    echo "Making $(VENV) with $$python"; \
	    "$$python" -m venv $(VENV) || exit 1; \
	fi
	@touch $@
