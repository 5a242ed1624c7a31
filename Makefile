# The two commands: `make demo` sees a search being built and judged, `make test` passes the tests.
.PHONY: setup demo test lint lock

PYTHON ?= python3.11
BIN := $(CURDIR)/.venv/bin
# PyTorch's own CPU builds, which are smaller: make TORCH_INDEX=https://download.pytorch.org/whl/cpu ...
TORCH_INDEX ?=
export PATH := $(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
# ANNOY is compiled for this processor: a wheel that lies in pip's cache may be for another one, and crash.
	awk '/^[a-z]/ {keep = /^annoy==/} keep' requirements.lock > .venv/annoy.lock
	$(BIN)/pip install --quiet --no-cache-dir --no-deps --require-hashes -r .venv/annoy.lock
ifeq ($(TORCH_INDEX),)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
else
	$(BIN)/pip install --quiet --index-url $(TORCH_INDEX) $$(grep -oE '^(torch|torchvision)==[^ ]+' requirements.lock)
	awk '/^[a-z]/ {keep = !/^(torch|torchvision|triton|cuda-|nvidia-)/} keep' requirements.lock > .venv/rest.lock
	$(BIN)/pip install --quiet --require-hashes --no-deps -r .venv/rest.lock
endif
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	@python -m ris.lab.demo

# Two processes of one thread each: files of tests share what they prepare, so each stays in one process. One that
# crashes ends the run, which would otherwise wait for its tests for ever.
test: setup lint
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: setup
	ruff check
	ruff format --check
	lint-imports
	mypy

lock:
	uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	    --no-header --no-annotate --all-extras --group dev --group docs pyproject.toml -o requirements.lock
