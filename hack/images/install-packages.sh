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
# Another apt-get, such as the one for the cluster's packages in a parallel make, may hold the locks for a while.
install_missing() {
  local attempt
  for attempt in $(seq 20); do
    apt-get update && break
    [[ $attempt -lt 20 ]] || return 1
    sleep 3
  done
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
}
install_missing >"$IMAGE_CACHE/apt.log" 2>&1 ||
  { tail -n 20 "$IMAGE_CACHE/apt.log" >&2; die "apt-get failed, see $IMAGE_CACHE/apt.log"; }
