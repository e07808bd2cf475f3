# Everything a person does with a checkout. Needs Python 3.11 or newer with venv, and make;
# `make` alone says what there is. Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
# Newer than what it depends on while the environment holds what setup.py asks for.
STAMP := $(VENV)/.installed
PLAYER := $(VENV)/.player-installed
FUZZER := $(VENV)/.fuzzer-installed
PLOTTER := $(VENV)/.plotter-installed
ENGINES := $(VENV)/.engines-installed
# What gamenet is measured beside, in an environment of its own.
PEERS_VENV := .venv-peers
PEER_PACKAGES := pyenet aioquic mpgameserver websockets

# How many tests run side by side; more than there are cores, because some of them only wait.
JOBS ?= 4
# How long `make fuzz` takes.
SECONDS ?= 600
# How long `make soak` takes.
MINUTES ?= 10
# What `make bench` measures, how often, and where it writes; nothing named is everything.
WORKLOADS ?=
PEERS ?=
CLIENTS ?=
RUNS ?= 5
OUT ?= benchmarks/results/latest.json

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help play demo test fuzz check bench-quick bench-trust flood soak docs plots art clean distclean setup dist format \
	style types layers packaging compiled compiled-copy news bench peers test-browser test-play test-recipes engines screenshots

help:
	@echo 'make play         the game, on a server of your own that friends can join'
	@echo 'make demo         play: a server and 50 bots for 20 seconds, and what was measured'
	@echo 'make test         the test suite under pytest, then under trial; JOBS=4 tests at a time'
	@echo 'make test-browser look at the live page in a real, headless Chromium'
	@echo 'make test-play    look at the game in a real window, on a display that nobody sees'
	@echo 'make test-recipes play the recipes for arcade, Panda3D and learners, without a screen'
	@echo 'make fuzz         throw SECONDS=600 of damaged input at every parser'
	@echo 'make check        everything that must hold before a change goes in, tests included'
	@echo 'make bench        a table: gamenet beside its peers; WORKLOADS="W1 W3" RUNS=5 OUT=file.json'
	@echo 'make bench-quick  one JSON line: server CPU per client and tick, beside plain Twisted'
	@echo 'make bench-trust  a table: what attacks cost a server, and what its defences cost'
	@echo 'make flood        attack a real daemon on this machine; one JSON line of what came of it'
	@echo 'make soak         200 bots for MINUTES=10 at 5 % loss; one JSON line: does the server grow?'
	@echo 'make docs         build the documentation into docs/_build/html'
	@echo 'make plots        draw what docs/plots has, and write its figures.json'
	@echo 'make art          draw the pictures and the map of gamenet play, and write them'
	@echo 'make dist         the source distribution and the wheel, into dist/'
	@echo 'make screenshots  take the pictures in docs/images'
	@echo 'make format       rewrite the code in the project'\''s style'
	@echo 'make news         what the next release will say it changed'
	@echo 'make clean        remove what the other targets made, except the environment in $(VENV)'
	@echo 'make distclean    remove the environment as well, and that of the peers'

# ---------------------------------------------------------------------------------- environment

setup: $(STAMP)

# An environment that is already there is used as it is; a half-made one is removed again.
define make_environment
	@python=$(PYTHON); if [ -x $(BIN)/python ]; then python=$(BIN)/python; fi; \
	found=$$($$python -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) || { \
		echo "gamenet needs Python 3.11 or newer, and '$$python' does not run. Name one: make PYTHON=python3.11" >&2; exit 1; }; \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "gamenet needs Python 3.11 or newer, and '$$python' is $$found. Name one: make PYTHON=python3.11" >&2; exit 1; }
	@if [ ! -x $(BIN)/python ]; then \
		echo "Making $(VENV)"; \
		$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi
endef

$(STAMP): setup.py pyproject.toml gamenet/_version.py
	$(make_environment)
	@echo "Installing gamenet and its tools into $(VENV), which takes a minute"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The game alone is there in a third of the time: who wants to play does not wait for the rest.
