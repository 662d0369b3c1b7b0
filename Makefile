# Each target first makes .venv and installs requirements.txt there, again only when it or pyproject.toml changed.
PYTHON ?= python3
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
STAMP := .venv/installed
TEST := $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: book quick test coverage lint results repeat hooks clean

book: $(STAMP)
	$(BIN)/python -m uninv_lib book

# What needs neither a browser nor processes of its own, nor two seconds.
quick: $(STAMP)
	$(TEST) -m "not slow and not browser and not cluster"

# Without the long ones; or some: make test TESTS=tests/attacks
test: $(STAMP)
	$(TEST) -m "not long" $(TESTS)

# All tests, and which lines of the library they reach, in their kernels and workers, too.
coverage: $(STAMP)
	$(TEST) --cov --cov-report=term --durations=60 --durations-min=4

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# All Records of results/ again, after saying how long it takes; stopped, it goes on from there.
results: $(STAMP)
	@echo "the Records, and after them the book's pictures, twenty minutes of one core"
	$(BIN)/python -m uninv_lib reproduce
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/explorer.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gallery.py

# Twenty of them, and whether they repeat.
repeat: $(STAMP)
	$(BIN)/python -m uninv_lib repeat

# What `make lint` checks, before each commit.
hooks: $(STAMP)
	$(BIN)/python -m pre_commit install

clean:
	rm -rf _build build .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; \
	sys.exit("Python %s came, allowed: 3.10 or newer. Try: make PYTHON=python3.12" % v if sys.version_info < (3, 10) else 0)'
	@echo "installing requirements.txt into .venv"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@
