# Every target works from a fresh clone with Python 3.11 or newer, make, git and a shell.
# The first one makes .venv and installs what is missing (tools/setup.sh says what and how).

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SERVES := $(VENV)/.serves
SOURCES := protocols supervision actors webui understudy tests tools docs
ARGS ?=
LOWEST ?= tests/unit/actors/test_cron_days.py tests/unit/actors/test_times.py tests/unit/protocols tests/unit/webui

.PHONY: help demo quick unit lowest test test-long check format lint types layers pytest browser bench bench-against soak storm simulate mutants gates clean

help:
	@echo "make demo    a tour in a temporary folder: tasks, a schedule and a real kill -9 in the middle"
	@echo "make quick   format, lint, types, layers and the unit tests: while you work"
	@echo "make lowest  unit tests with the lowest versions that pyproject.toml admits (LOWEST=tests/unit: all)"
	@echo "make test    everything that CI checks (make check is the same)"
	@echo "make test-long   the storm, the simulation, the mutants, the gates and the soak in their long forms (about 40 min)"
	@echo "make bench   the benchmarks against peers: table and JSON"
	@echo "make bench-against REV=COMMIT   each benchmark of this tree against an older commit, in turns"
	@echo "make soak    ten minutes of 200 tasks a second: what memory and files do"
	@echo "make storm   fifty kill -9 at random moments under load"
	@echo "make simulate ARGS='--seed N --hours H'   the cast on a disk and a clock that fail it, in virtual time"
	@echo "make mutants each rule of durability broken once, and the test that catches it"
	@echo "make gates   what must hold before a release, with a hundred kill -9"
	@echo "make format  put the sources into the house format"
	@echo "make clean   remove what the other targets made, .venv too"

$(INSTALLED): pyproject.toml tools/setup.sh
	@sh tools/setup.sh $(VENV) dev $@

# The demo needs no test tools: on a new machine the curtain is up sooner without them.
$(SERVES): pyproject.toml tools/setup.sh
	@sh tools/setup.sh $(VENV) serve $@

demo: $(SERVES)
	$(BIN)/understudy demo $(ARGS)

# The checks run side by side, then the tests on two cores: their closing line is the last but for the rooms'.
test: browser
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint types layers lowest
	@$(MAKE) --no-print-directory pytest

check: test

# The slow proofs in the forms that a release waits for. Each has a short form among the tests.
test-long: $(INSTALLED)
	$(BIN)/python -m tests.mutants
	$(BIN)/python -m tests.gates
	$(BIN)/python -m tests.faults.storm --kills 50
	$(BIN)/python -m understudy.supervision.testing.simulate --seed 1 --hours 24
	sh tools/lowest.sh $(VENV) tests/unit
	$(BIN)/python -m tests.benchmarks.soak

# The checks run side by side, the tests after them on two cores.
quick: $(INSTALLED)
	@$(MAKE) --no-print-directory -j 2 --output-sync=target lint types layers
	@$(MAKE) --no-print-directory unit

unit: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations=10 $(or $(ARGS),tests/unit)

format: $(INSTALLED)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(INSTALLED)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(INSTALLED)
	$(BIN)/pyright

# Without its cache: that keeps what a file imported when the imported module did not exist yet.
layers: $(INSTALLED)
	$(BIN)/lint-imports --no-cache

# The expressions of schedules are read by a library whose older versions read some of them wrongly.
lowest: $(INSTALLED)
	sh tools/lowest.sh $(VENV) $(LOWEST)

browser: $(INSTALLED)
	@sh tools/browser.sh

pytest: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered --durations=10 $(ARGS)
	$(if $(ARGS),,$(BIN)/python tools/rooms.py)

bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks $(ARGS)

# `make bench-against REV=v0.1.0 ARGS='tell ask --rounds 5'`
bench-against: $(INSTALLED)
	@test -n "$(REV)" || { echo "expected REV, the commit to compare with: make bench-against REV=main~10"; exit 2; }
	$(BIN)/python -m tests.benchmarks.against $(REV) $(ARGS)

soak: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.soak $(ARGS)

storm: $(INSTALLED)
	$(BIN)/python -m tests.faults.storm --kills 50 $(ARGS)

simulate: $(INSTALLED)
	$(BIN)/python -m understudy.supervision.testing.simulate $(ARGS)

gates: $(INSTALLED)
	$(BIN)/python -m tests.gates

mutants: $(INSTALLED)
	$(BIN)/python -m tests.mutants $(ARGS)

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis .coverage build dist understudy.egg-info
