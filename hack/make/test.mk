# Tests, from the quickest to the most real. `make test` is what CI runs.
PYTEST = $(VENV)/bin/pytest -p no:cacheprovider
RUN_IN = hack/images/run-in.sh worker-test-deps
JOBS ?= 2

.PHONY: lint unit cli-tests browser-tests image-tests engine-tests lammps integration chart chaos e2e e2e-short test
lint: venv ## style, types, layers, generated files
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy -p pfd_operator -p pfd_worker
	$(VENV)/bin/mypy tests hack
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pfd_operator.api.crd --check crds
	find hack tests -name '*.sh' -print0 | xargs -0 $(VENV)/bin/shellcheck --external-sources --source-path=SCRIPTDIR
	unformatted=$$(gofmt -l hack/devcluster) && echo "$$unformatted" && test -z "$$unformatted"

unit: venv ## what needs no cluster, image, engine or browser, in JOBS=2 processes: a minute or two
	$(PYTEST) tests/unit -m "not image and not engine and not browser" -q -n $(JOBS) --dist loadfile --durations=5

cli-tests: $(CLI_VENV)/.complete ## kubectl-pfd as users install it, with the packages that they get
	rm -rf build/lib build/bdist.* pfd_operator.egg-info # setuptools would install modules of before, too
	$(VENV)/bin/uv pip install --quiet --python $(CLI_VENV)/bin/python --no-deps --reinstall-package pfd-operator .
	env -u PYTHONPATH $(CLI_VENV)/bin/kubectl-pfd --help >/dev/null
	$(CLI_VENV)/bin/pytest -p no:cacheprovider tests/unit/operator/cli -q

browser-tests: venv ## the report's page in headless Chromium, which this installs where it is missing; as root
	command -v chromium chromium-browser google-chrome >/dev/null || hack/apt-install.sh $(PFD_CACHE)/chromium.log chromium
	$(PYTEST) tests/unit/worker/report -m browser -q

image-tests: ## torch, in the worker's image
	hack/images/build.sh worker-test-deps
	$(RUN_IN) python -m pytest -p no:cacheprovider tests/unit/worker -m image -q --durations=5 --timeout-method=thread

engine-tests: venv ## ABINIT in its image: its labels against finite differences
	hack/images/build.sh abinit
	$(PYTEST) tests/unit/worker/labelers -m engine -q --durations=5

lammps: venv image-worker-test-deps image-lammps ## an exported student in LAMMPS; builds an image of its own
	$(PYTEST) tests/lammps -q

integration: venv devcluster helm ## against a real kube-apiserver
	$(PYTEST) tests/integration -q --durations=5

chart: venv helm ## helm lint and what the templates give
	$(PFD_CACHE)/bin/helm lint charts/pfd-operator
	$(PYTEST) tests/chart -q

chaos: venv devcluster helm ## the operator killed 200 times, API server and pods failing; CHAOS='--seed 3 --kills 20'
	$(PYTHON) -m tests.chaos $(CHAOS)

e2e-short: venv install ## one short job with real pods and real DFT labels
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTEST) tests/e2e -m "e2e and not chaos" -q -s

e2e: venv install ## jobs with real pods and real DFT labels, with pods and the operator killed on the way
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTEST) tests/e2e -m e2e -q -s

test: ## everything CI runs
	$(MAKE) lint
	HYPOTHESIS_PROFILE=ci $(MAKE) unit
	$(MAKE) cli-tests
	$(MAKE) browser-tests
	$(MAKE) integration
	$(MAKE) chart
	$(MAKE) image-tests
	$(MAKE) engine-tests
	$(MAKE) e2e-short
