# The development environment: a virtual environment in the cache, one for each content of the lock file.
LOCK_KEY := $(shell sha256sum requirements-dev.txt | cut -c1-12)
VENV := $(PFD_CACHE)/venv-$(LOCK_KEY)
PYTHON := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR)/operator:$(CURDIR)/images/worker:$(CURDIR)

.PHONY: venv lock generate
venv: $(VENV)/.complete ## the Python environment of tests and tools

# Its name says which content it is of: a fresh clone's newer timestamps mean nothing.
$(VENV)/.complete:
	@mkdir -p $(PFD_CACHE)
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet uv==0.9.*
	$(VENV)/bin/uv pip install --quiet --python $(PYTHON) -r requirements-dev.txt
	@touch $@

lock: venv ## pin the newest versions that pyproject.toml allows
	$(VENV)/bin/uv pip compile --quiet --upgrade pyproject.toml --extra operator --extra worker --extra dev \
	  --python-version 3.11 --no-emit-index-url --no-annotate --no-header -o requirements-dev.txt

generate: venv ## CRDs out of the models
	$(PYTHON) -m pfd_operator.api.crd crds
