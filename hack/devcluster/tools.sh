#!/usr/bin/env bash
# Puts client programs into $PFD_CACHE/bin: the one on PATH if there is one, else built from source. Prints its path.
#   tools.sh helm | kubectl
source "$(dirname "$0")/env.sh"
HELM_VERSION=v3.22.0

case ${1:-} in
  helm)
    if [[ ! -x $BIN/helm ]]; then
      if present=$(command -v helm); then
        ln -sfn "$present" "$BIN/helm"
      else
        need_go helm
        say "building helm $HELM_VERSION"
        GOBIN=$BIN GOFLAGS=-trimpath go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION" >"$BIN/helm-build.log" 2>&1 ||
          { tail -n 20 "$BIN/helm-build.log" >&2; die "build failed, see $BIN/helm-build.log"; }
      fi
    fi
    ;;
  kubectl)
    if [[ ! -x $BIN/kubectl ]]; then
      # devcluster is kubectl when it is called by that name.
      present=$(command -v kubectl) || present=$("$HERE/build.sh")
      ln -sfn "$present" "$BIN/kubectl"
    fi
    ;;
  *) die "usage: tools.sh helm | kubectl" ;;
esac
echo "$BIN/$1"
