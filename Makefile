# Two commands for a fresh machine with Python >= 3.11, make and a C/C++ compiler:
#   make quickstart   install, let the miniature pair write 16 rows, show one
#   make test         install what tests need, run the fast ones

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := runs/quickstart
MODELS := examples/miniature/models

# llama.cpp is compiled on the spot; what we do not use is left out, which halves the time.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF

.PHONY: quickstart test check bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tessy needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	@echo "installing tessy and compiling llama.cpp (a few minutes, once) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llamacpp]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llamacpp,dev]'
	@touch $@

quickstart: $(VENV)/.installed
	@rm -rf $(RUN)
	$(BIN)/tessy run examples/miniature/prompts.jsonl -n 16 -o $(RUN) --policy tessy \
	    --teacher llamacpp:$(MODELS)/teacher.gguf --student llamacpp:$(MODELS)/student.gguf
	@$(BIN)/tessy show $(RUN)

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python tests/bench/bench_llamacpp.py

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
