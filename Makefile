# Every target does its own set-up in .venv: a fresh machine needs Python 3.11, Node and make.
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin

# Set-up is done again when what is wanted has changed, whatever the times of the files say.
sum = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
READY := .venv/ready-$(call sum,requirements.lock pyproject.toml)
NODE_READY := tests/node/node_modules/ready-$(call sum,tests/node/package-lock.json)
AUDIT_READY := .venv/audit/ready-$(call sum,requirements-audit.lock)
BROWSER := $(shell find browser examples/site/npm -name node_modules -prune -o -type f -print | LC_ALL=C sort)
BROWSER_NODE := browser/node_modules/ready-$(call sum,browser/package-lock.json)
WEB := $(shell find web -name node_modules -prune -o -type f -print | LC_ALL=C sort)
WEB_NODE := web/node_modules/ready-$(call sum,web/package-lock.json)
WEB_READY := milonga/console/static/ready-$(call sum,$(WEB))
BROWSER_READY := milonga/collector/cdn/assets/ready-$(call sum,$(BROWSER))
ASSETS := $(BROWSER_READY) $(WEB_READY)

# Tests run side by side, one process for each core; JOBS=0 runs them one after the other, in one. AGAIN=1: what fails is
# run once more by itself (.ci/again.py).
JOBS ?= auto
# The cache is ours, so that HOME need not be writable.
NPM_CI := npm ci --silent --no-audit --no-fund --cache "$(CURDIR)/.venv/npm"

.PHONY: setup demo test check fix bench fuzz faults soak audit lock browser web
.DEFAULT_GOAL := help

help:
	@echo "make demo    start Milonga with a pretend Totango and send a real SDK session through"
	@echo "make test    all tests        make check   format, lint, types, docs"
	@echo "make fix     repair format    make bench   measure, beside the limits"
	@echo "make fuzz    send 200,000 hostile requests to a server of its own"
	@echo "make faults  kill, cut the power, fill the disk, ...: is anything lost?"
	@echo "make soak    half of the maximum rate for 30 minutes: does anything creep?"
	@echo "make audit   ask the public lists whether a dependency is known to be vulnerable"
	@echo "make browser build the library that browsers load, make web what the console's pages load;"
	@echo "             demo and test do so themselves"

$(READY):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Milonga needs Python 3.11 or newer. Name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	rm -f .venv/ready*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

setup: $(READY)

browser: $(BROWSER_READY)

$(BROWSER_NODE):
	@command -v npm >/dev/null || { echo "The browser library is built with Node 20, and there is no npm." >&2; exit 1; }
	cd browser && $(NPM_CI)
	touch $@

$(BROWSER_READY): | $(BROWSER_NODE)
	rm -f milonga/collector/cdn/assets/ready-*
	cd browser && npm run --silent build
	touch $@

web: $(WEB_READY)

$(WEB_NODE):
	@command -v npm >/dev/null || { echo "The console's pages are built with Node 20, and there is no npm." >&2; exit 1; }
	cd web && $(NPM_CI)
	touch $@

$(WEB_READY): | $(WEB_NODE)
	cd web && npm run --silent build
	touch $@

demo: setup $(ASSETS)
	$(BIN)/milonga demo $(ARGS)

test: setup $(NODE_READY) $(ASSETS)
	$(BIN)/python -m tests.sdks.fetch
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(ARGS) $(if $(AGAIN),|| $(BIN)/python .ci/again.py $$?)

$(NODE_READY):
	cd tests/node && $(NPM_CI)
	touch $@

check: setup $(BROWSER_NODE) $(WEB_NODE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_layers.py -k "not tutorial"
	cd browser && npm run --silent check
	cd web && npm run --silent check

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup $(ASSETS)
	$(BIN)/python -m bench $(ARGS)

# ARGS="--seed 7 --requests 20000"
fuzz: setup $(ASSETS)
	$(BIN)/python -m tests.fuzz $(ARGS)

# ARGS="--seed 7 --only kills"
faults: setup $(ASSETS)
	$(BIN)/python -m tests.faults $(ARGS)

soak: setup $(ASSETS)
	$(BIN)/python -m tests.faults.soak $(ARGS)

# An environment of its own: nothing else needs these packages. ARGS=--strict fails where a list cannot be asked.
$(AUDIT_READY): $(READY)
	rm -rf .venv/audit
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	touch $@

audit: $(AUDIT_READY)
	PATH="$(CURDIR)/.venv/audit/bin:$$PATH" $(BIN)/python .ci/audit.py $(ARGS)

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --output-file requirements.lock
	.venv-lock/bin/uv pip compile --quiet --group audit --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --output-file requirements-audit.lock
	rm -rf .venv-lock
