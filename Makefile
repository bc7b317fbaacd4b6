# make demo   set up and place landmarks on the bundled scan
# make test   set up with torch and pass the tests
# make lint   set up the pinned linters and pass them
# Each sets up what it needs in .venv; PYTHON=python3.12 chooses another Python (3.10 or newer).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO := palnet-demo

# Where Linux finds torch without CUDA; a machine that cannot reach it takes its own index's torch.
TORCH := torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

SOURCES := pyproject.toml $(shell find PALNetLandmarks/palnet -type f -not -path '*/__pycache__/*')

.PHONY: demo test lint clean

demo: $(VENV)/.installed
	@$(BIN)/palnet detect --example --preview --overwrite --output $(DEMO)

test: $(VENV)/.tested
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.linted
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) $(DEMO) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.venv:
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.venv $(SOURCES)
	@$(PIP) --upgrade .
	@touch $@

$(VENV)/.torch: $(VENV)/.venv
	@if $(BIN)/python -c "from urllib.request import urlopen; urlopen('$(TORCH_INDEX)/torch/', timeout=5)" 2>/dev/null; \
	then $(PIP) $(TORCH) --extra-index-url $(TORCH_INDEX); \
	else $(PIP) $(TORCH); fi
	@touch $@

$(VENV)/.tested: $(VENV)/.torch $(VENV)/.installed
	@$(PIP) '.[test,train]'
	@touch $@

$(VENV)/.linted: $(VENV)/.torch $(VENV)/.installed
	@$(PIP) '.[lint]'
	@touch $@
