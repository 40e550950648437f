# Strata: one command each for the demo, the tests and the checks. Every target sets up what it needs first.
#
#   make demo [PRESET=nano] [GANACHE=1] [TEXT=path/to/file.txt FIELD=name]
#   make test | test-fast | test-deep | check | setup | clean

PYTHON ?= python3.11
BIN := .venv/bin
PRESET ?= default
DEMO := --preset $(PRESET) $(if $(filter 1 yes true,$(GANACHE)),--ganache) \
        $(if $(TEXT),--text '$(TEXT)') $(if $(FIELD),--field '$(FIELD)')
PYTEST := $(BIN)/python -m pytest

.PHONY: demo up stop status test test-fast test-deep check setup clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## the whole network on this machine, from nothing to a paid answer
	@$(BIN)/strata devnet demo $(DEMO)

up: setup ## a network that keeps running; see `strata devnet status | logs | stop`
	@$(BIN)/strata devnet up $(DEMO)

status: ## what runs
	@$(BIN)/strata devnet status

stop: ## stop the network that `make up` started
	@$(BIN)/strata devnet stop

test: setup ## all checks and tests (under 15 minutes on two cores)
	@$(MAKE) --no-print-directory check
	@echo "== tests, all but the deep ones"
	@$(PYTEST) -m "not deep"

test-fast: setup ## the quick tests (under 90 seconds)
	@$(PYTEST) -m "not slow and not deep" tests/unit tests/contracts tests/integration

test-deep: setup ## the tests that take minutes: real models, long property runs
	@$(PYTEST) -m "deep"

check: setup ## ruff, mypy, the rule of imports, artifacts that match the sources
	@echo "== ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== mypy" && $(BIN)/mypy
	@echo "== the rule of imports and the artifacts"
	@$(PYTEST) -q -m "not slow and not deep" tests/unit/test_house.py $(wildcard tests/contracts/test_artifacts.py)

setup: ## a virtual environment and the Node tools; instant when nothing changed
	@PYTHON='$(PYTHON)' .ci/setup

clean: ## stop what runs and remove runs (keeps wallets and converted models)
	@if [ -x $(BIN)/strata ]; then $(BIN)/strata devnet stop || true; fi
	@rm -rf .strata/runs .strata/network.json .mypy_cache .ruff_cache .pytest_cache
