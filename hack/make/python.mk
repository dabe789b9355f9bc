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
	$(PYTHON) -m pip install --quiet uv==0.9.*
	$(VENV)/bin/uv pip install --quiet --python $(PYTHON) -r requirements-dev.txt
	@touch $@

$(CLI_VENV)/.complete: | venv
	python3 -m venv $(CLI_VENV)
	$(VENV)/bin/uv pip install --quiet --python $(CLI_VENV)/bin/python -r $(CLI_LOCK)
	@touch $@

lock: venv ## pin the newest versions that pyproject.toml allows
	$(VENV)/bin/uv pip compile --quiet --upgrade pyproject.toml --extra operator --extra worker --extra dev \
	  --python-version 3.11 --no-emit-index-url --no-annotate --no-header -o requirements-dev.txt
	$(VENV)/bin/uv pip compile --quiet --upgrade --no-config pyproject.toml --extra cli - -o $(CLI_LOCK) \
	  --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  <<<$$'pytest>=8.4,<9\npytest-asyncio>=1.2,<2\npytest-timeout>=2.4,<3\nhypothesis>=6.140,<7'

generate: venv ## CRDs out of the models
	$(PYTHON) -m pfd_operator.api.crd crds
