# `make run` serves the quick-start config, `make test` checks everything; both make their own .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN_ARGS ?=

.PHONY: run test lint unit docs format lock clean

run: $(READY)
	$(BIN)/twospeed serve --config config/quickstart.yaml $(RUN_ARGS)

test: lint unit

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/python -m pytest

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# config/schema.json, docs/config.md and docs/metrics.md, the dashboard and the alerts: all from the code.
docs: $(READY)
	$(BIN)/python -m twospeed.reference

# Everything the environment needs comes from the hashed lock; once it is there, nothing here touches the network.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "twospeed needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	$(BIN)/python -m compileall -q src
	touch $@

# Writes the lock anew from pyproject.toml; the only target that always needs the network.
lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --disable-pip-version-check uv
	$(PYTHON) .ci/lock.py $(VENV)-lock/bin/uv > requirements.lock.new && mv requirements.lock.new requirements.lock
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache
