# Every target sets up .venv first; uv is used when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.bench-installed
COVERAGE_FLOOR := 90
KILL_ROUNDS ?= 100
# Tests wait much of their time, so there are more processes than cores.
WORKERS ?= 4
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist worksteal
SOAK_EVENTS ?= 100000
SOAK_CUTS ?= 1000
SOAK_KILLS ?= 20
SOAK_STOPPED ?= 1000
SOAK_STOPPED_SECONDS ?= 60
SOAK_STREAMS ?= 10000

.PHONY: demo test check format lint types imports coverage kill soak bench bench-fanout bench-growth bench-profile bench-smoke bench-wholeway nexmo wheel clean

demo: $(STAMP)
	$(BIN)/conversation-kit demo

test: $(STAMP)
	$(PYTEST)

check: lint types imports coverage

$(STAMP): pyproject.toml constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'; \
	fi
	@touch $(STAMP)

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

coverage: $(STAMP)
	$(PYTEST) --cov --cov-report=term --cov-fail-under=$(COVERAGE_FLOOR)

kill: $(STAMP)
	CONVERSATION_KIT_KILL_ROUNDS=$(KILL_ROUNDS) $(BIN)/pytest -q -s tests/reliability/test_kill.py

soak: $(STAMP)
	CONVERSATION_KIT_SOAK_EVENTS=$(SOAK_EVENTS) CONVERSATION_KIT_SOAK_CUTS=$(SOAK_CUTS) CONVERSATION_KIT_SOAK_KILLS=$(SOAK_KILLS) \
		CONVERSATION_KIT_SOAK_STOPPED=$(SOAK_STOPPED) CONVERSATION_KIT_SOAK_STOPPED_SECONDS=$(SOAK_STOPPED_SECONDS) \
		CONVERSATION_KIT_SOAK_STREAMS=$(SOAK_STREAMS) \
		$(BIN)/pytest -q -s tests/reliability/test_live_soak.py

$(BENCH_STAMP): $(STAMP)
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,bench]'; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'; \
	fi
	@touch $(BENCH_STAMP)

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

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
