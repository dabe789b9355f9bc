#!/usr/bin/env bash
# Builds devcluster into the cache, unless these very sources were built already, and prints the program's path.
# Cold 8 minutes on two cores, of which nearly all is Kubernetes; after a change here, seconds.
source "$(dirname "$0")/env.sh"

KUBERNETES=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$HERE/go.mod")
# Without these the components call themselves v0.0.0-master, and kubectl warns of version skew.
FLAGS="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  FLAGS+=" -X $package.gitVersion=$KUBERNETES -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES")"
done

sources_hash() {
  cd "$HERE" && find . \( -name '*.go' -o -name 'go.*' -o -path './internal/cluster/config/*' -o -name build.sh \) \
    ! -name '*_test.go' -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12
}

build() {
  local building=$BIN/devcluster.building started=$SECONDS
  rm -rf "$building"
  mkdir "$building"
  # && between all: `set -e` does not hold in what stands before ||
  (
    cd "$HERE" &&
      CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$building/pause" ./cmd/pause &&
      go build -trimpath -ldflags "$FLAGS" -o "$building/devcluster" .
  ) >"$BIN/devcluster-build.log" 2>&1 || { tail -n 20 "$BIN/devcluster-build.log" >&2; die "build failed, see $BIN/devcluster-build.log"; }
  [[ $(sources_hash) == "$hash" ]] || die "the sources of devcluster changed while it was built: run this again"
  mv "$building" "$1"
  say "built in $((SECONDS - started)) s"
}

hash=$(sources_hash)
target=$BIN/devcluster-$hash
if [[ ! -x $target/devcluster ]]; then
  need_go devcluster
  exec 9>"$BIN/devcluster.lock"
  flock 9
  if [[ ! -x $target/devcluster ]]; then # nobody built it while we waited
    say "building devcluster (Kubernetes $KUBERNETES; about 8 minutes the first time)"
    build "$target"
  fi
fi
ln -sfn "devcluster-$hash/devcluster" "$BIN/devcluster"
echo "$target/devcluster"
