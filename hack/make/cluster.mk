# The cluster everything runs on. Included by the top Makefile.
#   make cluster-up / cluster-down / cluster-status      start it and wait until it is ready / remove it / look
#   make kubeconfig                                      print the path of its kubeconfig
#   make devcluster / helm / kubectl                     the programs, into $(PFD_CACHE)/bin
# CLUSTER=embedded   a real Kubernetes from this repository (hack/devcluster): Linux, root, no container engine
# CLUSTER=kind       kind create cluster --name $(KIND_CLUSTER): needs a Docker engine
# CLUSTER=current    whatever cluster your kubeconfig's current context names; never created or removed here
# Default: kind where both it and a Docker engine answer, else embedded.

PFD_CACHE ?= $(HOME)/.cache/pfd-operator
KIND_CLUSTER ?= pfd
ifeq ($(origin CLUSTER),undefined)
CLUSTER := $(shell hack/devcluster/cluster.sh default)
endif
export PFD_CACHE CLUSTER KIND_CLUSTER

.PHONY: cluster-up cluster-down cluster-status kubeconfig devcluster helm kubectl test-devcluster
cluster-up cluster-down cluster-status:
	@hack/devcluster/cluster.sh $(@:cluster-%=%)

kubeconfig:
	@hack/devcluster/cluster.sh kubeconfig

devcluster:
	@hack/devcluster/build.sh

helm kubectl:
	@hack/devcluster/tools.sh $@

test-devcluster: devcluster
	cd hack/devcluster && go vet ./internal/... ./cmd/... && go test ./internal/...
	$(or $(PYTHON),python3) -m pytest -q tests/devcluster
