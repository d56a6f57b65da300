# Everything here builds its own .venv when it needs one: nothing to install first but Python >= 3.11, make and bash.
#   make demo PYTHON=/opt/python/bin/python3     which Python the .venv is made from
#   make test ARGS='-k retry'                    more arguments for pytest (or for the benchmarks)

VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --quiet --no-input
PYTHONS := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
TEST_JOBS ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help: ## say what the targets do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.run ## 100 files, one of them bad: run, look, repair, retry, collect
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/process-files/demo.sh

test: $(VENV)/.test ## run the tests
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup $(ARGS)

check: $(VENV)/.dev ## format, lint, types, and who may import whom
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.bench ## measure against xargs, GNU parallel and HyperQueue (ARGS=--quick: a tenth of it)
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what these targets made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "Installing spawn into $(VENV) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "Installing spawn and its test tools into $(VENV) ..."
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing spawn and its development tools into $(VENV) ..."
	@$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.test $(VENV)/.run

# HyperQueue is a peer to measure against; without it for this platform the benchmarks say that they skip it.
$(VENV)/.bench: pyproject.toml | $(BIN)/python
	@echo "Installing spawn and what it is measured against into $(VENV) ..."
	@$(PIP) -e '.[bench]' || $(PIP) -e .
	@touch $@ $(VENV)/.run

$(BIN)/python:
	@for python in $(PYTHONS); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && found=$$python && break; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "spawn needs Python 3.11 or newer; tried: $(PYTHONS)." >&2; \
	    echo "Install one, or name one: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	echo "Making $(VENV) with $$found, $$("$$found" -V) ..."; \
	if ! "$$found" -m venv $(VENV); then \
	    rm -rf $(VENV); \
	    echo "This Python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; \
	    exit 1; \
	fi
