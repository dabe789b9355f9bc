# The development environment: a virtual environment in the cache, one for each content of the lock file.
LOCK_KEY := $(shell sha256sum requirements-dev.txt | cut -c1-12)
VENV := $(PFD_CACHE)/venv-$(LOCK_KEY)
PYTHON := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/images/worker:$(CURDIR)

# The plugin as users install it. kubernetes and boto3 ask for different python-dateutil, which [tool.uv] overrides for us alone.
CLI_LOCK := tests/unit/operator/cli/requirements.txt
CLI_VENV = $(PFD_CACHE)/venv-cli-$(shell sha256sum $(CLI_LOCK) | cut -c1-12)

.PHONY: venv lock generate
venv: $(VENV)/.complete ## the Python environment of tests and tools

# Its name says which content it is of: a fresh clone's newer timestamps mean nothing.
$(VENV)/.complete:
	@mkdir -p $(PFD_CACHE)
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet uv==0.9.30
	$(VENV)/bin/uv pip install --quiet --python $(PYTHON) -r requirements-dev.txt
	@touch $@

$(CLI_VENV)/.complete: | venv
	python3 -m venv $(CLI_VENV)
	$(VENV)/bin/uv pip install --quiet --python $(CLI_VENV)/bin/python -r $(CLI_LOCK)
	@touch $@

LOCK = $(VENV)/bin/uv pip compile --quiet --upgrade --no-emit-index-url --no-annotate --no-header --no-python-downloads
lock: venv ## pin the newest versions that pyproject.toml and the GPU image's requirements allow
	$(LOCK) pyproject.toml --extra operator --extra worker --extra dev --python-version 3.11 -o requirements-dev.txt
	$(LOCK) --no-config pyproject.toml --extra cli - --python-version 3.11 -o $(CLI_LOCK) \
	  <<<$$'pytest>=8.4,<9\npytest-asyncio>=1.2,<2\npytest-timeout>=2.4,<3\nhypothesis>=6.140,<7'
	$(LOCK) --no-config images/worker/requirements-gpu.in -c images/worker/requirements.txt --no-build \
	  --python-version 3.13 --python-platform x86_64-manylinux_2_40 -o images/worker/requirements-gpu.txt

generate: venv ## CRDs out of the models
	$(PYTHON) -m pfd_operator.api.crd crds
