.DEFAULT_GOAL := help
.PHONY: help setup up down test gates unit format requirements

help:  ## show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup:  ## make .venv with everything in it
	@scripts/bootstrap.sh

up:  ## start the whole service on this machine
	@./deploy.sh --local

down:  ## stop it and leave nothing behind
	@./destroy.sh --local

test:  ## gates and the whole test suite, as CI runs it
	@scripts/test.sh

gates: setup  ## lint, types and import rules only
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports

unit: setup  ## the unit tests only (seconds)
	@.venv/bin/pytest -q tests/unit

format: setup  ## format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

PIN_BY_HASH = uv pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --quiet
PIN = $(PIN_BY_HASH) --universal
# What the container images run: wheels for other machines are not looked for.
PIN_LINUX = $(PIN_BY_HASH) --python-platform x86_64-manylinux_2_28

requirements:  ## pin the dependencies anew, by hash
	@$(PIN) pyproject.toml --extra dev --output-file requirements/dev.txt
	@echo 'pip>=26' | $(PIN) - --output-file requirements/pip.txt
	@$(PIN) pyproject.toml --extra scheduler --constraint requirements/dev.txt --output-file requirements/scheduler.txt
	@for runtime in sdwebui comfyui; do \
	  $(PIN_LINUX) scheduler/images/$$runtime/requirements.in \
	    --output-file scheduler/images/$$runtime/requirements.txt; \
	done
