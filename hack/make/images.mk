# Container images: see hack/images/build.sh --help. Included by the top Makefile.
#   make images               build what the demo and the end-to-end test run
#   make images-load          the same, and put them into the cluster (CLUSTER=embedded|kind)
#   make images REGISTRY=r    build and push to r (CLUSTER=current)
#   make image-NAME           build one; names are in hack/images/images.tsv
# Variables for others: $(OPERATOR_IMAGE), $(WORKER_IMAGE), $(ABINIT_IMAGE), $(S3_IMAGE), the references of the present files.

IMAGES ?= operator worker abinit s3
export IMAGES REGISTRY PFD_CACHE PFD_CA_BUNDLE

# Recursive on purpose: the reference is the content, and costs nothing where nobody asks.
OPERATOR_IMAGE = $(shell hack/images/build.sh --print-ref operator)
WORKER_IMAGE = $(shell hack/images/build.sh --print-ref worker)
SEVENNET_IMAGE = $(shell hack/images/build.sh --print-ref worker-sevennet)
WORKER_TEST_IMAGE = $(shell hack/images/build.sh --print-ref worker-test-deps)
ABINIT_IMAGE = $(shell hack/images/build.sh --print-ref abinit)
S3_IMAGE = $(shell hack/images/build.sh --print-ref s3)

.PHONY: images images-load images-list images-prune
images:
	hack/images/build.sh $(IMAGES)

image-%:
	hack/images/build.sh $*

ifeq ($(CLUSTER),current)
images-load: cluster-up images
else
# the cluster comes up, with its programs compiled the first time, while the images are built
images-load: cluster-up images
	CLUSTER=$(or $(CLUSTER),embedded) hack/images/load.sh $(IMAGES)
endif

images-list:
	@for name in $$(cut -f1 hack/images/images.tsv | grep -v '^#'); do hack/images/build.sh --print-ref $$name; done

images-prune:
	hack/images/prune.sh
