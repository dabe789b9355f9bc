#!/usr/bin/env bash
# Installs what building images without a docker engine needs. Does nothing, at once, where all of it is there.
source "$(dirname "$0")/env.sh"

missing=()
for program in buildah skopeo debootstrap; do command -v "$program" >/dev/null || missing+=("$program"); done
[[ ${#missing[@]} -gt 0 ]] || exit 0
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  die "building images needs a docker engine, or ${missing[*]}: install them with your package manager"
fi
say "installing ${missing[*]}"
# The cluster's packages are installed at the same time, and apt-get update does not wait for its lock.
install_missing() {
  flock 9
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}
install_missing 9>"$PFD_CACHE/apt.lock" >"$IMAGE_CACHE/apt.log" 2>&1 ||
  { tail -n 20 "$IMAGE_CACHE/apt.log" >&2; die "apt-get failed, see $IMAGE_CACHE/apt.log"; }
