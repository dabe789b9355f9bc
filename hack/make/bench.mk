# Benchmarks. Arguments of one run: make bench-operator BENCH='--crs 200'
.PHONY: bench-operator
bench-operator: venv devcluster ## the operator's cost at scale, against a real kube-apiserver
	PYTHONPATH=$(PYTHONPATH):tests:tests/integration $(PYTHON) -m bench.operator $(BENCH)
