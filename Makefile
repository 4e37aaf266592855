# Two commands: `make demo` and `make test`. Both may be run again at any time, as root or not.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
TORCH := $(shell grep -m1 '^torch==' constraints.txt)
TESTS ?= tests

.PHONY: demo test check install install-dev lock bench clean

demo: install ## optimise a shipped problem until a faster kernel is verified
	$(BIN)/kopt optimize rms_norm --budget-seconds 90 --name demo_rms_norm || { [ $$? = 1 ] && \
		echo "no certain win yet; a busy machine needs longer" && \
		$(BIN)/kopt optimize rms_norm --budget-seconds 240 --name demo_rms_norm; }

# What measures time may be disturbed for a while by whoever shares the machine: what fails twice, fails.
test: install-dev ## the whole suite: in parallel, then alone what measures time
	$(BIN)/pytest -n 2 --no-loadscope-reorder -m "not timing" $(TESTS)
	$(BIN)/pytest -m timing $(TESTS) || { [ $$? = 1 ] && $(BIN)/pytest -m timing --lf $(TESTS); }

check: install-dev ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

# torch goes first: with it pinned and present, nothing else can pull another build of it.
$(VENV)/.installed: pyproject.toml constraints.txt | tools
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing kopt into $(VENV) (torch is large; minutes the first time)"
	$(PIP) $(TORCH)
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[dev,gpu,llm,docker]'
	@touch $@

.PHONY: tools
tools:
	@test -n "$(PYTHON)" || { echo "kopt needs Python 3.11 to 3.13 with venv: install it or say make PYTHON=/path/to/python3"; exit 2; }
	@command -v g++ >/dev/null || command -v c++ >/dev/null || command -v clang++ >/dev/null || { echo "kopt needs a C++ compiler: install g++"; exit 2; }

lock: install-dev ## write constraints.txt from what is installed
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu//' | grep -v '@'; } > constraints.new && mv constraints.new constraints.txt

bench: install-dev ## measure everything under bench/ (about two hours on two cores)
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) build dist
