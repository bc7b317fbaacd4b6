# make demo   set up and place landmarks on the bundled scan
# make test   set up with torch and pass the tests, then those on Slicer's parts
# make lint   set up the pinned linters and pass them
# Each sets up what it needs in .venv; PYTHON=python3.12 chooses another Python (3.10 or newer).
# make test-library, make test-slicer   one half of the tests; the second lives in .venv-slicer
# make test-oldest   the tests that stand on numpy, scipy and vtk, on the oldest of these allowed
# make file-lists   name the files that git knows in the CMakeLists.txt of the module

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO := palnet-demo

# Where Linux finds torch without CUDA; a machine that cannot reach it takes its own index's torch.
TORCH := torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

SOURCES := pyproject.toml $(shell find PALNetLandmarks/palnet -type f -not -path '*/__pycache__/*')

# Some processes, each file's tests in one of them, and one thread each.
PYTEST_ARGS ?= --numprocesses=auto --maxprocesses=4 --dist=loadfile

# Slicer's scene and views without its desktop; slicer-core pins the VTK that it was built with.
SLICER_VENV ?= .venv-slicer
SLICER_BIN := $(SLICER_VENV)/bin
SLICER_NEEDS ?= '.[slicer-test]'
SLICER_TESTS ?= Testing/host Testing/scene Testing/panel Testing/view Testing/packaging
HAS_SLICER_CORE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))

# numpy 1.26 and scipy 1.13 in place of >=1.26 and >=1.13: Slicer 5.10 has scipy 1.13.
OLDEST_VENV ?= .venv-oldest
OLDEST := $(shell sed -n 's/^dependencies = //p' pyproject.toml | tr -d '][,"' | sed 's/>=/==/g')
OLDEST_ROOMS := measurement surface face photo exchange commands
OLDEST_TESTS ?= $(OLDEST_ROOMS:%=Testing/unit/%) Testing/unit/test_detector.py \
    Testing/unit/test_preview.py Testing/unit/detection/test_combining.py
# Other people's readers ask for newer versions than we do. Searches that find no face take long, and
# use no more of these packages than the others.
OLDEST_WITHOUT := --ignore Testing/unit/exchange/test_third_parties.py \
    $(addprefix --deselect Testing/unit/test_detector.py::test_,noise_is_refused \
    head_without_a_face_is_refused_with_a_reason back_of_the_head_is_refused)
HAS_OLDEST := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

.PHONY: demo test test-library test-slicer test-oldest lint file-lists clean

demo: $(VENV)/.installed
	@$(BIN)/palnet detect --example --preview --overwrite --output $(DEMO)

test: test-library test-slicer

test-library: $(VENV)/.tested
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

test-slicer:
	@$(PYTHON) --version >/dev/null
	@if $(PYTHON) -c "$(HAS_SLICER_CORE)"; \
	then $(MAKE) --no-print-directory $(SLICER_VENV)/.tested && \
	    OMP_NUM_THREADS=1 $(SLICER_BIN)/python -m pytest $(PYTEST_ARGS) $(SLICER_TESTS); \
	else echo "slicer-core has no wheel for `$(PYTHON) --version`: going on without $(SLICER_TESTS)"; fi

test-oldest:
	@$(PYTHON) --version >/dev/null
	@if $(PYTHON) -c "$(HAS_OLDEST)"; \
	then $(MAKE) --no-print-directory $(OLDEST_VENV)/.tested && \
	    OMP_NUM_THREADS=1 $(OLDEST_VENV)/bin/python -m pytest $(PYTEST_ARGS) $(OLDEST_TESTS) $(OLDEST_WITHOUT); \
	else echo "no wheels of $(OLDEST) for `$(PYTHON) --version`: not tested on these"; fi

lint: $(VENV)/.linted
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

file-lists:
	@$(PYTHON) Testing/packaging/file_lists.py

clean:
	rm -rf $(VENV) $(SLICER_VENV) $(SLICER_VENV)-oldest $(OLDEST_VENV) $(DEMO) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

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

$(SLICER_VENV)/.tested: pyproject.toml
	@$(PYTHON) -m venv $(SLICER_VENV)
	@$(SLICER_BIN)/python -m pip install --quiet --disable-pip-version-check $(SLICER_NEEDS)
	@touch $@

$(OLDEST_VENV)/.tested: $(SOURCES)
	@$(PYTHON) -m venv $(OLDEST_VENV)
	@$(OLDEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --upgrade '.[cluster]' 'pytest>=9,<10' 'pytest-xdist>=3.6' 'hypothesis>=6.100' $(OLDEST)
	@touch $@

$(VENV)/.linted: $(VENV)/.torch $(VENV)/.installed
	@$(PIP) '.[lint]'
	@touch $@
