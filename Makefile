PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# What takes about half of the time of all tests; the rest is all others, and doctests.
HALF := $(addprefix tests/,audit benchmark cli)

# What the reference shows, beside the names that the package itself exports.
REFERENCE := lotus_unlearning $(addprefix lotus_unlearning., \
	splits datasets models methods training unlearning metrics evaluation audit tuning runtime)

.PHONY: demo test half other-half types docs clean

demo: $(VENV)/installed  ## train, retrain, unlearn, compare; writes runs/demo
	$(BIN)/lotus demo

test: $(VENV)/installed  ## all that CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(MAKE) --jobs 2 other-half half types

half:
	$(BIN)/pytest -p no:cacheprovider $(HALF)

other-half:
	$(BIN)/pytest -p no:cacheprovider $(addprefix --ignore=,$(HALF))

types:
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/installed  ## reference of the Python interface; writes site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	$(BIN)/python -m pdoc --docformat google --output-directory site $(REFERENCE)

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:  ## remove the environment and caches; runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
