# make test     every test (sets up what it needs)      make check   style, types, import rules, links
# make bench    measurements, as ratios                  make fuzz    the long fuzzing run
# make lab      every combination of the laboratory      make live    against a real OpenNebula
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_RETRIES ?= 10
export PIP_DEFAULT_TIMEOUT ?= 60
CODE := onext hooks exporter gateway sandbox drivers edge tests

.PHONY: test check bench fuzz lab live clean
test: $(STAMP) packages
	$(BIN)/python -m tests

check: $(STAMP) lock-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/mypy drivers/auth/biscuit/authenticate hooks/hook
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict -q -d .cache/site

# Resolve the packages of front-ends and of the sandbox anew: locks/*.txt (UPGRADE=1: the newest ones)
.PHONY: lock lock-check
lock: $(STAMP)
	UV=$(BIN)/uv sh locks/make.sh

lock-check: $(STAMP)
	@UV=$(BIN)/uv sh locks/check.sh

.PHONY: packages
packages:
	@sh tests/packages.sh

bench: $(STAMP)
	$(BIN)/pip install -q -e '.[bench]'
	$(BIN)/python -m tests.bench

# Mutation testing: 600 mutants, under an hour (ONEXT_SEED, ONEXT_MUTANTS, ONEXT_ONLY)
.PHONY: mutants
mutants: $(STAMP)
	$(BIN)/pip install -q -e '.[mutants]'
	$(BIN)/python -m tests.mutants

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz
	ONEXT_EXAMPLES=5000 $(BIN)/python -m pytest tests/gateway/test_fuzz.py --timeout 7200
	ONEXT_EXAMPLES=5000 $(BIN)/python -m pytest -s tests/onext/hosts/actions/test_faults.py
	ONEXT_EXAMPLES=5000 $(BIN)/python -m pytest --timeout 7200 tests/hooks/availability/test_histories.py \
		tests/hooks/availability/lease/test_invariants.py

# 100,000 events and 200 kills of the worker for each kind of sink
.PHONY: soak
soak: $(STAMP) packages
	$(BIN)/python -m tests.hooks.events.kills
	ONEXT_HEALTHY=600 $(BIN)/python -m pytest --timeout 1500 tests/lab/test_watchdog.py --lab=all -k healthy

lab: $(STAMP) packages
	$(BIN)/python -m pytest tests/lab --lab=all

live: $(STAMP)
	$(BIN)/python -m pytest tests/live
	$(BIN)/python -m tests.live.pyone_versions

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .cache build dist *.egg-info
