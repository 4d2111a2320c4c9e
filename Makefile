# Two commands for a fresh machine: `make demo` and `make test`. Both set up .venv by themselves.
#
#   TORCH_INDEX   a package index of PyTorch's own to take torch from (its CPU or CUDA wheels); by default pip's
#   PYTHON        the interpreter to build the environment with

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
# Relative: pip cuts this variable at spaces, and a folder of a person may have one in its name.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# --only-binary: nothing is compiled; a package without a wheel stops the installation instead.
PIP := $(BIN)/python -m pip install --quiet --only-binary :all:

.PHONY: demo test lint bench clean help

help:
	@echo "make demo    install, then run recipes/stdlib.yaml: a distilled student in a file, and a page about it"
	@echo "make test    install, then run the tests"
	@echo "make lint    ruff and mypy"
	@echo "make bench   the tables of bench/ (long)"
	@echo "make clean   delete the environment (the store stays)"

demo: $(VENV)/ready
	$(BIN)/demiurgic run recipes/stdlib.yaml
	$(BIN)/demiurgic report recipes/stdlib.yaml
	@echo "Talk to it: $(BIN)/demiurgic chat 'file[type=q4_k_m]'"

test: $(VENV)/ready-dev
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/ready
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/demo.py
	$(BIN)/python bench/students.py
	$(BIN)/python bench/export.py
	$(BIN)/python bench/serve.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Demiurgic wants Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Debian and Ubuntu package the venv module by itself: sudo apt install python3-venv"; exit 2; }

# torch first and by its exact pin: pip then finds the CPU build where one is offered. What it needs comes with the rest,
# since an index of PyTorch's own need not have our pins of it.
$(VENV)/torch: constraints.txt | $(BIN)/python
	@echo "Installing $(TORCH) ..."
	@$(PIP) --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@touch $@

$(VENV)/ready: $(VENV)/torch pyproject.toml
	@echo "Installing demiurgic ..."
	@$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/ready-dev: $(VENV)/torch pyproject.toml
	@echo "Installing demiurgic and its test tools ..."
	@$(PIP) --editable '.[all,dev]'
	@touch $@ $(VENV)/ready

clean:
	rm -rf $(VENV)
