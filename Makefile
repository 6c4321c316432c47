# One command per chore. `make run` and `make test` set everything up themselves; ARGS="..." is handed to the tool.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup system run test test-long test-interop chaos lint format bench soak sim coverage mutants timing-ecp5 timing-xc7 prove docs requirements clean

ARGS ?=
BIN := .venv/bin

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

# Synthesis and proofs are heavy to install: only what needs them asks for them, and from then on they stay.
HEAVY := test test-long sim coverage mutants timing-ecp5 timing-xc7 prove

setup: ## Make the private environment .venv (ARGS="gpu" adds a group of requirements/)
	@tools/setup.sh $(if $(filter setup,$(MAKECMDGOALS)),$(ARGS)) $(if $(filter $(HEAVY),$(MAKECMDGOALS)),synth)

system:
	@tools/system.sh

run: setup ## Trade the default deployment (ARGS="plugins.toml --seed 7")
	@$(BIN)/penstock run $(ARGS)

test: setup system lint ## Lint, then the tests in two lanes; ends with what was skipped and why
	@tools/test.sh $(ARGS)

# pytest's exit status 5 says that no test has the marker.
test-long: setup system ## The long matrices: kill loops, large sweeps
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -m long $(ARGS) || [ $$? -eq 5 ]

test-interop: setup system ## Plugins in Go and JavaScript: built, tested, traded with; installs their toolchains
	@tools/interop.sh
	$(BIN)/python -m pytest -m interop $(ARGS) || [ $$? -eq 5 ]

lint: setup ## ruff, mypy --strict, and which package may import which
	@failed=0; for check in "ruff check" "ruff format --check" mypy "lint-imports --no-logo"; do \
		echo "lint: $$check"; $(BIN)/$$check || failed=1; done; exit $$failed

format: setup ## Format, and mend what ruff can mend
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

bench: setup ## Every benchmark, as JSON (ARGS adds flags)
	@$(BIN)/penstock bench all --json $(ARGS)

chaos: setup ## Break simulated deployments on purpose, for some minutes (ARGS="--seeds 50")
	@$(BIN)/penstock chaos deployments/chaos-plan.toml $(or $(ARGS),--seeds 40)
	@$(BIN)/penstock chaos deployments/chaos-paper-plan.toml $(or $(ARGS),--seeds 40)

soak: setup ## Days of an instance with restarts between: what stays as it is, and what grows
	@$(BIN)/penstock bench soak $(ARGS)

sim: setup system ## Run the benches of rtl/ on Icarus (ARGS="trigger --waves --seed 7")
	@$(BIN)/penstock sim run $(or $(ARGS),--all)

coverage: setup system ## Line and toggle coverage of rtl/, on Verilator; fails on a line that is neither reached nor explained
	@$(BIN)/penstock sim run --coverage $(or $(ARGS),--all)

mutants: setup system ## Change rtl/ a little, 72 times, and see that the benches notice (ARGS="--module trigger --count 20")
	@$(BIN)/python tools/mutants.py $(ARGS)

timing-ecp5: setup ## Measure every block and top on the ECP5, against rtl/budgets.toml (ARGS="risk_gate --write")
	@$(BIN)/python tools/figures.py --device ecp5 --check $(ARGS)

timing-xc7: setup ## The same on the xc7z020 (tools: rtl/timing/README.md)
	@$(BIN)/python tools/figures.py --device xc7 --seeds 5 --check $(ARGS)

prove: setup ## The proofs of rtl/proofs.toml (ARGS="risk_gate --only limits")
	@$(BIN)/python tools/prove.py $(ARGS)

docs: setup ## The pages and the API reference, into site/
	@$(BIN)/python tools/docs.py

requirements: ## Export requirements/*.in to hashed pins (ARGS=--upgrade for the newest)
	@tools/requirements.sh $(ARGS)

clean: ## Remove the environment, caches and site/; runs/ stays
	rm -rf .venv .cache site build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
