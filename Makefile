# The two commands of this project are `make sandbox` and `make test`; `make` alone lists the others.
.DEFAULT_GOAL := help

PROXY     ?= nginx
SUITE     ?= bookworm
INVENTORY ?= inventories/sandbox.py
export PROXY SUITE
# Hosts that the inventories of this project make; others on this machine belong to somebody else.
SANDBOX_HOSTS := ws lb1 app1 app2 k8s
# Where Python may not keep what it has compiled, each of a thousand processes compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(firstword $(foreach python,python3 python3.11 python3.12 python3.13 python3.14,\
	$(if $(shell $(python) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),\
	$(python))))
BIN := .venv/bin
# The site needs packages that nothing else does.
MKDOCS := $(BIN)/uv run --quiet --no-project --with-requirements docs/requirements.lock mkdocs

# Deployments under way at the same time: three more than there are cores, as they wait a third of their time.
AT_ONCE ?= $(shell echo $$(($$(nproc) + 3)))

.PHONY: help sandbox test test-matrix check examples lint fast coverage docs reference bench bench-quick format clean

## This list.
help:
	@awk '/^## / { text = substr($$0, 4); next } \
		/^[a-z-]+:/ && text { split($$1, name, ":"); printf "make %-12s %s\n", name[1], text } \
		{ text = "" }' Makefile

## Deploy to a throwaway Debian host on this machine, and talk to it.
sandbox: .venv/ready
	$(BIN)/pyinfra -y $(INVENTORY) deploy.py
	@# A cluster's certificate is made on this machine.
	$(if $(findstring cluster,$(INVENTORY)),,$(BIN)/pyinfra -y $(INVENTORY) wsdeploy.certificates)
	$(BIN)/python -m wsdeploy_sandbox.demo $(INVENTORY)

## All tests: the fast ones, then whole deployments to both Debian releases.
test: check examples
	$(BIN)/pytest tests/sandbox --numprocesses $(AT_ONCE) --dist loadscope $(MATRIX)

## All tests for every combination of Debian release, proxy and way to listen: some two hours.
test-matrix: MATRIX := --matrix
test-matrix: test

## The fast tests: format, lint, types, unit, plan.
check: .venv/ready
	@$(MAKE) --no-print-directory --jobs 2 lint fast

# Side by side, as either waits now and then.
lint:
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell
	$(BIN)/zizmor --quiet --offline .github
	$(BIN)/mypy
fast:
	@# What pytest makes of each file is kept; otherwise each process would make it by itself.
	@test -d tests/unit/docs/__pycache__ || $(BIN)/pytest tests/unit tests/plan --collect-only -qq >/dev/null
	$(BIN)/pytest tests/unit tests/plan --numprocesses $$(($$(nproc) * 3)) --dist worksteal

## The examples for clouds, as far as they can be checked without an account.
examples: .venv/ready
	$(BIN)/pytest tests/examples

# What tests/sandbox runs on hosts is not counted, nor what a process ran that its test has killed.
## The branch coverage of the fast tests, with a floor for what runs on hosts.
coverage: .venv/ready
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest tests/unit tests/plan --numprocesses $$(($$(nproc) * 3)) --dist worksteal -q
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include 'wsapp/*' --fail-under 90
	$(BIN)/coverage report --include 'wshost/*' --fail-under 80

## The documentation as a site, in the folder site; a broken link is an error.
docs: .venv/ready
	NO_MKDOCS_2_WARNING=1 $(MKDOCS) build --strict
	@! grep -rnE '<(script|link|img|iframe)[^>]+(src|href)="?(https?:)?//' site --include '*.html' || \
		{ echo "pages of the site fetch something from elsewhere"; exit 1; }

## The tables of the documentation that are made from the source.
reference: .venv/ready
	$(BIN)/python docs/tables.py

## The service next to the guides' set-ups and Caddy, and the tables of docs/benchmarks.md: 15 minutes.
bench: .venv/ready
	$(BIN)/python -m bench

## One round of the benchmarks, printed: five minutes.
bench-quick: .venv/ready
	$(BIN)/python -m bench --quick

## Format, and fix what ruff can fix.
format: .venv/ready
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

## Delete the sandbox hosts of these inventories, and what make has installed.
clean:
	-$(BIN)/sandbox down $(SANDBOX_HOSTS)
	rm -rf .venv certificates site

# Prints where the wheel of pip is that Python's ensurepip would install: Debian has it elsewhere.
BUNDLED := import ensurepip, pathlib, sysconfig; \
	place = sysconfig.get_config_var("WHEEL_PKG_DIR") or pathlib.Path(ensurepip.__file__).parent / "_bundled"; \
	print(*pathlib.Path(place).glob("pip-*.whl"))

# Ends well if this Python has a pip that installs for another one.
HAS_PIP := import pip; assert tuple(map(int, pip.__version__.split(".")[:2])) >= (22, 3)

# Everything the project needs, at the versions and hashes of the lock.
.venv/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		test "$$(id -u)" = 0 && apt-get install -y -q python3-venv >/dev/null; } || { \
		echo "Python's venv module is needed: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear --without-pip .venv
	@sed -n '/^uv==/,/[^\]$$/p' requirements.lock >.venv/uv.lock
	@# pip is only needed to get uv: that of $(PYTHON) is compiled; without it, the wheel that Python brings.
	@if $(PYTHON) -c '$(HAS_PIP)' 2>/dev/null; then \
		pip="$(PYTHON) -m pip --python .venv"; \
	else \
		export PYTHONPATH=$$($(PYTHON) -c '$(BUNDLED)'); pip="$(BIN)/python -m pip"; \
	fi; \
	$$pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		--requirement .venv/uv.lock
	$(BIN)/uv pip install --quiet --require-hashes --only-binary :all: --requirement requirements.lock
	@# What builds it is in the lock.
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
