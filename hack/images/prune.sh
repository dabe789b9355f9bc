#!/usr/bin/env bash
# Frees the space of images that the present files no longer name: earlier tags, and layers that only those had.
# Layers of the present images stay, so the next build is as quick as before. Needs no cluster, and leaves clusters alone.
source "$(dirname "$0")/env.sh"
[[ $(builder) == buildah ]] || die "with docker, use: docker image prune"
use_buildah_storage

keep=$(mktemp)
trap 'rm -f "$keep"' EXIT
for name in $(image_names); do image_ref "$name" 2>/dev/null >>"$keep" || true; done
before=$(du -sm "$IMAGE_CACHE" | cut -f1)
buildah images --format '{{.Name}}:{{.Tag}}' | { grep '^localhost/pfd/' | grep -vxFf "$keep" || true; } |
  while read -r ref; do buildah rmi "$ref" >/dev/null 2>&1 || true; done
(
  flock 8
  # A layout has no way to drop one image: it is rebuilt from the images that stay.
  rm -rf "$OCI_LAYOUT.new"
  buildah images --format '{{.Name}}:{{.Tag}}' | { grep -xFf "$keep" || true; } | while read -r ref; do
    skopeo copy -q --dest-oci-accept-uncompressed-layers "containers-storage:$ref" "oci:$OCI_LAYOUT.new:$ref"
  done
  rm -rf "$OCI_LAYOUT"
  [[ ! -d $OCI_LAYOUT.new ]] || mv "$OCI_LAYOUT.new" "$OCI_LAYOUT"
) 8>"$IMAGE_CACHE/oci.lock"
say "image cache: $before MB before, $(du -sm "$IMAGE_CACHE" | cut -f1) MB now"
