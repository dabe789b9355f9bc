#!/usr/bin/env bash
# Runs a command in an image, with this work tree at /src (writable) and its Python code first on the path, so that tests of
# code that needs torch or an engine run from source, without a rebuild. Builds the image where it is missing.
#   run-in.sh [-v HOST:CONTAINER[:ro]]… [-e NAME=VALUE]… NAME CMD…
# NAME is a name of images.tsv (worker-test-deps has torch, deepmd-kit, SevenNet, pytest and none of our code) or a full
# reference. Runs as root with the host's network in /src; exit code, standard input and output are the command's.
source "$(dirname "$0")/env.sh"

volumes=()
variables=(-e HOME=/tmp -e PYTHONPATH=/src/operator:/src/images/worker -e OMPI_ALLOW_RUN_AS_ROOT=1
  -e OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
while getopts v:e: option; do
  case $option in
    v) volumes+=(-v "$OPTARG") ;;
    e) variables+=(-e "$OPTARG") ;;
    *) die "usage: run-in.sh [-v HOST:CONTAINER]… [-e NAME=VALUE]… NAME CMD…" ;;
  esac
done
shift $((OPTIND - 1))
[[ $# -ge 2 ]] || die "usage: run-in.sh [-v HOST:CONTAINER]… [-e NAME=VALUE]… NAME CMD…"
name=$1
shift
if [[ $name == *:* ]]; then ref=$name
else ref=$("$REPO/hack/images/build.sh" "$name")
fi

if [[ $(builder) == docker ]]; then
  exec docker run --rm -i --network host --user 0 --entrypoint "" -v "$REPO:/src" -w /src "${volumes[@]}" "${variables[@]}" \
    "$ref" "$@"
fi

use_buildah_storage
# A run that was killed outright could not clean up; the name tells whose container it was.
for stale in $(buildah containers --format '{{.ContainerName}}' | grep '^pfd-run-' || true); do
  [[ -d /proc/${stale#pfd-run-} ]] || buildah rm "$stale" >/dev/null 2>&1 || true
done
container=$(buildah from --pull-never --name "pfd-run-$$" "$ref")
# A signal to this script must end the command and still remove the container, else its mounts stay.
trap 'buildah rm "$container" >/dev/null' EXIT
trap 'kill -TERM "$child" 2>/dev/null; wait "$child" || true; exit 143' TERM INT
settings=()
for pair in "${variables[@]}"; do [[ $pair == -e ]] || settings+=("$pair"); done
buildah run --isolation chroot --user 0 --workingdir /src -v "$REPO:/src" "${volumes[@]}" \
  "$container" -- env "${settings[@]}" "$@" <&0 &
child=$!
code=0
wait "$child" || code=$?
exit "$code"
