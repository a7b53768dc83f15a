# make run   — set up .venv and answer the question (dvc repro)
# make test  — set up .venv and run every test
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the stages call `python`: it has to be the one that was set up
export PATH := $(abspath $(BIN)):$(PATH)

# files stay whole: what a file's first test sets up serves the others
PYTEST := pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup run test quick lint params lock page clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(BIN)/.installed  ## create .venv and install what requirements.lock pins

$(BIN)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) is $$($(PYTHON) -V); Python 3.11 or newer is needed: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

run: setup  ## everything from corpus to report, only what changed; JOBS=4 runs nodes side by side
	$(if $(JOBS),python -m lora_vs_api run -j $(JOBS),dvc repro)

test: setup  ## every test
	$(PYTEST)

quick: setup  ## the tests that take seconds
	$(PYTEST) -m "not slow"

lint: setup  ## style
	ruff check .
	ruff format --check .

params: setup  ## compose conf/ into params.yaml; SET="profile=smol-gpu lora.r=32" overrides
	python -m lora_vs_api params $(SET)

lock: setup  ## pin what .venv holds
	{ echo '# What `make run` installs: pip freeze of a tested environment (make lock).'; \
	  python -m pip freeze --exclude-editable --exclude lora-vs-api | sed 's/+cpu$$//'; } > requirements.lock

page: setup  ## write the page of `dvc plots` again, with Vega in it (needs the network)
	python -m lora_vs_api plots-page

clean:  ## remove .venv
	rm -rf $(VENV)
