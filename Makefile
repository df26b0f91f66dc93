# Everything that a newcomer needs: `make demo` and `make test`.
#
# PyTorch: constraints.txt pins a version that needs no CUDA where its CPU build can be had.
# Elsewhere, PyTorch's own index has it:
#     make demo PIP_EXTRA="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
VENV ?= .venv
VENV_OLDEST ?= .venv-oldest
PIP_EXTRA ?=

BIN = $(VENV)/bin
INSTALL = pip install --quiet $(PIP_EXTRA)
# two workers; more threads in each would only get in each other's way
PYTEST = OMP_NUM_THREADS=1 MPLBACKEND=agg $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test test-oldest test-wheel lint doc bench clean

demo: $(VENV)/.demo
	MPLBACKEND=agg $(BIN)/python examples/demo.py

test: $(VENV)/.tests
	$(PYTEST)

test-oldest: $(VENV_OLDEST)/.tests
	OMP_NUM_THREADS=1 MPLBACKEND=agg $(VENV_OLDEST)/bin/python -m pytest -n 2 \
		tests/test_common.py tests/test_contract.py tests/test_space.py \
		tests/test_space_containers.py

test-wheel: $(VENV)/.tests
	$(BIN)/python tests/wheel.py $(PIP_EXTRA)

lint: $(VENV)/.tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

doc: $(VENV)/.docs
	MPLBACKEND=agg $(BIN)/sphinx-build -W --keep-going -q -b html doc doc/_build/html

bench: $(VENV)/.tests
	$(BIN)/python benchmarks/bench_nearest.py

$(VENV)/.venv:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.demo: $(VENV)/.venv setup.py constraints.txt
	$(BIN)/$(INSTALL) -c constraints.txt -e .[frames]
	touch $@

$(VENV)/.tests: $(VENV)/.venv setup.py constraints.txt
	$(BIN)/$(INSTALL) -c constraints.txt -e .[tests]
	touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/.venv setup.py constraints.txt
	$(BIN)/$(INSTALL) -c constraints.txt -e .[docs]
	touch $@

$(VENV_OLDEST)/.tests: setup.py constraints-oldest.txt
	$(PYTHON) -m venv $(VENV_OLDEST)
	$(VENV_OLDEST)/bin/$(INSTALL) -c constraints-oldest.txt -e .[tests]
	touch $@

clean:
	rm -rf $(VENV) $(VENV_OLDEST) build dist *.egg-info doc/_build doc/auto_examples doc/generated
