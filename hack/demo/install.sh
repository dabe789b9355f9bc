#!/usr/bin/env bash
# Installs (or upgrades) the chart with the images of this checkout.   install.sh RELEASE NAMESPACE
# IMAGES: what make has built; with worker-sevennet among them, that is the image of teachers that are calculators. Without
# it the release keeps the one that it has: jobs may be running with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
release=$1 namespace=$2
kubeconfig=$(hack/devcluster/cluster.sh kubeconfig)
ref() { hack/images/build.sh --print-ref "$1"; }
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
"$PFD_CACHE/bin/helm" upgrade --install "$release" charts/pfd-operator --kubeconfig "$kubeconfig" \
  --namespace "$namespace" --create-namespace --wait --timeout 5m --reset-then-reuse-values \
  --set images.operator="$(ref operator)" --set images.worker="$(ref worker)" --set images.s3="$(ref s3)" \
  --set images.engines.abinit="$(ref abinit)" "${calculators[@]}" \
  --set s3.enabled=true --set s3.persistence.enabled=false --set 's3.secretNamespaces={pfd-demo,pfd-e2e}'
