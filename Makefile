# The targets of daily work; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help up test test-networks test-science test-server test-services test-training lint types imports check clients clean

PYTHON ?= python3
VENV := .venv
CLIENTS := .venv-clients
OLD_CLIENTS := .venv-clients-old
OLD_ROBOFLOW := 1.4.0 1.1.36
NETWORKS := cli deeplab export sam2
SERVICES := benchmarks clients disk jobs store
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest -q
INPUTS := pyproject.toml constraints.txt

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */\1\t/' | expand -t 10

up: $(VENV)/.train  ## install what is missing, then run server and training worker on port 9001
	@$(BIN)/atrous up

# Three processes at once, of one thread each: many tests wait for other processes, so two cores
# stay busy. The longest come first, so that all end together. The training room has a process of
# its own: after OpenVINO's tests in the same process, starting a child process from its tests ends
# in a segmentation fault whose cause is not known yet.
test: $(VENV)/.test $(CLIENTS)/.installed $(OLD_CLIENTS)/.installed  ## install what the tests need and run all of them
	OMP_NUM_THREADS=1 $(MAKE) --no-print-directory --jobs 3 --keep-going \
	  test-networks test-server test-services test-science test-training

test-networks:
	$(PYTEST) $(foreach room,$(NETWORKS),tests/$(room))

test-server:
	$(PYTEST) tests/server

test-services:
	$(PYTEST) $(foreach room,$(SERVICES),tests/$(room))

test-training:
	$(PYTEST) tests/training

test-science:  # and whatever room is new, and the examples in docstrings
	$(PYTEST) $(foreach room,$(NETWORKS) $(SERVICES) server training,--ignore tests/$(room))

lint: $(VENV)/.test  ## style of the code: ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test  ## types of the code: mypy, strict
	$(BIN)/mypy src

imports: $(VENV)/.test  ## import contracts between the rooms
	$(BIN)/lint-imports

check: lint types imports test  ## all that CI checks

clients: $(VENV)/.test $(CLIENTS)/.installed $(OLD_CLIENTS)/.installed  ## run the official clients and write docs/compatibility.md
	ATROUS_COMPATIBILITY=benchmarks/results/compatibility.json $(BIN)/python -m pytest -q tests/clients
	$(BIN)/python docs/generate_compatibility.py

clean:  ## remove virtual environments and caches, not your data
	rm -rf $(VENV) $(CLIENTS) $(OLD_CLIENTS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "$(PYTHON) is older than 3.10; name a newer one: make PYTHON=python3.12 up"; exit 1; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# A stamp per set of packages: made again when pyproject.toml or constraints.txt change.
$(VENV)/.train: $(INPUTS) | $(BIN)/python
	@echo "installing atrous with training: about 6 GB, some minutes the first time"
	@$(INSTALL) --editable '.[train]'
	@touch $@

$(VENV)/.test: $(INPUTS) | $(BIN)/python
	@echo "installing atrous with training and test tools"
	@$(INSTALL) --editable '.[train,test]'
	@touch $@ $(VENV)/.train

# The official clients pin other versions of NumPy and OpenCV.
$(CLIENTS)/.installed: tests/clients/requirements.txt | $(BIN)/python
	@echo "installing the official clients into $(CLIENTS)"
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@for release in $(OLD_ROBOFLOW); do $(CLIENTS)/bin/python -m pip --disable-pip-version-check \
	  install --quiet --no-deps --upgrade --target $(CLIENTS)/roboflow-$$release roboflow==$$release || exit 1; done
	@if command -v npm > /dev/null; then npm install --silent --prefix $(CLIENTS) axios@1; \
	  else echo "no npm here: the tests of the axios samples are skipped"; fi
	@touch $@

$(OLD_CLIENTS)/.installed: tests/clients/requirements-old.txt | $(BIN)/python
	@echo "installing an older release of the official client into $(OLD_CLIENTS)"
	@$(PYTHON) -m venv $(OLD_CLIENTS)
	@$(OLD_CLIENTS)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@touch $@
