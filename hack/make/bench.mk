# Benchmarks. Arguments of one run: make bench-operator BENCH='--crs 200'
.PHONY: bench-operator bench-overhead bench-labels bench-lammps bench-science bench-gpu bench-threads
bench-operator: venv devcluster ## the operator's cost at scale, against a real kube-apiserver
	$(PYTHON) -m tests.bench.operator $(BENCH)

bench-overhead: venv helm kubectl ## what the operator adds to stages that do nothing, on a cluster with real kubelets
	$(MAKE) --jobs=2 images-load IMAGES="operator worker-bench"
	tests/bench/operator/overhead.sh $(PYTHON) $(BENCH)

bench-labels: venv kubectl image-abinit ## the demo's labels against the next k-mesh and the next cutoff
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) PYTHONPATH=$(PYTHONPATH):hack/demo:hack/science \
	  $(PYTHON) -m tests.bench.labels $(BENCH)

bench-lammps: venv kubectl image-worker-test-deps image-lammps ## an exported student's MD step in LAMMPS beside ASE's
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) PYTHONPATH=$(PYTHONPATH):hack/demo \
	  $(PYTHON) -m tests.bench.lammps $(BENCH)

bench-gpu: ## MD together, training and large cells on a GPU: runs where it is called, with worker-gpu's packages
	PYTHONPATH=operator:images/worker:.:hack/science python3 -m tests.bench.gpu $(BENCH)

bench-threads: image-worker-test-deps ## a training step by number of threads and by how they wait, alone and beside other work
	hack/images/run-in.sh -e PYTHONPATH=/src/operator:/src/images/worker:/src:/src/hack/science worker-test-deps \
	  python -m tests.bench.threads $(BENCH)

# QUESTS, PFD-kit's selection, wants versions of its own: an environment for each content of its lock file.
QUESTS_LOCK := tests/bench/science/requirements.txt
QUESTS_VENV = $(PFD_CACHE)/venv-quests-$(shell sha256sum $(QUESTS_LOCK) | cut -c1-12)

$(QUESTS_VENV)/.complete: | venv
	python3 -m venv $(QUESTS_VENV)
	$(VENV)/bin/uv pip install --quiet --python $(QUESTS_VENV)/bin/python -r $(QUESTS_LOCK)
	@touch $@

bench-science: venv image-worker-test-deps $(QUESTS_VENV)/.complete ## labels by method until an error holds; BENCH='--full'
	$(PYTHON) -m tests.bench.science --quests-python $(QUESTS_VENV)/bin/python $(BENCH)
