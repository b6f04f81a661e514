# `make` alone lists the targets. Each does its own set-up on a fresh machine.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python -m
STUBS := $(wildcard ../shared/stubs/rtx1)
TENSORRT_STUBS := $(wildcard ../shared/stubs/trt*)
# Written for the bindings of TensorRT 10, 11 and TensorRT-RTX alike, under the name of the first two.
API := variants/api variants/api_layers.py variants/api_network.py
RESULTS ?= results
# More words for pytest: make bench BENCH="--preset full"
BENCH ?=
TEST ?=

.PHONY: help bench test check format clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do printf '  make %-8s %s\n' "$$name" "$$what"; done

bench: $(READY) ## run the benchmark matrix and print the path of its HTML report (BENCH="--preset full" for all of it)
	@status=0; $(RUN) pytest bench/ --benchmark-only -v --results $(RESULTS) $(BENCH) || status=$$?; \
	if [ $$status -le 1 ]; then echo; echo "report: $$(cd $(RESULTS)/latest && pwd -P)/report.html"; fi; exit $$status

test: $(READY) browser compiler check ## lint, types, layering and all tests
	@$(RUN) pytest -n auto --maxprocesses 8 $(TEST)

check: $(READY) ## lint, types and layering alone
	@$(RUN) ruff check . && $(RUN) ruff format --check .
	@MYPYPATH=$(STUBS) $(RUN) mypy
	@for stubs in $(TENSORRT_STUBS); do echo "the plugins and the network API against $${stubs##*/}:"; \
	  MYPYPATH=$$stubs $(RUN) mypy --cache-dir .mypy_cache/$${stubs##*/} plugins/tensorrt tests/plugins/tensorrt $(API) || exit 1; done
	@for stubs in $(STUBS); do echo "the network API against $${stubs##*/}:"; mkdir -p .mypy_cache/as_tensorrt && \
	  ln -sfn $$(cd $$stubs && pwd)/tensorrt_rtx .mypy_cache/as_tensorrt/tensorrt && \
	  MYPYPATH=.mypy_cache/as_tensorrt $(RUN) mypy --cache-dir .mypy_cache/$${stubs##*/} $(API) || exit 1; done
	@$(VENV)/bin/lint-imports --no-logo

format: $(READY) ## format the code
	@$(RUN) ruff format . && $(RUN) ruff check --fix .

clean: ## remove results and cached artefacts, not the virtual environment
	rm -rf $(RESULTS) .trtbench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no python3 found: install Python 3.11 to 3.13, or run: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "$(PYTHON) is not Python 3.11 to 3.13: run: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { command -v apt-get >/dev/null && apt-get update -q && apt-get install -qy python3-venv; } || \
	  { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned dependencies into $(VENV) (a few minutes the first time)"
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(READY)

# The page's tests open it in a real browser, driven through a program that needs libatomic; without them they are skipped and say so.
.PHONY: browser
browser:
	@{ command -v chromium && /sbin/ldconfig -p | grep -q libatomic.so.1; } >/dev/null 2>&1 || \
	  { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy chromium libatomic1; } || \
	  echo "a browser is not installed (apt-get install chromium libatomic1): the tests of the page are skipped"

# NVIDIA's bindings are driven over empty libraries that the tests compile; without a compiler those tests are skipped and say so.
.PHONY: compiler
compiler:
	@command -v gcc >/dev/null || \
	  { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; } || \
	  echo "gcc is not installed (apt-get install gcc): the tests of the TensorRT plugins are skipped"
