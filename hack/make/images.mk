# Container images: see hack/images/build.sh --help. Included by the top Makefile.
# With REGISTRY=registry.example.org/pfd they are pushed there, as CLUSTER=current needs it.
IMAGES ?= operator worker abinit s3
export IMAGES REGISTRY PFD_CA_BUNDLE

.PHONY: images images-load images-list images-prune
images: ## build IMAGES, by default those of the demo and the end-to-end tests; with REGISTRY=… push them
	hack/images/build.sh $(IMAGES)

image-%: ## build one of hack/images/images.tsv, e.g. image-lammps
	hack/images/build.sh $*

images-load: ## build IMAGES and put them into the cluster, which is started
ifeq ($(CLUSTER),current)
ifneq ($(filter images-load,$(MAKECMDGOALS)),)
$(if $(REGISTRY),,$(error CLUSTER=current pulls images from a registry: say where to push them, REGISTRY=registry.example.org/pfd))
endif
images-load: cluster-up images
else
# the cluster comes up, with its programs compiled the first time, while the images are built
images-load: cluster-up images
	hack/images/load.sh $(IMAGES)
endif

images-list: ## print the reference of every image
	@for name in $$(cut -f1 hack/images/images.tsv | grep -v '^#'); do hack/images/build.sh --print-ref $$name; done

images-prune: ## free the space of earlier builds
	hack/images/prune.sh
