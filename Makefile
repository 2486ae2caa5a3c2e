# Targets for people and CI; the checks themselves are in noxfile.py. Everything that is built goes under .nox.
.DEFAULT_GOAL := help
.PHONY: help test demo simulator contract live bench clean
MAKEFLAGS += --no-print-directory
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Recordings of a real cluster's answers, kept beside the checkout by those who have them.
SHARED ?= ../shared
DIR ?= $(SHARED)/contract/scenarios
export SHARED := $(abspath $(SHARED))
TREE := $(CURDIR)/.nox/tree
# Bytecode is kept, whatever the machine says: else every start compiles all of Ansible.
RUN := exec env -u PYTHONDONTWRITEBYTECODE PYTHONPATH=$(TREE) ANSIBLE_COLLECTIONS_PATH=$(TREE) PATH=$(CURDIR)/.nox/run/bin:$$PATH .nox/run/bin/python
PACKAGE := ansible_collections.homelab.pve.tests

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

test: .nox/tools/ready ## Every check (one of them: .nox/tools/bin/nox -s unit)
	@rm -rf .nox/reports && mkdir -p .nox/reports
	@.nox/tools/bin/nox -t checks --report .nox/reports/nox-checks.json >.nox/reports/checks.log 2>&1 </dev/null & \
	pid=$$!; trap "kill $$pid 2>/dev/null" INT TERM; \
	.nox/tools/bin/nox -t tests --report .nox/reports/nox-tests.json; tests=$$?; \
	wait $$pid; checks=$$?; cat .nox/reports/checks.log; \
	.nox/tools/bin/python .ci/report.py && exit $$((tests + checks))

demo: .nox/run/ready ## Readers planned, applied and proved on a simulated cluster
	@$(RUN) tests/demo/run.py

# What is given on make's command line is in the environment, where the simulator looks for its options.
simulator: .nox/run/ready ## A simulated cluster, in the foreground [PORT=18006 RELEASE= LATENCY_MS= NODE= NODES= GUESTS= AUTH_DELAY=]
	@$(RUN) -m $(PACKAGE).simulator --port $(or $(PORT),18006)

contract: .nox/run/ready ## The simulator's answers against recorded ones [DIR= ONLY=]
	@$(RUN) -m $(PACKAGE).contract --dir '$(DIR)' $(if $(ONLY),--only '$(ONLY)')

live: .nox/run/ready ## The playbooks' tests on a real cluster: HOST= TOKEN_ID= TOKEN_FILE= [FINGERPRINT= CA_PATH= PORT=]
	@$(RUN) tests/live/run.py $(if $(HOST),--host '$(HOST)') $(if $(TOKEN_ID),--token-id '$(TOKEN_ID)') \
	  $(if $(TOKEN_FILE),--token-file '$(TOKEN_FILE)') $(if $(FINGERPRINT),--fingerprint '$(FINGERPRINT)') \
	  $(if $(CA_PATH),--ca-path '$(CA_PATH)') $(if $(PORT),--port '$(PORT)')

bench: .nox/run/ready ## Requests, seconds and memory of large policies, rules and inventories, which takes minutes [ONLY=facts PEER=]
	@$(RUN) tests/benchmarks/run.py $(ONLY)

clean: ## Remove everything that was built
	rm -rf .nox

.nox/%/ready: requirements/%.txt requirements/constraints.txt
	@$(PYTHON) -m venv --clear .nox/$*
	@.nox/$*/bin/pip install -qq --no-compile -r $< -c requirements/constraints.txt
	@.nox/$*/bin/python conftest.py
	@touch $@
.nox/tools/ready: requirements/run.txt
