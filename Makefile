# The two commands of the README, and what stands behind them. Needs Python ≥ 3.11 and make.
# Without make (on Windows, say): the same pip commands in an environment of your own, then soundfold demo and pytest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-long install check benchmarks onnxruntime-web clean

demo: $(STAMP)
	$(BIN)/soundfold demo

test: $(STAMP)
	$(BIN)/python -m pytest -q --numprocesses 2

# what takes minutes: soak, load and kills
test-long: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,cluster]"
	$(BIN)/python -m pytest -q -m long

install: $(STAMP)

# torch first and by its exact version: plain `torch` would bring a CUDA build of several gigabytes on Linux
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "soundfold needs Python 3.11 or later, got $$($(PYTHON) --version). Say: make PYTHON=python3.12" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		"$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# on a machine that does nothing else; `python -m benchmarks --help` tells of smaller and of larger runs
benchmarks: $(STAMP)
	$(BIN)/python -m benchmarks

# what `export --to web` puts beside the page; a release takes it along. Needs npm.
ORT_WEB := 1.30.0
onnxruntime-web:
	mkdir -p build src/soundfold/serve/onnxruntime_web
	cd build && npm pack --silent onnxruntime-web@$(ORT_WEB)
	tar xzf build/onnxruntime-web-$(ORT_WEB).tgz -C src/soundfold/serve/onnxruntime_web --strip-components=2 \
		package/dist/ort.wasm.min.mjs package/dist/ort-wasm-simd-threaded.mjs package/dist/ort-wasm-simd-threaded.wasm

clean:
	rm -rf $(VENV) .venv-base build dist src/*.egg-info
