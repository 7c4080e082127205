# make setup   .venv with everything in it        PYTHON=python3.12 chooses another Python
# make demo    the page at http://127.0.0.1:7860  PORT=8000 chooses another port
# make test    all tests
# make space   a Hugging Face Space in build/space       NAME=owner/space gives its thumbnail an address
# make lab     the lessons in JupyterLab
# make lessons runs all lessons, stores their outputs, and writes them as a web page each into notebooks/book
# make clean   takes .venv away

PYTHON ?= python3
PORT ?= 7860
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo space test lab lessons clean

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON); install Python 3.10 or newer, or say PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "make: $(PYTHON) is older than 3.10, which mpkit needs; say PYTHON=python3.12 or similar" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "make: $(PYTHON) cannot make a venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "make: installing into .venv; a few minutes, once"
	@$(BIN)/python -m pip install --quiet torch==2.13.0 || echo "make: no torch 2.13.0 here; taking one of requirements.txt"
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

demo: setup
	PORT=$(PORT) $(BIN)/python demo/app.py --open

space: setup
	$(BIN)/python demo/space.py $(if $(NAME),--name $(NAME))

test: setup
	$(BIN)/python -m pytest

lab: setup
	$(BIN)/jupyter lab notebooks

lessons: setup
	$(BIN)/python notebooks/build.py

clean:
	rm -rf .venv
