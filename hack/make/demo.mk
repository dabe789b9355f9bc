# Installing the operator, and the examples.
#   make example NAME=high-entropy-alloy                    any folder of examples/ with a kustomization.yaml
#   make example NAME=… EXAMPLE='--set PATH=VALUE --suffix -other'   options of hack/demo/run.py
RELEASE ?= pfd-operator
SYSTEM_NAMESPACE ?= pfd-system
NAME ?= silicon

.PHONY: install uninstall demo example
install: ## the operator and its S3 into the cluster
	$(MAKE) --jobs=2 images-load helm kubectl
	hack/demo/install.sh $(RELEASE) $(SYSTEM_NAMESPACE)

uninstall: helm ## the operator out of the cluster; jobs and data stay
	$(PFD_CACHE)/bin/helm uninstall $(RELEASE) --namespace $(SYSTEM_NAMESPACE) --kubeconfig $$(hack/devcluster/cluster.sh kubeconfig)

demo: venv install ## silicon, from a pre-trained model to DFT accuracy, with a table at the end
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTHON) hack/demo/run.py

example: venv kubectl ## NAME=high-entropy-alloy: an example's jobs with the images they need, with a table at the end
	images=$$($(PYTHON) hack/demo/example.py examples/$(NAME)) && $(MAKE) install IMAGES="$$images"
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTHON) hack/demo/run.py --example examples/$(NAME) \
	  --output build/examples/$(NAME)/summary.json $(EXAMPLE)
