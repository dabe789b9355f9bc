#!/usr/bin/env bash
# Builds images: what is already in the cache under the same content tag is left alone.
#   build.sh NAME…              build (see images.tsv for the names), print each one's reference
#   build.sh --print-ref NAME   print the reference that a build of the present files has; builds nothing
# Environment:
#   REGISTRY        push there (with docker or buildah); references then start with it instead of localhost/pfd
#   PFD_CA_BUNDLE   PEM file that builds trust (default $SSL_CERT_FILE); seen during the build, not in the image
#   PFD_CACHE       where everything built is kept (default ~/.cache/pfd-operator)
#   PFD_BUILDER     docker | buildah (default: docker where an engine answers)
# pip's index settings are taken from this machine's pip configuration, Go's from GOPROXY.
source "$(dirname "$0")/env.sh"

# A pip.conf for the build: this machine's own settings, with the CA bundle under the name it has in the build.
write_pip_conf() {
  {
    echo '[global]'
    [[ -z $ca_bundle ]] || echo 'cert = /run/secrets/ca-bundle'
    python3 -m pip config list 2>/dev/null | tr -d "'" |
      sed -nE 's/^(global|:env:|install)\.(index-url|extra-index-url|trusted-host|proxy|timeout|default-timeout|retries)=/\2 = /p'
  } | awk '!seen[$1]++' >"$1"
}

secrets_and_args() {
  options=(--build-arg "GOPROXY=$(go env GOPROXY 2>/dev/null || true)")
  write_pip_conf "$scratch/pip.conf"
  options+=(--secret "id=pip-conf,src=$scratch/pip.conf")
  [[ -z $ca_bundle ]] || options+=(--secret "id=ca-bundle,src=$ca_bundle")
  local name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [[ -z ${!name:-} ]] || options+=(--build-arg "$name=${!name}")
  done
}

build_with_docker() {
  DOCKER_BUILDKIT=1 docker build "${options[@]}" -t "$1" -f "$REPO/$dockerfile" "$REPO"
}

# $2 is the reference of the deps image, or empty. With one, only the stages `code` and the target are built, the latter
# on that image: buildah otherwise reads the whole virtual environment (10 s) to find that no earlier stage has changed.
build_with_buildah() {
  local base file=$REPO/$dockerfile
  for base in $suite; do "$REPO/hack/images/bootstrap-base.sh" "$base"; done
  if [[ -n $2 ]]; then
    file=$scratch/Dockerfile
    awk -v target="$target" -v base="$2" \
      '/^FROM / {keep = $NF == "code" || $NF == target; if ($NF == target) $2 = base} keep' "$REPO/$dockerfile" >"$file"
  fi
  nice buildah bud --layers --pull-never "${options[@]}" -t "$1" -f "$file" "$REPO"
}

# All images share one OCI layout with uncompressed blobs: an image that differs from an earlier one in its last layer adds
# only that layer. skopeo, because buildah push compresses every layer anew each time, before it sees that it is there.
export_layers() {
  (flock 8; skopeo copy -q --dest-oci-accept-uncompressed-layers "containers-storage:$1" "oci:$OCI_LAYOUT:$1") \
    8>"$IMAGE_CACHE/oci.lock"
}

exists() {
  if [[ $tool == docker ]]; then docker image inspect "$1" >/dev/null 2>&1
  else [[ -e $OCI_LAYOUT/index.json ]] && grep -qF "\"$1\"" "$OCI_LAYOUT/index.json" && buildah inspect --type image "$1" >/dev/null 2>&1
  fi
}

# Sets ref to what was built: by the time it is used, the files may have gone on to another one.
build() {
  local started=$SECONDS log=$IMAGE_CACHE/build-$1.log base=
  read_image "$1"
  if [[ $deps != - && $tool == buildah ]] && ! exists "$(image_ref "$1")"; then
    build "$deps"
    base=$ref
    read_image "$1"
  fi
  exec 9>"$IMAGE_CACHE/build-$(basename "$(dirname "$dockerfile")").lock"
  flock 9
  ref=$(image_ref "$1")
  if exists "$ref"; then
    say "image $ref: cached"
    exec 9>&-
    return
  fi
  say "image $ref: building with $tool (log: $log)"
  options=()
  secrets_and_args
  [[ $target == - ]] || options+=(--target "$target")
  "build_with_$tool" "$ref" "$base" >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "building $1 failed, see $log"; }
  if [[ $(image_ref "$1") != "$ref" ]]; then
    # Its content is neither the old files' nor the new ones': it must not stay under a content tag.
    if [[ $tool == docker ]]; then docker rmi "$ref" >/dev/null; else buildah rmi "$ref" >/dev/null; fi
    say "image $ref: files changed during the build, once more"
    build "$1"
    return
  fi
  [[ $tool == docker ]] || export_layers "$ref"
  exec 9>&-
  say "image $ref: built in $((SECONDS - started)) s"
}

push() {
  if [[ $tool == docker ]]; then docker push "$1" >&2; else buildah push "$1" "docker://$1" >&2; fi
}

case ${1:-} in
  --print-ref) image_ref "${2:?usage: build.sh --print-ref NAME}"; exit ;;
  '' | -h | --help) sed -n '2,/^source/{/^#/s/^# \?//p}' "$0"; exit ;;
esac

tool=$(builder)
if [[ $tool == buildah ]]; then
  "$REPO/hack/images/install-packages.sh"
  use_buildah_storage
fi
# make exports the variable empty where nobody set it
ca_bundle=${PFD_CA_BUNDLE:-${SSL_CERT_FILE:-}}
[[ -z $ca_bundle || -r $ca_bundle ]] || die "PFD_CA_BUNDLE: cannot read $ca_bundle"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for name; do
  build "$name"
  [[ -z ${REGISTRY:-} ]] || push "$ref"
  echo "$ref"
done