$(PLAYER): setup.py pyproject.toml gamenet/_version.py
	$(make_environment)
	@if [ ! $(STAMP) -nt setup.py ]; then \
		echo "Installing the game into $(VENV)"; \
		$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[play]'; \
	fi
	@touch $@

# ------------------------------------------------------------------------------------------- use

play: $(PLAYER)
	@$(BIN)/gamenet play --host --beacon "The field of $${USER:-somebody}"

demo: $(STAMP)
	@$(BIN)/gamenet demo --seconds 20 --bots 50

bench-quick: $(STAMP)
	@$(BIN)/python benchmarks/quick.py

bench: $(STAMP) peers compiled-copy
	@$(BIN)/python benchmarks/bench.py --workloads '$(WORKLOADS)' --peers '$(PEERS)' \
		--clients '$(CLIENTS)' --runs $(RUNS) --out '$(OUT)'

# One that cannot be installed is an error in the table, and is tried again the next time.
peers: $(STAMP)
	@if [ ! -x $(PEERS_VENV)/bin/python ]; then \
		echo "Making $(PEERS_VENV)" >&2; \
		$(BIN)/python -m venv $(PEERS_VENV) || { rm -rf $(PEERS_VENV); exit 1; }; \
	fi
	@for package in $(PEER_PACKAGES); do \
		mark=$(PEERS_VENV)/.$$package; \
		if [ -e $$mark-installed ]; then continue; fi; \
		echo "Installing $$package into $(PEERS_VENV)" >&2; \
		if said=$$($(PEERS_VENV)/bin/python -m pip install -q --disable-pip-version-check $$package 2>&1); then \
			rm -f $$mark-failed; touch $$mark-installed; \
		else \
			echo "$$said" | sed -n 's/^ *ERROR: //p' | tail -n 1 > $$mark-failed; \
		fi; \
	done

bench-trust: $(STAMP)
	@$(BIN)/python benchmarks/threats.py

flood: $(STAMP)
	@$(BIN)/python benchmarks/flood.py

soak: $(STAMP)
	@$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

# ----------------------------------------------------------------------------------------- tests

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS)
	$(BIN)/python -m twisted.trial -j $(JOBS) tests

# Not part of `make test`, which needs no browser.
test-browser: $(STAMP)
	@$(BIN)/python -m tests.browser

# Nor this: it needs Xvfb and xdotool.
test-play: $(STAMP)
	@$(BIN)/python -m tests.display

# Not part of `make test`, which needs no engines: they are large.
test-recipes: $(ENGINES)
	@$(BIN)/python -m tests.recipes

engines: $(ENGINES)

$(ENGINES): $(STAMP)
	@echo "Installing the engines of the recipes into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[recipes]'
	@touch $@

# The kept inputs are run by `make test`, everywhere and without the fuzzer.
fuzz: $(FUZZER)
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

$(FUZZER): $(STAMP)
	@echo "Installing the fuzzer into $(VENV)"
	@said=$$($(BIN)/python -m pip install -q --disable-pip-version-check --editable '.[fuzz]' 2>&1) || { \
		echo "make fuzz needs atheris, which has wheels for CPython 3.11 to 3.13 on Linux and cannot be installed here: $$(echo "$$said" | grep -o 'ERROR: .*' | tail -n 1)" >&2; exit 1; }
	@touch $@

# ---------------------------------------------------------------------------------------- checks

check: style types layers test compiled packaging docs news
	@echo 'make check: all passed'

style: $(STAMP)
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports --no-logo

