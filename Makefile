# make demo: the whole pipeline on the bundled sample. make test: the tests. make integration: those against a real wiki.
# make browser-test: those in a real browser. All install first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= data/demo
# where torch comes from; on Linux without a GPU: make test TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help install finetune demo docs test integration browser-test lint bench house clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## everything into .venv, with the pinned versions of constraints.txt, and the embedded model's weights

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed – $$($(PYTHON) --version) – name one with make PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[embedded,train,dev]'
	$(BIN)/python -m pipeline.fetch_weights
	touch $@

finetune: $(VENV)/.finetune ## what fine-tuning needs, beside: torch, transformers, peft, trackers

$(VENV)/.finetune: $(VENV)/.installed
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0
	$(PIP) -e '.[embedded,train,finetune,track,dev]'
	touch $@

demo: install ## wiki pages → dataset → discriminator → report, on the bundled sample, without a key
	$(BIN)/python -m pipeline.collect --source sample --data $(RUN)
	$(BIN)/python -m pipeline.create_qa --import data/sample/qa.csv --data $(RUN)
	$(BIN)/python -m pipeline.create_qa --model embedded --limit 20 --data $(RUN)
	$(BIN)/python -m pipeline.train --data $(RUN)
	$(BIN)/python -m pipeline.evaluate --data $(RUN)
	$(BIN)/python -m pipeline.ask "Who defeated Teddy Riner at the 2020 Summer Olympics?" --data $(RUN)
	$(BIN)/python -m pipeline.ask "How much did a ticket for the opening ceremony of the 2020 Summer Olympics cost?" --data $(RUN)
	$(BIN)/python -m pipeline.report --data $(RUN)

docs: install ## run the pages and write down what they print, make the reference and the notebook anew, look at all links (some minutes)
	$(BIN)/python scripts/build_docs.py --run

test: install finetune ## lint, types, layers and tests
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -n 2 --dist loadfile

integration: install ## collect against a real MediaWiki on this machine (Debian's packages, installed if missing: as root)
	scripts/mediawiki/wiki.sh packages
	$(BIN)/python -m pytest -m integration tests/integration

browser-test: install ## the report in the distribution's Chromium (Debian's package, installed if missing: as root)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,train,dev,browser]'
	scripts/chromium.sh
	$(BIN)/python -m pytest -m browser tests/browser

lint: install ## mend what can be mended, and say the rest
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache

bench: install ## measurements, as ratios against something run side by side
	@for script in scripts/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

house: install ## lengths of functions and files, what is annotated, documented and commented; make house SINCE=REVISION: before and after
	@$(BIN)/python scripts/house.py $(if $(SINCE),--since $(SINCE))

clean: ## remove the demo's run folder
	rm -rf $(RUN)
