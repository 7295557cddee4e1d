# corten: `make demo` and `make test` install all they need.
SHELL := /bin/bash -euo pipefail
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTEST_ARGS ?=
# Generated tests draw the same in every run, so that a change is judged by what it changes; `fuzz` draws anew.
SEED ?= 1
FUZZ_ARGS ?= tests/unit tests/contracts

.PHONY: help setup setup-test pins check test coverage crash fuzz demo bench clean

help: ## show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## install the Debian packages that are missing, and corten into .venv
	@$(call install_packages,debian-packages.txt)

setup-test: setup
	@$(call install_packages,debian-packages-test.txt)

# Names of missing packages are computed first, so that a machine that has all needs no network.
define install_packages
missing=; \
for package in $$(grep -vE '^(#|$$)' $(1)); do \
  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=" $$package"; \
done; \
if [ -n "$$missing" ]; then \
  echo "installing:$$missing"; \
  apt-get update -q >/dev/null; \
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing >/dev/null; \
fi
endef

$(VENV)/.installed: pyproject.toml requirements/dev.txt
	@python3 -c 'import ensurepip, venv' 2>/dev/null || \
	  { apt-get update -q >/dev/null; apt-get install -y -q python3-venv >/dev/null; }
	@test -x $(PY) || python3 -m venv $(VENV)
	@echo "installing corten and its tools into $(VENV)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# pip compiles what it installs, but not an editable source: without this, and where
	@# PYTHONDONTWRITEBYTECODE is set, every start would compile it anew.
	@$(PY) -m compileall -q src
	@touch $@

pins: ## resolve pyproject.toml anew into requirements/dev.txt (versions and hashes)
	python3 -m venv build/pins && build/pins/bin/pip install -q pip-tools
	build/pins/bin/pip-compile -q --upgrade --extra registry --extra dev --generate-hashes \
	  --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-header --no-annotate -o requirements/dev.txt pyproject.toml

check: setup ## format, lint, types, import rules
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/ruff check src tests bench examples
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup-test check ## everything: check, then all tests
	$(BIN)/pytest --hypothesis-seed=$(SEED) $(PYTEST_ARGS)

coverage: setup-test ## lines and branches that the tests of units and contracts reach
	$(BIN)/coverage run -m pytest -q tests/unit tests/contracts tests/spec tests/hostile
	$(BIN)/coverage report --skip-covered --sort=cover

crash: setup-test ## kill at every system call, at random and by power cut: more of it than `test`
	CORTEN_CRASH=all CORTEN_CRASH_KILLS=400 CORTEN_CRASH_CUTS=60 $(BIN)/pytest -q tests/crash

fuzz: setup-test ## generated tests with other draws each time, until one fails: SEED_FROM=n begins at n
	seed=$${SEED_FROM:-$$RANDOM}; while :; do echo "seed $$seed"; \
	  $(BIN)/pytest -q -x --hypothesis-seed=$$seed -m hypothesis $(FUZZ_ARGS) || exit 1; seed=$$((seed + 1)); done

demo: setup ## the main job, end to end: base image, build, run, push, pull
	$(PY) examples/demo.py

bench: setup-test ## corten beside podman and docker, as ratios
	$(PY) -m bench

clean: ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
