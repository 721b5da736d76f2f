# make book         build the page into _build/html (runs every chapter; a second time only what changed)
# make test         everything that must hold: style, units, properties, notebooks, the book, its pages in a browser
# make serve        show the built page on http://localhost:8000
# make notebooks    write notebooks/*.ipynb from the chapters
# make assignments  write the homework: notebooks for students, notebooks with solutions and hidden tests
# make grade        grade a class: SUBMISSIONS=folder gives folder-graded/grades.csv and a page of feedback for each
# make colab        run every notebook as Colab does; NOTEBOOKS="01-the-gap 02-pairs" runs some
# make wheel        the library as one file in dist/, to install where the repository cannot be reached
# make bench        speed and memory beside other libraries
# One .venv serves all of them. It is made by whichever runs first, and again when the pins change.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help book test serve notebooks assignments grade colab wheel bench clean

PYTHON ?= python3
PORT ?= 8000
# The homework's sources; a private copy of them has other hidden tests.
HOMEWORK ?= assignments
WORKERS ?= 2
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Threads that spin while they wait stall every other process on a small machine.
export OMP_WAIT_POLICY ?= PASSIVE
# One thread a test worker; the book, which runs one chapter at a time, takes what the machine has.
test: export OMP_NUM_THREADS ?= 1
test: export MKL_NUM_THREADS ?= 1

help:
	@sed -n '1,/^$$/s/^# //p' Makefile

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "This needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(READY)
	$(RUN) tools/build_book.py

notebooks: $(READY)
	$(RUN) tools/make_notebooks.py

assignments: $(READY)
	$(RUN) tools/make_assignments.py --homework "$(HOMEWORK)"

# OPTIONS="--seconds 300 --memory 4000" changes the limits of a submission.
grade: $(READY)
	@test -n "$(SUBMISSIONS)" || { echo "Say which folder: make grade SUBMISSIONS=folder"; exit 1; }
	$(RUN) tools/grade.py "$(SUBMISSIONS)" --homework "$(HOMEWORK)" $(OPTIONS)

serve: book
	$(RUN) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

# Python 3.12 and the versions that Colab has, in _work/colab: several GB, minutes the first time.
colab: $(READY)
	$(RUN) tools/check_colab.py $(NOTEBOOKS)

wheel: $(READY)
	$(RUN) tools/make_wheel.py

bench: $(READY)
	$(RUN) -m benchmarks

# Cheap checks first: what they find costs seconds, the notebooks cost minutes.
test: $(READY)
	ruff check .
	codespell
	$(RUN) tools/make_notebooks.py --check
	$(RUN) -m pytest -q -n $(WORKERS) -m "not book" tests xmrlib tools book/_ext
	$(RUN) tools/build_book.py
	$(RUN) -m pytest -q -n $(WORKERS) --nbmake --nbmake-timeout=600 notebooks
	$(RUN) -m pytest -q -n $(WORKERS) -m book tests

clean:
	rm -rf _build _work
