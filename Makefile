PYTHON ?= python3.11
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo check test soak images wheel format protos lock clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: .venv/ready ## Make .venv and install everything into it, checked by hash

.venv/ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: setup ## The whole job on made-up typists: import, train, compare, predict
	keyprint demo

check: setup ## Everything that reads the code without running it
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	cd protos && buf lint
	scripts/check_protos.sh

test: setup ## Every test
	pytest

soak: setup ## What is random, many times over, and load for longer
	KEYPRINT_TEST_KILLS=20 KEYPRINT_TEST_LOAD_SECONDS=600 pytest tests/integration/test_ingest_faults.py \
		tests/integration/test_killed_training.py tests/integration/test_cancelled_training.py \
		tests/integration/test_mixed_load.py
	KEYPRINT_TEST_PACE_MS=170 pytest -s tests/e2e/test_two_minutes.py

images: ## Build the four containers' images, keyprint-<part>, with podman
	scripts/images.sh

wheel: setup ## Build dist/keyprint-*.whl: the client and the command line, without the services
	scripts/wheel.sh dist

format: setup ## Lay the code out
	ruff check --fix .
	ruff format .

protos: setup ## Generate inference and keyprint/v1 from protos/
	scripts/protos.sh

lock: setup ## Pin the newest versions that pyproject.toml allows
	scripts/lock.sh

clean: ## Remove what was built; state under var/ stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
