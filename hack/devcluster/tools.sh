#!/usr/bin/env bash
# Puts programs into $PFD_CACHE/bin: the one on PATH if there is one that will do, else built from source, under its version
# and with a link without it. Prints the path without a version.
#   tools.sh helm | kubectl | versitygw
source "$(dirname "$0")/env.sh"
HELM_VERSION=v3.22.0
HELM_AT_LEAST=v3.14 # knows --reset-then-reuse-values, see hack/demo/install.sh

link() { ln -sfn "$2" "$BIN/$1"; }

link_helm_on_path() {
  local present version
  while read -r present; do
    # our own link, however PATH spells it, would be linked to itself
    [[ $(dirname "$present") -ef $BIN ]] && continue
    version=$("$present" version --template '{{.Version}}') || return
    printf '%s\n' "$HELM_AT_LEAST" "$version" | sort -VC && link helm "$present"
    return
  done < <(type -ap helm)
  return 1
}

# Who comes second waits for the first, and nobody sees half a file.
build() {
  local name=${1##*/} version=${1#*@} building
  name=${name%@*}
  if [[ ! -x $BIN/$name-$version ]]; then
    need_go "$name"
    exec 9>"$BIN/$name.lock"
    flock 9
    if [[ ! -x $BIN/$name-$version ]]; then # nobody built it while we waited
      say "building $name $version"
      building=$(mktemp -d "$BIN/$name.XXXXXX")
      GOBIN=$building GOFLAGS=-trimpath GOTOOLCHAIN=auto go install "$1" >"$BIN/$name-build.log" 2>&1 ||
        { rm -r "$building"; tail -n 20 "$BIN/$name-build.log" >&2; die "build failed, see $BIN/$name-build.log"; }
      mv "$building/$name" "$BIN/$name-$version"
      rmdir "$building"
    fi
  fi
  link "$name" "$name-$version"
}

case ${1:-} in
  helm) link_helm_on_path || build "helm.sh/helm/v3/cmd/helm@$HELM_VERSION" ;;
  kubectl)
    if [[ ! -x $BIN/kubectl ]]; then
      # devcluster is kubectl when it is called by that name.
      present=$(command -v kubectl) || present=$("$HERE/build.sh")
      link kubectl "$present"
    fi
    ;;
  # the version is that of the image
  versitygw) CGO_ENABLED=0 build "$(grep -o 'github\.com/versity/versitygw/.*@v[0-9.]*' "$HERE/../../images/s3/Dockerfile")" ;;
  *) die "usage: tools.sh helm | kubectl | versitygw" ;;
esac
echo "$BIN/$1"
