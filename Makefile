# make demo   set up, then the main job: synthesise speech, sweep, report
# make test   set up, then make check and every test
# make check  linters, types, import rules
# make test-slow  the tests that take minutes each
# make docs   the documentation as a site in site/, any warning is an error
# make test-kills  200 kills at random moments, about an hour; the log goes to benchmarks/results/kills.json
# make bench  measured ratios, written to benchmarks/results/
# make bench-accuracy  the race against FunASR on recorded speech: about an hour of one core

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-slow test-kills check docs bench bench-accuracy clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt benchmarks/reference.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; name a Python 3.11 with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[speech,export,postgres,dev,docs]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --requirement benchmarks/reference.txt
	@touch $@

demo: setup
	$(BIN)/paraformer sweep experiments/sweeps/demo.yaml
	$(BIN)/paraformer report demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# In the order of the files: xdist would take those with few tests last, which are the longest ones.
test: check
	$(BIN)/python -m pytest -m 'not slow' tests/end_to_end/kills
	$(BIN)/python -m pytest -m 'not slow' --numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/end_to_end/kills

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-kills: setup
	$(BIN)/python tests/end_to_end/kills/kill_many.py --kills 200 --log benchmarks/results/kills.json

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open site/index.html"

bench: setup
	$(BIN)/python benchmarks/cif.py
	$(BIN)/python benchmarks/local_attention.py
	$(BIN)/python benchmarks/autoregressive.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/report.py
	$(BIN)/python benchmarks/sweep_scale.py
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/coverage_factorial.py
	$(BIN)/python benchmarks/gpu_training.py
	$(BIN)/python benchmarks/sweep_overhead.py

# The corpus first: paraformer data prepare audio_cmn <its folder> data/audio_cmn --text pinyin
bench-accuracy: setup
	$(BIN)/python benchmarks/accuracy.py experiments/audio_cmn_short.yaml

clean:
	rm -rf site .mypy_cache .ruff_cache .pytest_cache .hypothesis
