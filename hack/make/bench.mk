# Benchmarks. Arguments of one run: make bench-operator BENCH='--crs 200'
.PHONY: bench-operator bench-overhead bench-labels bench-lammps bench-science bench-gpu
bench-operator: venv devcluster ## the operator's cost at scale, against a real kube-apiserver
	PYTHONPATH=$(PYTHONPATH):tests:tests/integration $(PYTHON) -m bench.operator $(BENCH)

bench-overhead: venv helm kubectl ## what the operator adds to stages that do nothing, on a cluster with real kubelets
	$(MAKE) --jobs=2 images-load IMAGES="operator worker-bench"
	PYTHONPATH=$(PYTHONPATH):tests:tests/integration tests/bench/operator/overhead.sh $(PYTHON) $(BENCH)

bench-labels: venv kubectl image-abinit ## the demo's labels against the next k-mesh and the next cutoff
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) PYTHONPATH=$(PYTHONPATH):tests:hack/demo:hack/science \
	  $(PYTHON) -m bench.labels $(BENCH)

bench-lammps: venv kubectl image-worker-test-deps image-lammps ## an exported student's MD step in LAMMPS beside ASE's
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) PYTHONPATH=$(PYTHONPATH):tests:hack/demo \
	  $(PYTHON) -m bench.lammps $(BENCH)

bench-gpu: ## MD together, training and large cells on a GPU: runs where it is called, with worker-gpu's packages
	PYTHONPATH=operator:images/worker:tests:hack/science python3 -m bench.gpu $(BENCH)

# QUESTS, PFD-kit's selection, wants versions of its own: an environment for each content of its lock file.
QUESTS_LOCK := tests/bench/science/requirements.txt
QUESTS_VENV = $(PFD_CACHE)/venv-quests-$(shell sha256sum $(QUESTS_LOCK) | cut -c1-12)

$(QUESTS_VENV)/.complete: | venv
	python3 -m venv $(QUESTS_VENV)
	$(VENV)/bin/uv pip install --quiet --python $(QUESTS_VENV)/bin/python -r $(QUESTS_LOCK)
	@touch $@

bench-science: venv image-worker-test-deps $(QUESTS_VENV)/.complete ## labels by method until an error holds; BENCH='--full'
	PYTHONPATH=$(PYTHONPATH):tests $(PYTHON) -m bench.science --quests-python $(QUESTS_VENV)/bin/python $(BENCH)
