# `make demo` and `make test` do all set-up on a machine that has Python 3.11 or newer with pip, and nothing else.
#
#   make demo ARGS="--seeds 0"      options for the demo
#   make test ARGS="-k split -x"    options for pytest
#   make fuzz MINUTES=60            input of strangers, changed at random
#   PYTHON=python3.12 make demo     another interpreter

VENV := .venv
BIN := $(VENV)/bin

# An installation is as old as these two files: their checksum is part of the stamp's name, so a second `make demo`
# installs nothing, and a changed dependency does.
STAMP := $(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
READY := $(VENV)/.ready-$(STAMP)
READY_TEST := $(VENV)/.ready-test-$(STAMP)
READY_DOCS := $(VENV)/.ready-docs-$(STAMP)
READY_ALL := $(VENV)/.ready-all-$(STAMP)
LOWEST := build/lowest-$(notdir $(or $(PYTHON),python))
READY_LOWEST := $(LOWEST)/.ready-$(STAMP)
NEWEST := build/newest-$(notdir $(or $(PYTHON),python))
READY_NEWEST := $(NEWEST)/.ready-$(STAMP)-$(shell date +%F)

# The pip that comes with Python 3.11 takes twice the time of a newer one; where there is no newer one, it will do.
NEW_PIP := $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip || true

# pip would compile what it installs on one core, with much that is never imported: a third of the time of an
# installation. Some files are templates and do not compile.
COMPILE := $(BIN)/python -m compileall -qq -j 0 \
  -x '/(tests|testing|botocore|chardet|debugpy|mypy|mypyc|nltk|selenium|textual|_inductor|pygments/lexers|transformers/models)/' $(VENV)/lib || true

# Tiny models are slower on many threads than on one, and tests that share two cores even more so. Tests start a hundred
# processes: what the first compiles, the next need not, also where a container says that Python shall write no bytecode.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=

.PHONY: demo test check-all check-lowest check-newest docs lint format bench fuzz gpu-check clean
.DELETE_ON_ERROR:

demo: $(READY)
	@$(BIN)/listops-bench demo $(ARGS)

# Three workers for two cores: tests that start processes wait for them.
test: $(READY_TEST)
	@$(TEST_ENV) $(BIN)/python -m pytest -n 3 --no-loadscope-reorder $(ARGS)

# The tests with more cases, and those that are too long for every commit.
check-all: $(READY_TEST) $(READY_ALL)
	@LISTOPS_CHECK_ALL=1 $(TEST_ENV) $(BIN)/python -m pytest -n 3 --no-loadscope-reorder $(ARGS)

# The lowest versions that pyproject.toml allows, and today's newest, which `pip install .` gives a user: in environments of
# their own, what needs no other harness, browser or tool.
BARE := $(foreach part,base dataset evaluate hub model result runs score stats sweep tasks train,tests/$(part))

check-lowest: $(READY_LOWEST)
	@$(TEST_ENV) $(LOWEST)/bin/python -m pytest -n 3 --no-loadscope-reorder $(or $(ARGS),$(BARE))

check-newest: $(READY_NEWEST)
	@$(TEST_ENV) $(NEWEST)/bin/python -m pytest -n 3 --no-loadscope-reorder $(or $(ARGS),$(BARE))

# The site, in build/docs. A warning of mkdocs is an error. Material announces its successors on every build.
docs: $(READY_DOCS)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	@echo build/docs/index.html

lint: $(READY_TEST)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY_TEST)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY_TEST)
	@set -e; for script in $(filter-out benchmarks/gpu.py benchmarks/against.py benchmarks/sampled.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

# On a machine with a GPU, as it is: no installation, only a Python that has torch, transformers, accelerate and pytest.
gpu-check:
	@PYTHONPATH=. $(or $(PYTHON),python3) benchmarks/gpu.py $(ARGS)

fuzz: $(READY_TEST)
	@$(TEST_ENV) $(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@python="$(PYTHON)"; \
	for candidate in $${python:-python3.11 python3.12 python3.13 python3 python}; do \
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: no Python 3.11 or newer with venv and pip was found (on Debian: apt-get install python3 python3-venv)" >&2; exit 2; \
	fi; \
	echo "setting up $(VENV) with $$($$found --version)"; \
	$$found -m venv $(VENV)

$(READY): | $(BIN)/python
	@$(NEW_PIP)
	@echo "installing listops_bench and what it needs into $(VENV) (once; some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[board]'
	@$(COMPILE)
	@touch $@

$(READY_TEST): | $(BIN)/python
	@$(NEW_PIP)
	@echo "installing listops_bench and what its tests need into $(VENV) (once; some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[test]'
	@$(COMPILE)
	@touch $(READY) $@

$(READY_DOCS): | $(READY)
	@echo "installing what builds the documentation into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[docs]'
	@touch $@

$(READY_ALL): | $(READY_TEST)
	@echo "installing what make check-all needs beside into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[docs,reasoning-gym,verifiers]'
	@touch $(READY_DOCS) $@

# `uv` finds the lowest version of what is named here, and the newest of what that needs itself.
$(READY_LOWEST): RESOLUTION := lowest-direct
$(READY_NEWEST): RESOLUTION := highest
$(READY_LOWEST) $(READY_NEWEST): | $(BIN)/python
	@echo "installing what is tested into $(@D) (some minutes; the newest versions once a day)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@rm -rf $(@D)
	@$(BIN)/uv venv --quiet --python $(or $(PYTHON),$(BIN)/python) $(@D)
	@$(BIN)/uv pip install --quiet --python $(@D) --resolution $(RESOLUTION) -r pyproject.toml --extra board --extra unit
	@$(BIN)/uv pip install --quiet --python $(@D) --no-deps -e .
	@touch $@
