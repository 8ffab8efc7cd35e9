# The project's commands. `make demo` and `make test` need Python 3.11 with venv and pip, and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --require-hashes --no-deps
PORT ?= 8000
BENCHMARKS := import_bill spans names allocate ten_times late_day chargeback_csv pages accuracy

# Python keeps what it compiled in the environment's folder. A machine may ask it not to keep any (images often do), and
# then every process compiles all libraries anew: a portal starts in half a minute rather than in ten seconds.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/bytecode

.PHONY: help setup up demo test properties mutants lint types bench accuracy

help:
	@echo "make demo    the portal with the demo company on http://127.0.0.1:$(PORT)"
	@echo "make test    the whole test suite"
	@echo "make setup | up | lint | types | bench | accuracy | properties | mutants"

# One file marks what is installed, and holds the checksum of the list it came from.
$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else "Apportion needs Python 3.11 or later; this is %d.%d" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what requirements.txt lists into $(VENV)"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what requirements-dev.txt lists into $(VENV)"
	@$(PIP) -r requirements-dev.txt
	@touch $@

# An environment of its own: mutmut brings setproctitle, with which gunicorn and celery hide their command lines.
$(VENV)-mutants/.installed: requirements.txt requirements-dev.txt requirements-mutants.txt
	@test -x $(VENV)-mutants/bin/python || $(PYTHON) -m venv $(VENV)-mutants
	@for list in $^; do $(subst $(VENV)/,$(VENV)-mutants/,$(PIP)) -r $$list || exit 1; done
	@touch $@

setup: $(VENV)/.installed-dev

up: $(VENV)/.installed
	@$(BIN)/python manage.py up --port $(PORT)

demo: $(VENV)/.installed
	@$(BIN)/python manage.py demo --port $(PORT)

test: setup
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What holds of every split and month, on 100,000 made-up months. The longest tests begin; who runs dry takes over others.
properties: setup
	@$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile longer tests/allocation/plans/test_month_properties.py \
		tests/allocation/plans/test_shared_properties.py tests/allocation/values/test_split_properties.py \
		tests/allocation/values/test_split.py tests/allocation/ledger/test_cutting.py

# How many deliberate faults in what decides about money the tests find, by module.
mutants: $(VENV)-mutants/.installed
	@$(VENV)-mutants/bin/python benchmarks/mutants.py

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

types: setup
	@$(BIN)/mypy portal reports allocation tests benchmarks

bench: setup
	@for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py || exit 1; done

accuracy: setup
	@$(BIN)/python benchmarks/accuracy.py --table docs/accuracy.md
