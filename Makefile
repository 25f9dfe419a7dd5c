SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
CRD := $(BIN)/python -m sluice_operator.api.crd --crd crds/sluice.dev_databaseproxies.yaml --chart charts/sluice/templates/crd.yaml
REFERENCE := $(BIN)/python -m sluice_operator.api.reference --page docs/reference.md
# The proxy, its hot path compiled; and what of the tests runs any of it.
COMPILED := build/compiled
OF_THE_PROXY := tests/unit/proxy tests/playbook tests/simulation tests/integration tests/differential
# What a test may take in all; the ten longest are shown at the end of a run.
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(BIN)/.ready ## from nothing to 1,000 pooled clients on a real cluster, with figures and a plot
	@$(BIN)/python tests/demo/demo.py

.PHONY: test
test: $(BIN)/.ready $(COMPILED)/.ready postgres images ## every test: unit to integration on PostgreSQL 15 to 18, by source and compiled, then the cluster
	@$(BIN)/python tests/tools/stage.py "tests without a cluster" $(PYTEST) -m "not cluster" tests
	@PYTHONPATH=$(COMPILED) $(BIN)/python tests/tools/stage.py "the proxy's tests, compiled" $(PYTEST) -m "not cluster" $(OF_THE_PROXY)
	@$(BIN)/python tests/tools/stage.py "tests on the cluster" $(PYTEST) -m cluster tests/cluster

.PHONY: check
check: $(BIN)/.ready ## lint, types, doors between rooms, generated files in step
	@$(BIN)/python tests/tools/stage.py "ruff" $(BIN)/ruff check .
	@$(BIN)/python tests/tools/stage.py "ruff format" $(BIN)/ruff format --check --quiet .
	@$(BIN)/python tests/tools/stage.py "mypy" $(BIN)/mypy
	@$(BIN)/python tests/tools/stage.py "mypy of the tests' tools" $(BIN)/mypy tests/lib/sluice_testing tests/cluster/kube tests/tools tests/drivers tests/bench tests/demo tests/isolation tests/differential tests/pause
	@$(BIN)/python tests/tools/stage.py "import-linter" $(BIN)/lint-imports --no-logo
	@$(BIN)/python tests/tools/stage.py "CRD in step with the model" $(CRD) --check
	@$(BIN)/python tests/tools/stage.py "reference in step with the model" $(REFERENCE) --check
	@$(BIN)/python tests/tools/stage.py "lock files in step" $(BIN)/python tests/tools/locks.py --check
	@$(BIN)/python tests/tools/stage.py "every branch of wire and pinning" $(BIN)/python tests/tools/branches.py

.PHONY: bench
bench: $(BIN)/.ready $(COMPILED)/.ready postgres ## CPU per transaction, latency, logins, memory: Sluice, PgBouncer and direct in one run, 45 minutes
	@PYTHONPATH=$(COMPILED):tests/lib $(BIN)/python tests/bench/bench.py

.PHONY: bench-story
bench-story: $(BIN)/.ready $(COMPILED)/.ready postgres ## 3,000 short-lived clients against max_connections = 500, direct and through Sluice
	@PYTHONPATH=$(COMPILED):tests/lib $(BIN)/python tests/bench/story.py

.PHONY: bench-memory
bench-memory: $(BIN)/.ready $(COMPILED)/.ready postgres ## RSS of the proxy: of a client that rests, and while a gigabyte passes
	@PYTHONPATH=$(COMPILED):tests/lib $(BIN)/python tests/bench/memory.py

.PHONY: bench-operator
bench-operator: $(BIN)/.ready cluster ## 200 DatabaseProxies to steady state, 50 at rest for 10 minutes: time, memory, requests
	@PYTHONPATH=tests/lib $(BIN)/python tests/bench/operator_scale.py

.PHONY: bench-wake
bench-wake: $(BIN)/.ready cluster ## 50 cold wakes, from the first SYN to the first row, stage by stage, with a plot
	@PYTHONPATH=tests/lib $(BIN)/python tests/bench/wake.py

.PHONY: bench-edge
bench-edge: $(BIN)/.ready cluster ## scale-downs in the midst of clients: what each of three cures loses
	@PYTHONPATH=tests/lib $(BIN)/python tests/bench/scale_edge.py

.PHONY: soak-pause
soak-pause: $(BIN)/.ready cluster ## CYCLES=250 of sleep and wake under four kinds of clients: 0 errors?
	@PYTHONPATH=tests/lib $(BIN)/python tests/pause/soak.py

.PHONY: bench-activator
bench-activator: $(BIN)/.ready ## 3,000 proxies and 3,000 held clients at one activator: memory and CPU
	@PYTHONPATH=tests/lib $(BIN)/python tests/bench/activator_load.py

.PHONY: isolation
isolation: $(BIN)/.ready postgres ## 240 clients on 6 connections for 5 minutes: nobody may see what is not his
	@PYTHONPATH=tests/lib $(BIN)/python tests/isolation/isolation.py

.PHONY: differential
differential: $(BIN)/.ready postgres ## the same scripts direct and through the proxy: equal to the byte?
	@PYTHONPATH=tests/lib $(BIN)/python tests/differential/differential.py

.PHONY: drivers
drivers: $(BIN)/.ready postgres ## real drivers in six languages, direct and through the proxy: the matrix
	@PYTHONPATH=tests/lib $(BIN)/python tests/drivers/drivers.py

.PHONY: driver-suites
driver-suites: $(BIN)/.ready postgres ## the drivers' own test-suites: what fails through the proxy alone?
	@PYTHONPATH=tests/lib $(BIN)/python tests/drivers/suites.py

.PHONY: images
images: cluster ## build the images and load them into the cluster
	@$(PYTHON) tests/cluster/cluster.py images

.PHONY: cluster
cluster: ## bring up a real Kubernetes by kind; prints its KUBECONFIG
	@$(PYTHON) tests/cluster/cluster.py up

.PHONY: cluster-down
cluster-down: ## remove the cluster and every trace of it
	@$(PYTHON) tests/cluster/cluster.py down

.PHONY: crds
crds: $(BIN)/.ready ## write the CRD and docs/reference.md anew from the model
	@$(CRD)
	@$(REFERENCE)

.PHONY: manifests
manifests: ## render the manifests of `kubectl apply -k charts/kustomize` from the chart
	@$(PYTHON) tests/cluster/manifests.py

.PHONY: locks
locks: $(BIN)/.ready ## write the lock files anew, with the newest versions that pyproject.toml allows
	@$(BIN)/python tests/tools/locks.py

.PHONY: clean
clean: ## remove what was made here; what is cached for all clones stays
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(COMPILED)/.ready: $(BIN)/.ready proxy/native.py $(wildcard proxy/mypyc_*.h) $(shell find proxy/sluice_proxy proxy/sluice_activator -name '*.py' -o -name '*.[ch]')
	@$(BIN)/python tests/tools/stage.py "compile the proxy" $(BIN)/python proxy/native.py $(COMPILED)
	@touch $@

.PHONY: postgres
postgres: $(BIN)/.ready
	@$(BIN)/python tests/postgres/install.py >/dev/null

$(BIN)/.ready: tests/requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "missing: $(PYTHON), Python 3.11 to 3.13"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "missing: Python 3.11 to 3.13 ($(PYTHON) is $$($(PYTHON) -V)); set PYTHON="; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "missing: Python's venv (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "== Python environment"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
