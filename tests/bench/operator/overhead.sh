#!/usr/bin/env bash
# Installs an operator of its own beside whatever else is in the cluster, measures what it adds, and takes it away again.
#   overhead.sh PYTHON [arguments of tests.bench.operator.overhead]
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=$1
shift
export KUBECONFIG
KUBECONFIG=$(hack/devcluster/cluster.sh kubeconfig)
kubectl=$PFD_CACHE/bin/kubectl helm=$PFD_CACHE/bin/helm
system=pfd-bench-system jobs=pfd-bench
others=$("$kubectl" get clusterroles -l app.kubernetes.io/name=pfd-operator -o name)
if [[ -n $others ]]; then
  echo "error: $others: an operator that serves the whole cluster would run the same jobs; take it away first" >&2
  exit 1
fi
clean_up() {
  "$helm" uninstall pfd-bench --namespace "$system" --ignore-not-found >/dev/null
  "$kubectl" delete namespace "$jobs" "$system" --ignore-not-found --wait=false >/dev/null
}
trap clean_up EXIT
for namespace in "$jobs" "$system"; do
  "$kubectl" create namespace "$namespace" --dry-run=client -o yaml | "$kubectl" apply -f - >/dev/null
done
# definitions are the cluster's: those of another release stay as they are, and what was missing goes with this one
crds=false
"$kubectl" get crd finetunejobs.pfd.dev >/dev/null 2>&1 || crds=true
"$helm" upgrade --install pfd-bench charts/pfd-operator --namespace "$system" --wait --timeout 5m \
  --set crds.enabled=$crds --set crds.keep=false --set "namespaces={$jobs}" --set s3.enabled=false \
  --set images.operator="$(hack/images/build.sh --print-ref operator)" \
  --set images.worker="$(hack/images/build.sh --print-ref worker-bench)" >/dev/null
"$python" -m tests.bench.operator.overhead --namespace "$jobs" "$@"
