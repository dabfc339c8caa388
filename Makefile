# glideflow: everyday commands. `make help` lists them.
#
#   make run                                      quick tier on two cores
#   make run CONFIG=config/medium.yaml CORES=8    another tier
#   make run PYTHON=python3.12                    another interpreter for the environment

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
CONFIG ?= config/config.yaml
CORES ?= 2
# Processes of the test suite, for two cores: commands under test use a core each, but some tests do little but wait.
TEST_PROCESSES ?= 3
# Further arguments: make run SNAKEMAKE_ARGS="--dry-run", make test PYTEST_ARGS="-k config".
SNAKEMAKE_ARGS ?=
PYTEST_ARGS ?=
# auto: what the branches `transfer` and `mobility` need, with the CPU build of PyTorch where it is to be had; cpu or cuda:
# every branch that needs PyTorch, with that build; none: without PyTorch.
TORCH ?= auto

VENV := .venv
BIN := $(VENV)/bin
LOCK := envs/lock/default.txt
# Neuroevolution potentials need a compiled package; a machine without a C++ compiler goes on without them.
NEP_LOCK := envs/lock/nep.txt
STAMP := $(VENV)/.stamp-torch-$(TORCH)
SLURM_CLUSTER := python scripts/slurm_cluster.py
SOURCES := src scripts tests benchmarks
SNAKEFILES := Snakefile workflow

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Python keeps what it compiles, and the package what it reads of its own code, whatever the shell says: commands of
# seconds start anew hundreds of times.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@echo "glideflow: make TARGET [CONFIG=$(CONFIG)] [CORES=$(CORES)] [PYTHON=$(PYTHON)]"
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Create or update .venv from the lock file (TORCH=cpu or cuda: for every learning branch; none)

.PHONY: system
system: ## Install system packages that wheels need, where missing and permitted
	@PYTHON=$(PYTHON) scripts/install_system_packages.sh

.PHONY: run
run: setup system ## Compute a tier: lattice, elastic, γ surface, Peierls stress, library and report
	glideflow config check $(call quoted,$(CONFIG))
	snakemake --cores $(CORES) --configfile $(call quoted,$(CONFIG)) $(SNAKEMAKE_ARGS)
	@glideflow config results $(call quoted,$(CONFIG))

.PHONY: run-site
run-site: setup ## The site of the strength library that ships with the package, in results/site (seconds)
	glideflow library site --output results/site

.PHONY: run-library
run-library: ## The whole quick tier of the library branch (all of `make run`, as long as there is one branch)
	@$(MAKE) run CONFIG=config/config.yaml

.PHONY: run-transfer
run-transfer: setup ## Validate models that predict Peierls stresses, on the shipped library (a minute)
	snakemake --cores $(CORES) --configfile $(call quoted,$(CONFIG)) $(SNAKEMAKE_ARGS) -- transfer

.PHONY: run-mobility
run-mobility: setup system ## Simulate moving dislocations, learn from them, simulate what is least known (seven minutes)
	snakemake --cores $(CORES) --configfile $(call quoted,$(CONFIG)) $(SNAKEMAKE_ARGS) -- mobility

.PHONY: plan
plan: setup ## Say what a tier will take before it runs: jobs, core-hours, wall time, bytes
	glideflow plan --config $(call quoted,$(CONFIG)) --cores $(CORES)

.PHONY: test
test: setup system lint types check ## Lint, types and tests

.PHONY: check
check: setup ## Tests alone, without those that need Slurm, a GPU or an electronic-structure code
	pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder -m "not slurm and not gpu and not dft and not faults" $(PYTEST_ARGS)

.PHONY: test-faults
test-faults: setup ## Dozens of kills at random instants, results compared to the bit (about 20 minutes)
	pytest -m faults tests/faults $(PYTEST_ARGS)

.PHONY: test-slurm
test-slurm: setup ## The workflow on a real one-machine Slurm: root; installs slurm-wlm and munge (five minutes)
	$(SLURM_CLUSTER) run --install -- pytest -m "slurm and not slow" tests/slurm $(PYTEST_ARGS)

.PHONY: test-slurm-all
test-slurm-all: setup ## The same with the tests that wait for wall times and for killed controllers (ten minutes)
	$(SLURM_CLUSTER) run --install -- pytest -m slurm tests/slurm $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## Style, formatting, spelling, generated files and the workflow's own linter
	ruff check $(wildcard $(SOURCES))
	ruff format --check $(wildcard $(SOURCES))
	snakefmt --check $(SNAKEFILES)
	codespell $(wildcard $(SOURCES) $(SNAKEFILES) config docs profiles *.md)
	python scripts/conda_environments.py --check
	snakemake --lint --quiet

.PHONY: types
types: setup ## Static types of the package and the scripts
	mypy

.PHONY: format
format: setup ## Format Python and Snakemake files, sort imports, apply safe fixes
	ruff format $(wildcard $(SOURCES))
	ruff check --fix $(wildcard $(SOURCES))
	snakefmt $(SNAKEFILES)

.PHONY: bench
bench: setup ## Measure against the naive way and against peers
	@shopt -s nullglob; for script in benchmarks/bench_*.py; do echo "== $$script"; python "$$script"; done

# Finished folds are kept there and are the same for both targets; one of a joint data set would take an hour alone.
TRANSFER_WORK = work/transfer-table
TRANSFER_FOLDS = $(if $(filter joint,$(1)),--folds 10)

