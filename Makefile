# Everything a person types here. `make help` lists it. Everything built is cached in $(PFD_CACHE) by content.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PFD_CACHE ?= $(HOME)/.cache/pfd-operator
export PFD_CACHE

include hack/make/python.mk
include hack/make/cluster.mk
include hack/make/images.mk
include hack/make/test.mk
include hack/make/demo.mk
include hack/make/bench.mk

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-zA-Z0-9_% -]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | expand -t 24
	@echo 'Variables (NAME, IMAGES, REGISTRY, CLUSTER, …): CONTRIBUTING.md'
