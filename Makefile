# `make up` on a fresh machine needs Python >= 3.11 with venv, make, and a package registry that pip knows. Nothing else.
# Another Python: make PYTHON=python3.12 up

ifndef PYTHON
PYTHON := $(firstword $(foreach p,python3.11 python3.12 python3.13 python3, \
	$(shell $p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $p)))
endif
ifeq ($(strip $(PYTHON)),)
$(error akjob needs Python 3.11 or newer with venv. Debian: apt-get install python3 python3-venv. Else: make PYTHON=/path/to/python)
endif

VENV := .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifeq ($(VERSION),)
$(error $(PYTHON) does not run. Name a Python 3.11 or newer: make PYTHON=/path/to/python)
endif
MADE := $(VENV)/.made-$(VERSION)
INSTALLED := $(VENV)/.installed-$(VERSION)
INSTALLED_DEV := $(VENV)/.installed-dev-$(VERSION)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help up down test dev check format lint types validate examples schema docs site lock sbom bench screenshots faults wheel clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

up: $(INSTALLED) examples ## install what is locked, then run supervisord, akjobd and the collector in the foreground
	@exec env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MAKE_TERMOUT -u MAKE_TERMERR $(BIN)/akjob up

down: ## stop them from another terminal; waits for running jobs
	@exec $(BIN)/akjob down

test: $(INSTALLED_DEV) ## all tests; TESTS="tests/unit -x" for some
	$(BIN)/python -m pytest $(TESTS)

dev: $(INSTALLED_DEV) ## all that a developer needs, git hooks included
	@if git rev-parse --git-dir >/dev/null 2>&1; then $(BIN)/pre-commit install; fi

check: format lint types test validate ## what CI asks for

format: $(INSTALLED_DEV) ## is every file formatted (fix: .venv/bin/ruff format)
	$(BIN)/ruff format --check

lint: $(INSTALLED_DEV) ## ruff, all rules
	$(BIN)/ruff check

types: $(INSTALLED_DEV) ## mypy, strict
	$(BIN)/mypy

validate: $(INSTALLED) examples ## the examples in jobs.d/
	$(BIN)/akjob validate jobs.d/

# Compiled code is good for one Python only, so the packed example is packed again on another one.
examples: $(INSTALLED)
	@grep -q 'python = "$(VERSION)"' jobs.d/report.toml || { \
		made=$$($(BIN)/akjob pack --rebuild jobs.d/report.dill) \
		&& sed -i "s|^dill = .*|$$made|" jobs.d/report.toml \
		&& echo "jobs.d/report.dill is made for Python $(VERSION) now; git will show it as changed"; }

schema: $(INSTALLED) ## write the JSON Schema of the job file again
	$(BIN)/akjob schema > etc/job.schema.json
	cp etc/job.schema.json akjob/data/job.schema.json

docs: $(INSTALLED_DEV) ## write the generated pages of docs/ again
	$(BIN)/python -m tests.docs.pages

site: $(INSTALLED_DEV) ## build docs/ into build/site, to be read without a network
	$(BIN)/zensical build --strict

lock: $(INSTALLED_DEV) ## write requirements.txt and requirements-dev.txt again from pyproject.toml
	$(BIN)/$(LOCK) --extra all --group pyproject.toml:build -o requirements.txt
	$(BIN)/$(LOCK) --extra all --group pyproject.toml:build --group pyproject.toml:dev -c requirements.txt -o requirements-dev.txt

sbom: $(INSTALLED_DEV) ## write contrib/sbom.cdx.json again from requirements.txt
	$(BIN)/python contrib/sbom.py

bench: $(INSTALLED_DEV) ## measure against the bare machine and the peers; BENCH="burst --docs" for some
	$(BIN)/python -m benchmarks $(BENCH)

screenshots: $(INSTALLED_DEV) ## every page in both themes and three widths, into var/screenshots
	$(BIN)/python -m tests.web.screenshots var/screenshots

faults: $(INSTALLED_DEV) ## kill every process at every step of a run's life; print the table
	$(BIN)/python -m pytest -q -s -p no:randomly -m faults

wheel: $(INSTALLED_DEV) ## build the wheel and the source archive into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist -t sdist -t wheel >/dev/null

clean: ## what the tools left; neither .venv nor var
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A venv of another Python version is made again; one of the same is kept.
$(MADE):
	@test "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = $(VERSION) \
		|| { echo "Making $(VENV) with $(PYTHON) ($(VERSION))"; $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

# The locked packages with their hashes; then akjob itself, editable, built by the locked hatchling.
$(INSTALLED): $(MADE) requirements.txt pyproject.toml
	@echo "Installing the locked packages into $(VENV)"
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED) requirements-dev.txt
	@echo "Installing the locked development packages into $(VENV)"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@
