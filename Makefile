# Every target does its own set-up in .venv: a fresh machine needs Python 3.11, Node and make.
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin

# Set-up is done again when what is wanted has changed, whatever the times of the files say.
sum = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
READY := .venv/ready-$(call sum,requirements.lock pyproject.toml)
NODE_READY := tests/node/node_modules/ready-$(call sum,tests/node/package-lock.json)

.PHONY: setup demo test check fix bench lock
.DEFAULT_GOAL := help

help:
	@echo "make demo    start Milonga with a pretend Totango and send a real SDK session through"
	@echo "make test    all tests        make check   format, lint, types, docs"
	@echo "make fix     repair format    make bench   measure, beside the limits"

$(READY):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "Milonga needs Python 3.11 or newer. Name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	rm -f .venv/ready*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

setup: $(READY)

demo: setup
	$(BIN)/milonga demo $(ARGS)

test: setup $(NODE_READY)
	$(BIN)/python -m pytest $(ARGS)

# The cache is ours, so that HOME need not be writable.
$(NODE_READY):
	cd tests/node && npm ci --silent --no-audit --no-fund --cache "$(CURDIR)/.venv/npm"
	touch $@

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_layers.py -k "not tutorial"

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m bench $(ARGS)

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile --quiet pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --output-file requirements.lock
	rm -rf .venv-lock