.PHONY: transfer-table
transfer-table: setup ## Validate every baseline on the shipped library, and write the tables of docs/transfer.md
	glideflow transfer dataset --output $(TRANSFER_WORK)/data > /dev/null
	$(foreach group,fcc bcc hcp joint,$(call validated,$(group)) &&) true
	python scripts/transfer_table.py $(TRANSFER_WORK) docs/transfer.md

define validated
glideflow transfer validate --dataset $(TRANSFER_WORK)/data/$(1).h5 --work $(TRANSFER_WORK) \
	$(call TRANSFER_FOLDS,$(1)) --output $(TRANSFER_WORK)/$(1).validation.h5 > /dev/null && \
glideflow transfer validate --dataset $(TRANSFER_WORK)/data/$(1).h5 --work $(TRANSFER_WORK) --permuted \
	--split family --folds 10 --output $(TRANSFER_WORK)/$(1).control.h5 > /dev/null && \
glideflow transfer curve --dataset $(TRANSFER_WORK)/data/$(1).h5 --work $(TRANSFER_WORK) \
	--output $(TRANSFER_WORK)/$(1).curves.h5 > /dev/null
endef

MODELS_WORK = work/strength-models
MODELS_DATA = src/glideflow/data/strength_models
MODELS_VALIDATIONS = $(foreach group,fcc bcc hcp,--validation $(MODELS_WORK)/$(group).validation.h5)

# Of the data sets of a folder, the model `best` on one structure.
define best_validated
glideflow transfer validate --dataset $(1)/data/$(2).h5 --model best --work $(TRANSFER_WORK) \
	--output $(1)/$(2).validation.h5 > /dev/null
endef

.PHONY: strength-models
strength-models: setup ## Models of `glideflow predict` from the shipped library, with held-out scores, and their docs (13 min)
	python scripts/core_solutions.py
	glideflow transfer dataset --output $(MODELS_WORK)/data > /dev/null
	$(foreach group,fcc bcc hcp,$(call best_validated,$(MODELS_WORK),$(group)) &&) true
	glideflow transfer dataset --set 'transfer.data.sources=[EAM/MEAM]' --output $(MODELS_WORK)/classical/data > /dev/null
	$(foreach group,fcc bcc hcp,$(call best_validated,$(MODELS_WORK)/classical,$(group)) &&) true
	glideflow transfer fit $(MODELS_VALIDATIONS) --output $(MODELS_DATA) \
		$(foreach group,fcc bcc hcp,--dataset $(MODELS_WORK)/data/$(group).h5)
	glideflow transfer strengths --output $(MODELS_WORK)/strengths.h5 > /dev/null
	glideflow transfer errors $(MODELS_VALIDATIONS) --strengths $(MODELS_WORK)/strengths.h5 \
		--output $(MODELS_WORK)/errors.h5 > /dev/null
	glideflow transfer shots --output $(MODELS_WORK)/shots.h5 > /dev/null
	glideflow transfer validate --dataset $(MODELS_WORK)/data/joint.h5 --training both --split family \
		--work $(TRANSFER_WORK) --output $(MODELS_WORK)/training.h5 > /dev/null
	glideflow transfer cost --output $(MODELS_WORK)/cost.h5 > /dev/null
	python scripts/strength_tables.py $(MODELS_WORK) docs/transfer.md docs/transfer_errors.md

.PHONY: library-tables
library-tables: setup ## Write what the docs say of the shipped library (seconds)
	python scripts/library_tables.py docs/library.md docs/peierls.md

.PHONY: mobility-model
mobility-model: setup ## Ensemble of `glideflow mobility glide` from the shipped trajectories, and the tables of its docs (10 min)
	python scripts/mobility_model.py docs/mobility_data.md

.PHONY: schema
schema: setup ## Write config/schema.json from the configuration models
	glideflow config schema > config/schema.json

.PHONY: environments
environments: setup ## Write the conda environments of the branches from pyproject.toml
	python scripts/conda_environments.py

.PHONY: lock
lock: setup ## Regenerate envs/lock from pyproject.toml (UPGRADE=1 takes the newest versions)
	python scripts/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove caches and build products, keep results, partial results and .venv
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find $(wildcard $(SOURCES)) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: clean-results
clean-results: ## Remove results and partial results of every tier, and the workflow's records of them
	rm -rf results work .snakemake

.PHONY: clean-all
clean-all: clean clean-results ## Remove everything that can be made again, .venv too
	rm -rf $(VENV)

# Quote a value for the shell, whatever it holds.
quoted = '$(subst ','\'',$(1))'

# The stamp is written last: an interrupted set-up is done again.
$(VENV)/.stamp: $(LOCK) $(NEP_LOCK) pyproject.toml
	@$(PYTHON) scripts/check_python.py
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(NEP_LOCK) \
		|| echo "Going on without neuroevolution potentials: calorine could not be compiled (it needs g++)." >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Tried once: where the CPU build is missing, `make setup TORCH=cpu` tries again.
$(VENV)/.stamp-torch-auto: envs/lock/transfer.txt $(VENV)/.stamp scripts/install_transfer.sh
	@PYTHON=$(BIN)/python scripts/install_transfer.sh
	@touch $@

$(VENV)/.stamp-torch-none: $(VENV)/.stamp
	@touch $@

$(VENV)/.stamp-torch-%: envs/lock/torch-%.txt $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@
