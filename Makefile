# Longwatch: `make demo` and `make test` do everything that they need, set-up included.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test check format train bench clean

help:
	@echo "make demo    watch the built-in yard and ask about it (sets up first)"
	@echo "make test    run the tests (sets up first)"
	@echo "make check   format, lint, types, import contracts"
	@echo "make bench   the benchmarks; results go to benchmarks/results"
	@echo "make train   train the bundled checkpoint anew (hours on two cores)"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Longwatch needs Python 3.11 or newer as $(PYTHON); name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv is missing; install it: apt-get install python3-venv"; exit 1; }
	@echo "Setting up in $(VENV): about 0.7 GB to download with a CPU build of torch, about 3 GB where pip picks the CUDA build."
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python run_stream.py demo

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

train: $(READY)
	$(BIN)/python -m streamer.yard.train

bench: $(READY)
	$(BIN)/python -m benchmarks.bench_pipeline
	$(BIN)/python -m benchmarks.bench_checkpoint
	$(BIN)/python -m benchmarks.bench_recall
	$(BIN)/python -m benchmarks.bench_similarity_merge
	$(BIN)/python -m benchmarks.bench_capture
	$(BIN)/python -m benchmarks.bench_preprocessing
	$(BIN)/python -m benchmarks.bench_crash
	$(BIN)/python -m benchmarks.bench_archive
	$(BIN)/python -m benchmarks.bench_mqtt
	$(BIN)/python -m benchmarks.bench_later
	$(BIN)/python -m benchmarks.readme_table

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
