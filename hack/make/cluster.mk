# The cluster everything runs on. Included by the top Makefile.
# CLUSTER=embedded   a real Kubernetes from this repository (hack/devcluster): Linux, root, no container engine
# CLUSTER=kind       kind create cluster --name $(KIND_CLUSTER): needs a Docker engine
# CLUSTER=current    whatever cluster your kubeconfig's current context names; never created or removed here
# Default: kind where both it and a Docker engine answer, else embedded.

KIND_CLUSTER ?= pfd
ifeq ($(origin CLUSTER),undefined)
CLUSTER := $(shell hack/devcluster/cluster.sh default)
endif
export CLUSTER KIND_CLUSTER

.PHONY: cluster-up cluster-down cluster-status kubeconfig devcluster helm kubectl test-devcluster
cluster-up: ## start the cluster that CLUSTER chooses, and wait until it is ready
cluster-down: ## remove the cluster
cluster-status: ## say whether the cluster is up
cluster-up cluster-down cluster-status:
	@hack/devcluster/cluster.sh $(@:cluster-%=%)

kubeconfig: ## print the path of the cluster's kubeconfig
	@hack/devcluster/cluster.sh kubeconfig

devcluster: ## the embedded cluster's program, into the cache
	@hack/devcluster/build.sh

helm kubectl: ## the programs, into the cache
	@hack/devcluster/tools.sh $@

test-devcluster: venv devcluster ## the embedded cluster: its Go tests, and a control plane that is started and stopped
	cd hack/devcluster && go vet ./internal/... ./cmd/... && go test ./internal/...
	$(PYTEST) tests/devcluster -q
