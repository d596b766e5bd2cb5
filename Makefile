# `make run` and `make test` set everything up themselves, in a virtual environment of their own.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin

.PHONY: run clean-run test fast lint install clean picture

run: $(VENV)/.core
	@if [ -f runs/quickstart/run.db ]; then \
		echo "runs/quickstart is there already: going on with it (make clean-run starts afresh)"; \
		$(BIN)/python run_arena.py resume runs/quickstart; \
	else \
		$(BIN)/python run_arena.py run configs/quickstart.yaml; \
	fi

clean-run:
	rm -rf runs/quickstart

test: lint
	$(BIN)/python -m pytest

fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/.dev

picture: $(VENV)/.core
	$(BIN)/python docs/make_picture.py

# A stamp is written only after everything before it succeeded: an interrupted install goes on at the next call.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or later is needed, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install $(PIP_FLAGS) -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[dev]"
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
