# make demo: the install and the main job; make test: the tests. Nothing else is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-all lint bench references clean

demo: $(INSTALLED)
	$(BIN)/python -m experiments.ddpm --config=configs/ddpm.py

test: lint
	$(BIN)/pytest -n 2 -m "not slow"

# The device checks of every experiment, and all else that is too slow for each change.
test-all: lint
	$(BIN)/pytest -n 2

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

# The Python of an environment that holds another library, made if it is not there.
with_peer = $$($(BIN)/python -c \
  'from benchmarks.peer import peer_python; print(peer_python("$(1)"))')

# The arrays of other libraries that the tests compare with; needed only to remake them.
references: $(INSTALLED)
	$(call with_peer,peer) tests/references/diffusers_schedulers.py
	$(call with_peer,ott) tests/references/ott_sinkhorn.py
	$(call with_peer,transformers) tests/references/transformers_gpt2.py
	$(call with_peer,rlax) tests/references/rlax_policy.py
	$(call with_peer,trl) tests/references/trl_preference.py
	$(call with_peer,gymnasium) tests/references/gymnasium_cartpole.py

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "jgm needs Python 3.11 or later: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
