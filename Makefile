# guardian: `make demo` and `make test` set up all they need from a bare Python 3.11 or newer.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO_DIR ?= guardian-demo

.PHONY: demo test lint services bench torture lock clean

demo: $(VENV)/.default  ## Replay two real models and tell what was found.
	$(BIN)/guardian demo --dir $(DEMO_DIR) --force

test: lint  ## Lint, types, contracts and the whole suite.
	@! { command -v java && command -v mvn; } >/dev/null || $(MAKE) services || echo "Kafka could not be fetched" >&2
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## What `make test` checks without running anything.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

services: .services/kafka/.complete  ## Fetch a Kafka broker for the tests (needs Maven); PostgreSQL is the system's own.

bench: $(VENV)/.default  ## Print the ratios of the README's table.
	$(BIN)/python tools/bench.py
	@$(MAKE) --no-print-directory bench-fleet

bench-fleet: $(VENV)/.default  ## Those of a fleet alone, on a broker and a PostgreSQL of its own.
	@! { command -v java && command -v mvn; } >/dev/null || $(MAKE) services || echo "Kafka could not be fetched" >&2
	$(BIN)/python tools/bench_fleet.py

torture: $(VENV)/.dev services  ## A fleet under faults and in a rebalance storm: about ten minutes.
	$(BIN)/python tools/torture.py
	$(BIN)/python tools/torture.py --storm

lock:  ## Resolve the lock files anew (needs uv); versions younger than two weeks are left out.
	uv pip compile pyproject.toml --group build --python-version 3.11 --universal --generate-hashes --no-emit-index-url \
	  --exclude-newer "$$(date -u -d '-14 days' +%F)" --custom-compile-command "make lock" -q -o requirements/default.txt
	uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --generate-hashes --no-emit-index-url \
	  --exclude-newer "$$(date -u -d '-14 days' +%F)" --custom-compile-command "make lock" -q -c requirements/default.txt \
	  -o requirements/dev.txt

# The lock files list every package that is needed, so nothing is resolved here: --no-deps, each archive checked by its hash.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "guardian needs Python 3.11 or newer on the PATH" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.default: $(VENV)/bin/python requirements/default.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/default.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.default requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	touch $@

.services/kafka/.complete: tests/services/kafka/pom.xml
	rm -rf $(@D)
	mvn --batch-mode --quiet --strict-checksums --file $< dependency:copy-dependencies -DoutputDirectory="$(CURDIR)/$(@D)"
	touch $@

clean:  ## Remove what the targets made.
	rm -rf $(VENV) .services guardian-demo dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
