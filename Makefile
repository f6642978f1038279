# Nothing but Python 3.11 (or later), make and the package registries is needed: `make env` brings the rest into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"
PYTEST := $(BIN)/python -m pytest
# Tests of real processes wait most of the time: three workers per core, of two of them.
WORKERS ?= 6
JS_PACKAGES := client/js/node_modules/.package-lock.json
# Those that `make install-check` installs the wheel for.
PYTHONS ?= $(PYTHON)
GROUPED := --dist loadgroup --no-loadscope-reorder
IN_PARALLEL := --numprocesses $(WORKERS) $(GROUPED)
# The checker's runs are about times: beside them run only tests that start no nodes.
WITHOUT_NODES := tests/unit tests/property tests/scripts
# Empty: bytecode is kept, even where the caller's environment says otherwise. Each worker would compile all tests anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help env run test test-unit test-integration test-cluster test-browser test-chaos check format bench bench-rivals
.PHONY: chaos attack fuzz
.PHONY: audit install-check schema lock clean test-js js

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

env: .venv/.complete ## make .venv with the project (editable) and all that developing needs

.venv/.complete: .venv/.runnable requirements.lock
	@echo "Installing the tools of development into .venv: 500 MB"
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@touch $@

# What running needs, and no more: it has to be quick to try.
.venv/.runnable: requirements-run.lock pyproject.toml
	@echo "Installing Tannoy and what it needs into .venv: 90 MB"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) --require-hashes --requirement requirements-run.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv/.runnable ## a whole cluster on this machine: an embedded Valkey, three nodes, one port
	@$(BIN)/tannoy up

test: env ## all tests, against a real Valkey, real sockets and real node processes
	$(PYTEST) --numprocesses 3 $(GROUPED) tests/chaos $(WITHOUT_NODES)
	$(PYTEST) $(IN_PARALLEL) --ignore=tests/chaos $(addprefix --ignore=,$(WITHOUT_NODES))
	@$(MAKE) --no-print-directory test-js

test-unit: env ## pure tests, on a clock in the test's hand: about a minute
	$(PYTEST) --numprocesses 2 $(GROUPED) tests/unit tests/property

test-integration: env ## the Lua scripts on a real server, and three real nodes on every transport
	$(PYTEST) $(IN_PARALLEL) tests/scripts tests/integration

test-cluster: env ## nodes and Redis servers that are killed, frozen, cut off and failed over
	$(PYTEST) $(IN_PARALLEL) tests/cluster

test-browser: env ## the chat page in Chromium
	$(PYTEST) $(IN_PARALLEL) tests/browser

# Without npm it is skipped, but not in CI.
test-js: env ## the TypeScript client, against a real cluster; needs npm
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(JS_PACKAGES) && npm --prefix client/js test; \
		else echo "no \`npm\` on the PATH: the tests of client/js are skipped" >&2; test -z "$$CI"; fi

js: $(JS_PACKAGES) ## build the TypeScript client, and the file of it that the nodes serve
	npm --prefix client/js run build

$(JS_PACKAGES): client/js/package-lock.json
	npm --prefix client/js ci --silent --no-audit --no-fund
	@touch $@

test-chaos: env ## short runs under faults, and the mutants that their checker has to find
	$(PYTEST) tests/chaos

check: env ## format, lint, types, layers, packaging
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/mypy docs/examples
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit/test_packaging.py

format: env ## let ruff mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

CENTRIFUGO := github.com/centrifugal/centrifugo/v6@v6.9.1

bench-rivals: ## build Centrifugo for the benchmarks, and look whether nchan is there
	@command -v go > /dev/null && GOBIN=$(CURDIR)/.cache/bench go install $(CENTRIFUGO) || \
		echo "Centrifugo was not built: it needs Go. The benchmarks say that it is not installed."
	@ls /usr/lib/nginx/modules/ngx_nchan_module.so > /dev/null 2>&1 || \
		echo "nchan is not there: on Debian, apt-get install nginx libnginx-mod-nchan"

bench: env ## every benchmark; `make bench ARGS=--quick` for a first look
	$(BIN)/python -m bench $(ARGS)

chaos: env ## runs under faults; `make chaos ARGS='messages --seed 7 --deliveries 1000000 --faults 200'`, or `limits …`
	$(BIN)/python -m tests.chaos $(ARGS)

attack: env ## every known attack beside a bystander, against its bounds; `make attack ARGS='--sockets 10'`
	$(BIN)/python -m tests.attack $(ARGS)

fuzz: env ## inputs for everything that parses what strangers send; `make fuzz ARGS='--inputs 1000000 --seed 7'`
	$(BIN)/python -m tests.fuzz $(ARGS)

# --strict: a dependency of which the service knows nothing is an error, so that an audit of nothing never looks good.
audit: env ## known vulnerabilities of what requirements.lock names; needs the network
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off --requirement requirements.lock || { \
		echo "make audit has failed. Where no vulnerability is listed above, nothing was audited: the service that knows" \
			"them can't be reached from here, or does not know the dependency that is named." >&2; exit 1; }

install-check: env ## the built wheel in empty environments, by PYTHONS='python3.12 python3.13'
	$(BIN)/python -m tests.install $(PYTHONS)

schema: .venv/.runnable ## write docs/protocol.schema.json, the JSON Schema of commands and frames, anew
	$(BIN)/python -m tannoy.shared.protocol.schema > docs/protocol.schema.json

lock: env ## resolve the dependencies anew into requirements.lock, and those for running into requirements-run.lock
	$(INSTALL) uv
	$(COMPILE) --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra run --constraint requirements.lock --output-file requirements-run.lock pyproject.toml

clean: ## remove the environment and all caches
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	rm -rf client/js/node_modules client/js/dist
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
