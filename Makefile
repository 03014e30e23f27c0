# Every target does its own set-up in .venv: a fresh machine needs Python 3.11, Node and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test check fix bench lock
.DEFAULT_GOAL := help

help:
	@echo "make demo    start Milonga with a pretend Totango and send a real SDK session through"
	@echo "make test    all tests        make check   format, lint, types, docs"
	@echo "make fix     repair format    make bench   measure, beside the limits"

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch .venv/ready

setup: .venv/ready

demo: setup
	$(BIN)/milonga demo $(ARGS)

test: setup tests/node/node_modules/ready
	$(BIN)/python -m pytest $(ARGS)

tests/node/node_modules/ready: tests/node/package-lock.json
	cd tests/node && npm ci --silent --no-audit --no-fund
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
	.venv-lock/bin/uv pip compile pyproject.toml --group dev --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --output-file requirements.lock
	rm -rf .venv-lock
