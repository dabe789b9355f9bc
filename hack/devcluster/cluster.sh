#!/usr/bin/env bash
# One way to say up, down, status and kubeconfig for the three kinds of cluster that CLUSTER chooses from.
#   CLUSTER=embedded|kind|current cluster.sh up|down|status|kubeconfig
#   cluster.sh default         prints the kind that suits this machine
source "$(dirname "$0")/env.sh"

default_kind() {
  if command -v kind >/dev/null && command -v docker >/dev/null && docker info >/dev/null 2>&1; then echo kind; else echo embedded; fi
}

embedded() {
  [[ $1 != up ]] || "$HERE/install-packages.sh"
  "$HERE/devcluster.sh" "$@"
}

kind_cluster() {
  local name=${KIND_CLUSTER:-pfd}
  local config=$PFD_CACHE/kind-$name.kubeconfig
  command -v kind >/dev/null || die "CLUSTER=kind needs kind (https://kind.sigs.k8s.io) and a Docker engine; CLUSTER=embedded needs neither"
  case $1 in
    up)
      kind get clusters 2>/dev/null | grep -qx "$name" || kind create cluster --name "$name" --wait 120s --kubeconfig "$config"
      kind get kubeconfig --name "$name" >"$config"
      ;;
    down) kind delete cluster --name "$name" --kubeconfig "$config" ;;
    status) "$("$HERE/tools.sh" kubectl)" --kubeconfig "$config" get nodes ;;
    kubeconfig) echo "$config" ;;
  esac
}

current() {
  case $1 in
    up | status) "$("$HERE/tools.sh" kubectl)" get --raw /readyz >/dev/null || die "the current context does not answer: kubectl config current-context" ;;
    down) say "CLUSTER=current: your cluster is left alone" ;;
    kubeconfig) echo "${KUBECONFIG:-$HOME/.kube/config}" ;;
  esac
}

action=${1:-}
case $action in
  default) default_kind; exit ;;
  up | down | status | kubeconfig) ;;
  *) die "usage: cluster.sh up|down|status|kubeconfig|default" ;;
esac
case ${CLUSTER:-$(default_kind)} in
  embedded) embedded "$action" ;;
  kind) kind_cluster "$action" ;;
  current) current "$action" ;;
  *) die "CLUSTER=$CLUSTER: it is embedded, kind or current" ;;
esac
