# Two commands matter: `make demo` (the main job) and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Threads that spin while they wait take the processor from other processes.
export OMP_WAIT_POLICY ?= PASSIVE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: demo test lint bench study clean

demo: .venv/run
	$(BIN)/labeltrain run studies/demo.yaml --workspace runs/demo
	$(BIN)/labeltrain report runs/demo

test: .venv/peers
	$(BIN)/pytest -n 2 --dist loadfile

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Writes docs/benchmarks.md; on a machine that does nothing else. One row: see that page.
bench: .venv/peers
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python benchmarks/round_speed.py
	$(BIN)/python benchmarks/logistic.py
	$(BIN)/python benchmarks/separation.py --strategies direct,galaxy,seals/direct,anchoral/direct

# make study NAME=first: rerun a claim of the README from its spec.
study: .venv/run
	@test -f "studies/$(NAME).yaml" || { echo "no studies/$(NAME).yaml; make study NAME=one of: $(basename $(notdir $(wildcard studies/*.yaml)))"; exit 2; }
	$(BIN)/labeltrain run studies/$(NAME).yaml --workspace runs/$(NAME)
	$(BIN)/labeltrain report runs/$(NAME)

# requirements.txt pins what was tested together; pyproject.toml says what may be used.
.venv/run: pyproject.toml requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --constraint requirements.txt --editable ".[sft,corruptions]"
	touch $@

.venv/dev: .venv/run
	$(PIP) --constraint requirements.txt --editable ".[dev]"
	touch $@

# The libraries that `make bench` runs beside this one.
.venv/peers: .venv/dev
	$(PIP) --constraint requirements.txt --editable ".[peers]"
	touch $@

clean:
	rm -rf .venv runs