# The same tests once more, with the hot path compiled, on a copy: a compiled module beside its
# source would be the one that is used here, too. Left out are those that replace a method of a
# session's class, or look which Python frames a fault went through: both need the source.
COPY := build/compiled
FAULTS := tests/promises/test_faults.py::JoiningTests
NEED_SOURCE := $(FAULTS)::test_no_randomness_for_new_keys $(FAULTS)::test_no_randomness_for_a_challenge \
	tests/core/test_server_rest.py::RestTests::test_its_figures_are_those_of_one_that_is_looked_at_each_second \
	tests/threats/test_logs.py::SecretTests::test_aWholeRun \
	tests/test_host.py::TurnTests::test_a_defect_while_a_frame_is_read_ends_that_session_alone \
	tests/test_inputs_in_time.py::InTimeTests::test_one_that_names_any_tick_delays_nobody_but_itself_and_that_not_for_long
# Of what starts processes, those that play: commands and daemons are the same either way.
COMPILED_LIVE := tests/live/test_demo.py tests/live/test_matrix.py
# These take their time, and call nothing that is compiled.
NO_HOT_PATH := tests/test_imports.py tests/test_passwords.py tests/test_login_pool.py \
	tests/core/test_frames.py tests/core/test_text.py
compiled-copy: $(STAMP)
	@if ! command -v cc >/dev/null || ! $(BIN)/python -c 'import os, sys, sysconfig; \
		sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then \
		echo 'No C compiler, or no Python.h: the compiled hot path is not built' >&2; rm -rf $(COPY); exit 0; fi; \
	set -e; rm -rf $(COPY); mkdir -p $(COPY); \
	tar -c --exclude=./.git --exclude='./.venv*' --exclude=./build --exclude=__pycache__ . | tar -x -C $(COPY); \
	cd $(COPY); python=$(CURDIR)/$(BIN)/python; \
	echo "Compiling the hot path in $(COPY)" >&2; \
	GAMENET_COMPILE=1 $$python setup.py -q build_ext --inplace >compile.log 2>&1 || { tail -n 20 compile.log >&2; exit 1; }; \
	PYTHONPATH=$$PWD $$python -c 'import gamenet.core.session as it; assert not it.__file__.endswith(".py"), it'

compiled: compiled-copy
	@if [ ! -d $(COPY) ]; then echo 'The compiled hot path was not tested'; exit 0; fi; \
	cd $(COPY); PYTHONPATH=$$PWD $(CURDIR)/$(BIN)/python -m pytest -n $(JOBS) \
		$(patsubst %,--deselect %,$(NEED_SOURCE) $(NO_HOT_PATH)) \
		$$(ls -d tests/*/ tests/test_*.py | grep -v '^tests/live/') $(COMPILED_LIVE)

packaging: $(STAMP)
	$(BIN)/python tests/packaging/check_installs.py

docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo 'Documentation: docs/_build/html/index.html'

# Drawn rarely and kept, so that nobody who builds the documentation needs the library.
plots: $(PLOTTER)
	@$(BIN)/python docs/plots/make.py

# Kept as well: a test says if they are not what the script makes.
art: $(STAMP)
	@$(BIN)/python -m gamenet.play.art

$(PLOTTER): $(STAMP)
	@echo "Installing the plotting library into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[plots]'
	@touch $@

# The source distribution, and from it the wheel: what is built is what others can build.
dist: $(STAMP)
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . >dist.log 2>&1 || { tail -n 20 dist.log >&2; exit 1; }
	@rm -f dist.log; ls -1 dist/*

screenshots: $(PLOTTER)
	@$(BIN)/python -m tests.overlay.picture docs/images
	@$(BIN)/python -m tests.tutorial.picture docs/images
	@$(BIN)/python -m tests.browser --screenshots docs/images
	@$(BIN)/python -m tests.display --screenshots docs/images

news: $(STAMP)
	$(BIN)/python tests/packaging/check_news.py

format: $(STAMP)
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format

clean:
	rm -rf build dist *.egg-info docs/_build .fuzz .hypothesis _trial_temp* \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache twisted/plugins/dropin.cache
	find .ci benchmarks docs examples gamenet tests twisted -name __pycache__ -type d -prune \
		-exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(PEERS_VENV)
