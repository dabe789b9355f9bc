# shellcheck shell=bash
# Shared settings of the image scripts: where things are cached, and which program builds. Sourced, never run.
set -euo pipefail
# debootstrap lies there, and plain `su` leaves it out
export PATH=$PATH:/usr/sbin:/sbin

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PFD_CACHE=${PFD_CACHE:-$HOME/.cache/pfd-operator}
IMAGE_CACHE=$PFD_CACHE/images
# shellcheck disable=SC2034
OCI_LAYOUT=$IMAGE_CACHE/oci
mkdir -p "$IMAGE_CACHE"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# docker where an engine answers, else buildah; PFD_BUILDER overrides.
builder() {
  if [[ -n ${PFD_BUILDER:-} ]]; then echo "$PFD_BUILDER"
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then echo docker
  else echo buildah
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

# Reads one image's row of images.tsv into dockerfile, target, suite, deps, inputs.
read_image() {
  local row
  row=$(awk -F'\t' -v n="$1" '$1 == n' "$REPO/hack/images/images.tsv")
  [[ -n $row ]] || die "no image '$1'; there are: $(image_names | tr '\n' ' ')"
  # shellcheck disable=SC2034
  IFS=$'\t' read -r _ dockerfile target suite deps inputs <<<"$row"
}

image_names() { awk -F'\t' '!/^#/ {print $1}' "$REPO/hack/images/images.tsv"; }

# The tag is the content: Dockerfile, every input file (path, mode, bytes), target, and how the base is made.
image_ref() {
  # shellcheck disable=SC2034
  local dockerfile target suite deps inputs tag
  read_image "$1"
  tag=$(cd "$REPO" && {
    printf '%s\0' "$target" "$suite"
    sha256sum <hack/images/bootstrap-base.sh
    # shellcheck disable=SC2086,SC2016
    for path in "$dockerfile" $inputs; do
      [[ -e $path ]] || die "image $1 copies $path, which does not exist"
      find "$path" -type f ! -name '*.pyc' ! -path '*/.*' -print0
    done | sort -z | xargs -0 sh -c 'for f; do printf "%s %s\n" "$f" "$(stat -c %a "$f")"; done; sha256sum -- "$@"' sh
  } | sha256sum | cut -c1-12)
  echo "${REGISTRY:-localhost/pfd}/$1:$tag"
}
