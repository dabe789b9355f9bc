#!/usr/bin/env bash
# Installs what building images without a docker engine needs. Does nothing, at once, where all of it is there.
source "$(dirname "$0")/env.sh"

missing=()
for program in buildah skopeo debootstrap; do command -v "$program" >/dev/null || missing+=("$program"); done
[[ ${#missing[@]} -gt 0 ]] || exit 0
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  die "building images needs a docker engine, or ${missing[*]}: install them with your package manager"
fi
exec "$REPO/hack/apt-install.sh" "$IMAGE_CACHE/apt.log" "${missing[@]}"
