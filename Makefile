SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.ready: tests/requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON) (3.11 to 3.13)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "missing: Python 3.11 to 3.13 ($(PYTHON) is $$($(PYTHON) -V)); set PYTHON="; exit 1; }
	@echo "== Python environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r tests/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: venv
venv: $(VENV)/.ready

.PHONY: locks
locks: $(VENV)/.ready ## write the lock files anew (newest versions within pyproject's bounds)
	$(BIN)/python tests/tools/locks.py
