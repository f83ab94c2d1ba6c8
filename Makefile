# Nunmal: `make` lists what it can do. Two commands matter: `make run` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PORT ?= 8000
# A wheel index for torch, for example https://download.pytorch.org/whl/cpu; empty: pip's own default.
TORCH_INDEX ?=

# Where this is set, every process compiles PyTorch's and its own modules again: 12 s instead of 5.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile --progress-bar off
# pip's hundreds of lines, as a sign of life every ten packages.
progress := awk '/^Collecting/ && ++n % 10 == 0 {print "nunmal:   " n " packages"} \
  /^Installing/ {print "nunmal:   unpacking"} {fflush()}'
say = @printf 'nunmal: %s\n'

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: run
run: $(VENV)/run.stamp ## Start Nunmal on http://127.0.0.1:8000 (PORT=8123 for another port)
	@exec $(BIN)/nunmal up --port $(PORT)

.PHONY: test
test: lint test-only ## Install what the tests need and run everything: lint, types, walls, all tests

.PHONY: lint
lint: $(VENV)/test.stamp ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: test-only
test-only: $(VENV)/test.stamp ## Unit, contract, integration and browser tests (ARGS='-k name' for some)
	@infra/services.sh ensure
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(ARGS)  # they mostly wait; the long files first

.PHONY: chaos
chaos: $(VENV)/test.stamp ## Kill, freeze and restart everything under load: nothing may be lost (INJECTIONS=N SEED=S PLANT=lost)
	@infra/services.sh ensure
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos $(if $(INJECTIONS),--injections $(INJECTIONS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(PLANT),--plant $(PLANT)) $(ARGS)

.PHONY: clients
clients: $(VENV)/test.stamp ## Unmodified clients of OpenAI's API against the service; writes build/clients.json (ARGS=litellm)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.clients $(ARGS)

.PHONY: upstream
upstream: $(VENV)/test.stamp ## Answers of a real server (transformers serve; ARGS='--url http://host:8000/v1') against our own engine's
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.upstream $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/test.stamp ## Attack the whole service: no 5xx, no script, no foreign word (REQUESTS=N SEED=S PLANT='xss idor 500')
	@infra/services.sh ensure
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(if $(REQUESTS),--requests $(REQUESTS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(PLANT),--plant $(PLANT)) $(ARGS)

.PHONY: hostile
hostile: $(VENV)/test.stamp ## 200 hostile files through upload and ingest worker: a Korean sentence each, the worker alive; writes build/hostile.json (SEED=S)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.hostile_documents $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: ux
ux: $(VENV)/test.stamp ## Look at every page in Chromium: axe-core, sizes, a long transcript, a newcomer's tasks; writes build/ux.json
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.ux $(ARGS)

.PHONY: bench-backbone
bench-backbone: $(VENV)/test.stamp ## Measure what web, RabbitMQ and worker cost; writes build/bench/backbone.json (10 min)
	@infra/services.sh ensure
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.backbone $(ARGS)

.PHONY: bench-peers
bench-peers: $(VENV)/test.stamp ## Install the engines that ours is compared with, each in its own venv (build/peers/)
	TORCH_INDEX=$(TORCH_INDEX) $(BIN)/python -m tests.bench.peers

.PHONY: bench-engine
bench-engine: bench-peers ## Measure the engine beside its peers; writes build/bench/engine.json (ARGS=--quick) (50 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.engine $(ARGS)

.PHONY: bench-adapters
bench-adapters: $(VENV)/test.stamp ## Reload adapters under load, refuse hostile ones, compare with PEFT; writes build/bench/adapters.json (ARGS=--quick) (15 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.adapters $(ARGS)

.PHONY: bench-vision
bench-vision: $(VENV)/test.stamp ## What the model sees in unseen pictures, and what they cost; writes build/bench/vision.json (ARGS='--model DIR') (20 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.vision $(ARGS)

.PHONY: bench-documents
bench-documents: $(VENV)/test.stamp ## What is found in documents, on which page, how fast they are read; needs NUNMAL_DATA_DIR; writes build/bench/documents.json (10 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.documents $(ARGS)

.PHONY: bench-digest
bench-digest: $(VENV)/test.stamp ## Digests of articles beside their baselines; needs NUNMAL_DATA_DIR; writes build/bench/digest.json (10 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.digest $(ARGS)

.PHONY: capacity-check
capacity-check: $(VENV)/test.stamp ## Compare what the capacity model says with a live worker; writes build/bench/capacity.json (3 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench.capacity_check $(ARGS)

.PHONY: soak
soak: $(VENV)/test.stamp ## Steady load for MINUTES (15; 120 is the long form): leaks, lost answers, cost of metrics; writes build/soak.json
	@infra/services.sh ensure
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

.PHONY: traces
traces: $(VENV)/test.stamp ## A question's trace, from the click on, in a collector that is not ours (Arize Phoenix, build/traces/); writes build/traces.json (4 min)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.traces

.PHONY: alerts
alerts: $(VENV)/test.stamp ## Make every alert fire by its symptom and see it clear; writes build/alerts.json (15 min; ARGS='--only NAME')
	@infra/services.sh ensure
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.alerts $(ARGS)

.PHONY: bench-methods
bench-methods: $(VENV)/training.stamp ## Six methods of fine-tuning on the reference model: score, time, memory, size; var/training/tune/methods/sweep.md (hours)
	$(BIN)/python -m training.examples.welfare --out var/training/welfare
	$(BIN)/python -m training.tune --config training/recipes/tune/methods_in_one_table.yaml $(ARGS)

.PHONY: format
format: $(VENV)/test.stamp ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: train
train: $(VENV)/training.stamp ## Train the reference model again from NUNMAL_DATA_DIR (hours; see training/recipes/)
	$(BIN)/python -m training.tokenizer training/recipes/reference_tokenizer.yaml
	$(BIN)/python -m training.pretrain training/recipes/reference_pretrain.yaml --minutes 60 --decay-minutes 6
	$(BIN)/python -m training.sft training/recipes/reference_sft.yaml --minutes 180 --decay-minutes 45
	$(BIN)/python -m training.export training/recipes/reference_sft.yaml
	$(BIN)/python -m training.evaluate training/recipes/reference_sft.yaml --published
	$(BIN)/python -m training.card training/recipes/reference_sft.yaml

.PHONY: embedding
embedding: $(VENV)/embedding.stamp ## Install what a model of sentence-transformers needs (NUNMAL_EMBEDDING__MODEL)

.PHONY: lock
lock: ## Resolve the dependencies again and write infra/locks/
	@infra/locks/resolve.sh $(PYTHON)

.PHONY: audit
audit: ## Look up known holes in all locked dependencies (needs https://pypi.org; ends with an error without it)
	@infra/locks/audit.sh $(PYTHON)

.PHONY: clean
clean: ## Remove the virtual environment and build outputs (not var/, where conversations are)
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(say) 'making a virtual environment in .venv'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'nunmal: Python 3.11 or newer is needed (PYTHON=/path/to/python3.11 make ...)' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

# A stamp says: what this lock names is installed. Every set holds the run set, so the stamps never undo one another.
$(VENV)/%.stamp: infra/locks/%.txt infra/locks/torch.txt pyproject.toml | $(BIN)/python
	$(say) 'installing what "$*" needs (about a minute)'
	@$(PIP) --require-hashes --no-deps -r infra/locks/$*.txt | $(progress)
	$(say) 'installing torch'
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -r infra/locks/torch.txt | $(progress)
	@$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $@
