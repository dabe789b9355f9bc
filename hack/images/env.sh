# shellcheck shell=bash
# Shared settings of the image scripts: where things are cached, and which program builds. Sourced, never run.
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PFD_CACHE=${PFD_CACHE:-$HOME/.cache/pfd-operator}
IMAGE_CACHE=$PFD_CACHE/images
OCI_LAYOUT=$IMAGE_CACHE/oci
mkdir -p "$IMAGE_CACHE"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# docker where an engine answers, else buildah; PFD_BUILDER overrides.
builder() {
  if [[ -n ${PFD_BUILDER:-} ]]; then echo "$PFD_BUILDER"
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then echo docker
  elif command -v buildah >/dev/null; then echo buildah
  else die "neither a docker engine nor buildah is here; install one of them (Debian: apt-get install buildah debootstrap)"
  fi
}

# buildah keeps its layers in our cache, apart from whatever else uses containers-storage on this machine.
# runroot holds mount counts and must vanish with a reboot, hence /run.
use_buildah_storage() {
  export CONTAINERS_STORAGE_CONF=$IMAGE_CACHE/storage.conf
  export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=overlay
  local runroot
  runroot=/run/pfd-images-$(printf %s "$IMAGE_CACHE" | sha256sum | cut -c1-8)
  if [[ ! -f $CONTAINERS_STORAGE_CONF ]]; then
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/storage"\nrunroot = "%s"\n' \
      "$IMAGE_CACHE" "$runroot" >"$CONTAINERS_STORAGE_CONF.$$"
    mv "$CONTAINERS_STORAGE_CONF.$$" "$CONTAINERS_STORAGE_CONF"
  fi
}
