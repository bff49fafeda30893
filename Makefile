# Everything runs in .venv, made from requirements.lock; `make help` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# The machine's uv if there is one, else one in .uv, installed with the machine's pip.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
PYTHON ?= python3
BIN := .venv/bin
SOURCES := controller tests bench reference charts e2e
# Tests mostly wait, for processes and for pauses: four workers fit on two cores.
WORKERS ?= 4
# The interpreter must be this machine's: none is downloaded.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_CONFIG := 1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.uv/bin/uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	@echo "installing uv into .uv"
	@mkdir -p .uv/bin
	@# A Python without ensurepip makes no virtual environment with pip, but may have a pip of its own.
	@if $(PYTHON) -m venv .uv >/dev/null 2>&1; then \
		.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt; \
	elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv/lib --require-hashes -r requirements-uv.txt \
		&& ln -sf ../lib/bin/uv .uv/bin/uv; \
	else \
		echo "$(PYTHON) has neither venv nor pip: install the package python3-venv, or uv" >&2; exit 1; \
	fi
	@touch $@

.venv/.installed: pyproject.toml requirements.lock | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=…")'
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$$(command -v $(PYTHON))" .venv
	@echo "installing what requirements.lock names into .venv"
	@# Where Python may not keep what it compiles, each start would compile anew, for seconds.
	@$(UV) pip sync --quiet --require-hashes $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) \
		--python $(BIN)/python requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

.PHONY: install
install: .venv/.installed ## make .venv with the operator and its tools
	@echo 'installed; so that the shell finds twitch-operator and kubectl twitch:'
	@echo '  export PATH="$(CURDIR)/$(BIN):$$PATH"'

.PHONY: demo
demo: .venv/.installed ## run everything on this machine (ONCE=1: check the outcome and end)
	@$(BIN)/twitch-operator demo $(if $(ONCE),--once)

.PHONY: sandbox
sandbox: .venv/.installed ## run a control plane and simulated Twitch and PubNub, for rules of your own
	@$(BIN)/twitch-operator sandbox

.PHONY: test
test: .venv/.installed ## run all tests, which takes some minutes (ARGS=… for pytest, WORKERS=0: one process)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: soak
soak: .venv/.installed ## the long tests: 200 kills in refreshes and in rotations, 100 in breaks, 1,000 tokens that expire at once
	@TWITCH_OPERATOR_TEST_KILLS=200 TWITCH_OPERATOR_TEST_CHANNELS=1000 $(BIN)/python -m pytest -s \
		tests/cluster/test_grant_kills.py tests/cluster/test_grant_many.py \
		tests/cluster/test_extension_kills.py $(ARGS)
	@TWITCH_OPERATOR_TEST_KILLS=100 TWITCH_OPERATOR_TEST_OUTAGE=600 $(BIN)/python -m pytest -s \
		tests/cluster/test_breaks_kills.py tests/cluster/test_outages.py $(ARGS)
	@TWITCH_OPERATOR_TEST_HEALTHY=240 $(BIN)/python -m pytest -s tests/simulated/test_prometheus.py $(ARGS)
	@TWITCH_OPERATOR_TEST_ROUNDS=5 TWITCH_OPERATOR_TEST_LEASE=10 $(BIN)/python -m pytest -s \
		tests/cluster/test_shards.py $(ARGS)
	@TWITCH_OPERATOR_TEST_KILLS=20 TWITCH_OPERATOR_TEST_LEASE=10 TWITCH_OPERATOR_TEST_AWAY=120 \
		$(BIN)/python -m pytest -s tests/cluster/test_leader_election.py $(ARGS)
	@TWITCH_OPERATOR_TEST_EXAMPLES=200 $(BIN)/python -m pytest -s tests/simulated/test_gateway_fuzz.py $(ARGS)
	@TWITCH_OPERATOR_TEST_EXAMPLES=500 $(BIN)/python -m pytest tests/unit tests/sandbox/test_pubnub_store.py $(ARGS)

.PHONY: versions
versions: .venv/.installed ## some of the cluster tests with other versions of Kubernetes, built first: half an hour each
	@$(BIN)/python -m tests.versions $(or $(VERSIONS),v1.35.4 v1.37.2)

.PHONY: lint
lint: .venv/.installed ## check format, lint, types, the direction of imports, and CRDs against the last release
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m reference.chart --check
	@$(BIN)/python -m reference.compatibility

.PHONY: format
format: .venv/.installed ## format, and mend what ruff can
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: crds
crds: .venv/.installed ## write crds/ from the models
	@$(BIN)/twitch-operator crds --output-dir crds

.PHONY: chart
chart: .venv/.installed ## write what the Helm chart has from crds/, docs/, the settings and its values
	@$(BIN)/python -m reference.chart

.PHONY: docs
docs: .venv/.installed ## build the documentation site in build/site; broken links and pages without a place are errors
	@$(BIN)/python -m reference build/docs
	@$(BIN)/zensical build --strict --clean
	@echo "open build/site/index.html"

.PHONY: bench
bench: .venv/.installed ## measure latency, start-up, memory, throughput (ARGS=--quick: a short run)
	@$(BIN)/python -m bench $(ARGS)

.PHONY: smoke
smoke: .venv/.installed ## run each benchmark to its end, as small as it can be; no figure of it counts
	@$(BIN)/python -m bench --smoke

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

.PHONY: lock
lock: | $(UV) ## resolve requirements.lock anew from pyproject.toml, and what of it the image has
	@$(COMPILE) pyproject.toml --extra otel --group dev -o requirements.lock
	@$(COMPILE) pyproject.toml --extra otel -c requirements.lock -o requirements-runtime.lock
	@$(COMPILE) --group build -c requirements.lock -o requirements-build.lock
	@$(COMPILE) --group plugin -c requirements.lock -o requirements-plugin.lock

.PHONY: image
image: .venv/.installed ## build the container image with buildah, docker or podman (BASE=… for another base)
	@$(BIN)/python -m e2e.image $(if $(BASE),--base $(BASE)) $(ARGS)

.PHONY: e2e
e2e: .venv/.installed ## install the chart on a real node, made here, and fire cues; needs root (INSTALL=1: apt-get what lacks)
	@$(BIN)/python -m e2e $(if $(INSTALL),--install) $(ARGS)

.PHONY: clean
clean: ## remove what was made here (the control plane's binaries stay in the user's cache)
	@rm -rf .cache .venv .uv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
