# Strata: one command each for the demo, the tests and the checks. Every target sets up what it needs first.
#
#   make demo [PRESET=nano] [GANACHE=1] [TEXT=path/to/file.txt FIELD=name]
#   make test | test-fast | test-deep | contracts-deep | check | gas | setup | clean

PYTHON ?= python3.11
BIN := .venv/bin
PRESET ?= default
DEMO := --preset $(PRESET) $(if $(filter 1 yes true,$(GANACHE)),--ganache) \
        $(if $(TEXT),--text '$(TEXT)') $(if $(FIELD),--field '$(FIELD)')
PYTEST := $(BIN)/python -m pytest
# Tests that start whole networks of processes run one after the other: two at once on two cores starve each other's clocks.
NETWORKS := tests/e2e tests/integration/test_roles_processes.py tests/integration/test_swarm_peers.py \
            tests/integration/test_storage_daemons.py
# The other files are spread over workers, each file whole, since its tests share fixtures. They wait about as much as they
# compute, the quick ones more: so there are more workers than cores.
SPREAD := --dist loadfile
# With two threads of arithmetic in each worker, they would wait for one another on two cores.
SPREAD_PYTEST := OMP_NUM_THREADS=1 $(PYTEST) $(SPREAD)
FORGE := $(firstword $(wildcard node_modules/@foundry-rs/forge-*/bin/forge) $(shell command -v forge 2>/dev/null))
GAS := --isolate --match-path '*Gas.t.sol'

.PHONY: demo up stop status test test-fast test-deep contracts contracts-fast contracts-deep contracts-tools gas check \
        setup clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: setup ## the whole network on this machine, from nothing to a paid answer
	@$(BIN)/strata devnet demo $(DEMO)

up: setup ## a network that keeps running; see `strata devnet status | logs | stop`
	@$(BIN)/strata devnet up $(DEMO)

status: ## what runs
	@$(BIN)/strata devnet status

stop: ## stop the network that `make up` started
	@$(BIN)/strata devnet stop

test: setup ## all checks and tests but the deep ones (about 20 minutes on two cores)
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory contracts
	@echo "== tests in Python that start whole networks"
	@$(PYTEST) -m "not deep" $(NETWORKS)
	@echo "== the other tests in Python, all but the deep ones"
	@$(SPREAD_PYTEST) -n 3 -m "not deep" $(addprefix --ignore=,$(NETWORKS))

test-fast: setup ## the quick tests (about 80 seconds on two cores)
	@$(MAKE) --no-print-directory contracts-fast
	@$(SPREAD_PYTEST) -n 4 -q -m "not slow and not deep" tests/unit tests/contracts tests/integration

test-deep: setup ## the tests that take minutes: real models, long property runs
	@$(PYTEST) -m "deep"

contracts: setup ## forge: 2,000 runs of each property, 100,000 calls of invariants, gas, branch coverage
ifeq ($(FORGE),)
	@echo "== no forge for this machine: the contracts' tests in Solidity are left out"
else
	@echo "== forge: 2,000 runs of each property, 100,000 calls of invariants"
	@$(FORGE) test --no-match-path '*Gas.t.sol'
	@echo "== forge: gas as committed in contracts/gas (make gas writes it anew)"
	@FORGE_SNAPSHOT_CHECK=true $(FORGE) test $(GAS)
	@echo "== forge: branch coverage"
	@$(BIN)/python -m contracts.assurance.coverage
endif

contracts-fast: setup ## forge: 256 runs of each property
ifeq ($(FORGE),)
	@echo "== no forge for this machine: the contracts' tests in Solidity are left out"
else
	@FOUNDRY_PROFILE=fast $(FORGE) test
endif

contracts-deep: setup ## forge: 10,000 runs, 10 million calls; coverage, slither, proofs, mutants (hours; goes on where cut off)
	@PYTHON='$(PYTHON)' .ci/tools
	@$(MAKE) --no-print-directory contracts-tools
	@echo "== forge: 10,000 runs of each property, 10 million calls of invariants"
	@$(BIN)/python -m contracts.assurance.deep

contracts-tools:
	@echo "== slither" && $(BIN)/python -m contracts.assurance.findings
	@echo "== coverage" && $(BIN)/python -m contracts.assurance.coverage
	@echo "== proofs" && $(BIN)/python -m contracts.assurance.prove
	@echo "== mutants" && $(BIN)/python -m contracts.assurance.mutants

gas: setup ## measure what calls cost and write it to contracts/gas
	@FORGE_SNAPSHOT_EMIT=true $(FORGE) test $(GAS)

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
