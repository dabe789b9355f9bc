# Installing the operator, and the examples.
#   make example NAME=… EXAMPLE='--set PATH=VALUE --suffix -other'   options of hack/demo/run.py
EXAMPLES := $(patsubst examples/%/kustomization.yaml,%,$(wildcard examples/*/kustomization.yaml))
ifneq ($(filter example,$(MAKECMDGOALS)),)
$(if $(filter $(NAME),$(EXAMPLES)),,$(error make example NAME=…, one of: $(EXAMPLES)))
endif

.PHONY: install uninstall demo example
install: ## the operator and its S3, without a volume, into the cluster; refused where a release of yours is
	$(MAKE) --jobs=2 images-load helm kubectl
	hack/demo/install.sh

uninstall: helm ## operator and S3 out of the cluster: job resources stay; labels and models, without a volume, are LOST
	$(PFD_CACHE)/bin/helm uninstall pfd-operator --namespace pfd-system --kubeconfig $$(hack/devcluster/cluster.sh kubeconfig)

demo: venv install ## silicon, from a pre-trained model to DFT accuracy, with a table at the end
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTHON) hack/demo/run.py

example: venv kubectl ## NAME=…: an example's jobs with the images they need, with a table at the end
	images=$$($(PYTHON) hack/demo/example.py examples/$(NAME)) && $(MAKE) install IMAGES="$$images"
	KUBECONFIG=$$(hack/devcluster/cluster.sh kubeconfig) $(PYTHON) hack/demo/run.py --example examples/$(NAME) \
	  --output build/examples/$(NAME)/summary.json $(EXAMPLE)
