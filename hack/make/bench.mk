# Benchmarks. Arguments of one run: make bench-operator BENCH='--crs 200'
.PHONY: bench-operator bench-labels bench-lammps
bench-operator: venv devcluster ## the operator's cost at scale, against a real kube-apiserver
	PYTHONPATH=$(PYTHONPATH):tests:tests/integration $(PYTHON) -m bench.operator $(BENCH)

bench-labels: venv kubectl image-abinit ## the demo's labels against the next k-mesh and the next cutoff
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) PYTHONPATH=$(PYTHONPATH):tests:hack/demo:hack/science \
	  $(PYTHON) -m bench.labels $(BENCH)

bench-lammps: venv kubectl image-worker-test-deps image-lammps ## an exported student's MD step in LAMMPS beside ASE's
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) PYTHONPATH=$(PYTHONPATH):tests:hack/demo \
	  $(PYTHON) -m bench.lammps $(BENCH)
