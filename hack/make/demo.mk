# Installing the operator, and the demo.
RELEASE ?= pfd-operator
SYSTEM_NAMESPACE ?= pfd-system

.PHONY: install uninstall demo
install: ## the operator and its S3 into the cluster
	$(MAKE) --jobs=2 images-load helm kubectl
	hack/demo/install.sh $(RELEASE) $(SYSTEM_NAMESPACE)

uninstall: helm ## the operator out of the cluster; jobs and data stay
	$(PFD_CACHE)/bin/helm uninstall $(RELEASE) --namespace $(SYSTEM_NAMESPACE) --kubeconfig $$(hack/devcluster/cluster.sh kubeconfig)

demo: venv install ## silicon, from a pre-trained model to DFT accuracy, with a table at the end
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTHON) hack/demo/run.py
