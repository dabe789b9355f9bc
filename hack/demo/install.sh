#!/usr/bin/env bash
# Installs (or upgrades) the chart with the images of this checkout, for trying it out: its S3 has no volume. The examples
# name its address, so release and namespace are fixed.
# IMAGES: what make has built; with worker-sevennet among them, that is the image of teachers that are calculators. Without
# it the release keeps the one that it has: jobs may be running with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
release=pfd-operator namespace=pfd-system
kubeconfig=$(hack/devcluster/cluster.sh kubeconfig)
helm() { "$PFD_CACHE/bin/helm" --kubeconfig "$kubeconfig" --namespace "$namespace" "$@"; }
ref() { hack/images/build.sh --print-ref "$1"; }

# Of any other release the S3 server would begin anew without its volume, and namespaces would lose their keys.
installed=$(helm list --all --short --filter "^$release\$")
if [[ -n $installed ]] && ! helm get values "$release" --output json | python3 -c '
import json, sys
s3 = (json.load(sys.stdin) or {}).get("s3") or {}
ours = (s3.get("persistence") or {}).get("enabled") is False and set(s3.get("secretNamespaces") or []) <= {"pfd-demo", "pfd-e2e"}
sys.exit(0 if ours else 1)'; then
  cat >&2 <<REFUSED
error: release $release in namespace $namespace is not one that make install has made. It would get an S3 server without
a volume, and other images. Nothing was changed. Upgrade it with your own values:
  helm upgrade $release charts/pfd-operator --namespace $namespace --values values.yaml
REFUSED
  exit 1
fi

calculators=()
[[ " ${IMAGES:-} " != *" worker-sevennet "* ]] || calculators=(--set images.calculators="$(ref worker-sevennet)")
# Where the demo and the end-to-end tests put their jobs: under the restricted profile, with the keys of the chart's S3.
for jobs in pfd-demo pfd-e2e; do
  "$PFD_CACHE/bin/kubectl" --kubeconfig "$kubeconfig" apply -f - >/dev/null <<NAMESPACE
apiVersion: v1
kind: Namespace
metadata: {name: $jobs, labels: {pod-security.kubernetes.io/enforce: restricted}}
NAMESPACE
done
helm upgrade --install "$release" charts/pfd-operator --create-namespace --wait --timeout 5m --reset-then-reuse-values \
  --set images.operator="$(ref operator)" --set images.worker="$(ref worker)" --set images.s3="$(ref s3)" \
  --set images.engines.abinit="$(ref abinit)" "${calculators[@]}" \
  --set s3.enabled=true --set s3.persistence.enabled=false --set 's3.secretNamespaces={pfd-demo,pfd-e2e}'
