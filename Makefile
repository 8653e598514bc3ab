# modelpack: `make demo` packs a real model, `make test` runs the tests; neither needs Docker or root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: dev demo lint test golden picture bench fuzz clean

dev: $(VENV)/.dev

# Everything is pinned by hash; --no-deps keeps the project itself from asking for more. The examples
# have an interface, which the extra of that name reads.
$(VENV)/.run: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes \
		--constraint requirements-dev.lock openapi-spec-validator jsonschema
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.run
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/minilm/demo.sh

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A module goes whole to one of several processes: what its tests share is made once. Without -n,
# `pytest` is one process. A process that crashes ends the run: taking its place hangs (xdist 3.8).
test: dev
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder \
		--max-worker-restart 0

# Rewrite the golden files after a change of bytes that was meant; the review shows the difference.
golden: dev
	$(BIN)/python -m pytest -q tests/golden --rewrite-golden -p no:randomly

# Take the README's picture of a page anew, after a change of how pages look; needs chromium.
picture: dev
	$(BIN)/python -m tests.picture

bench: dev
	$(BIN)/python bench/pack.py
	$(BIN)/python bench/build.py
	$(BIN)/python bench/push.py

fuzz: dev
	sh tests/fuzz/run.sh

clean:
	rm -rf $(VENV) dist examples/*/dist examples/minilm/weights examples/minilm/.download
