#!/usr/bin/env bash
# Loads built images into a cluster's nodes, building first what is missing. An image already there is skipped, and of
# one that differs in its last layer only that layer is sent. Prints the references that were loaded.
#   load.sh NAME…               (names of images.tsv)
# Environment: CLUSTER = embedded (default) | kind;  CONTAINERD_SOCKET (embedded's, default /run/pfd-devcluster/containerd.sock)
source "$(dirname "$0")/env.sh"

socket=${CONTAINERD_SOCKET:-/run/pfd-devcluster/containerd.sock}
[[ $# -gt 0 ]] || die "usage: load.sh NAME…; there are: $(image_names | tr '\n' ' ')"
built=$("$REPO/hack/images/build.sh" "$@")

ctr_k8s() { ctr --address "$socket" --namespace k8s.io "$@"; }

load_embedded() {
  [[ -S $socket ]] || die "no containerd at $socket: start the cluster first (make cluster-up)"
  if [[ -n $(ctr_k8s images ls -q "name==$1") ]]; then say "image $1: already in the cluster"; return; fi
  local started=$SECONDS
  if [[ $(builder) == docker ]]; then docker save "$1" | ctr_k8s images import - >/dev/null
  else
    # The lock is shared with other loads, and keeps prune.sh from replacing the layout meanwhile.
    (
      flock -s 8
      ctr_k8s content ls -q |
        python3 "$REPO/hack/images/oci_delta.py" "$OCI_LAYOUT" "$1" | ctr_k8s images import - >/dev/null
    ) 8>"$IMAGE_CACHE/oci.lock"
  fi
  # The kubelet's image garbage collection must not take what no registry can give back.
  ctr_k8s images label "$1" io.cri-containerd.pinned=pinned >/dev/null
  say "image $1: loaded in $((SECONDS - started)) s"
}

load_kind() {
  kind load docker-image --name "${KIND_CLUSTER:-pfd}" "$1"
}

for ref in $built; do
  case ${CLUSTER:-embedded} in
    embedded) load_embedded "$ref" ;;
    kind) load_kind "$ref" >&2 ;;
    *) die "CLUSTER=$CLUSTER pulls from a registry: build with REGISTRY=…" ;;
  esac
  echo "$ref"
done
