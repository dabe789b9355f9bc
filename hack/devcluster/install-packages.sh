#!/usr/bin/env bash
# Installs the Debian packages a cluster with a node needs. Does nothing, at once, where all of it is there.
source "$(dirname "$0")/env.sh"

declare -A package_of=(
  [containerd]=containerd [ctr]=containerd [runc]=runc [conntrack]=conntrack [iptables]=iptables [socat]=socat [nft]=nftables
)
export PATH=$PATH:/usr/sbin:/sbin
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[[ -x /usr/lib/cni/bridge || -x /opt/cni/bin/bridge || -x /usr/libexec/cni/bridge ]] || missing+=(containernetworking-plugins)
[[ ${#missing[@]} -gt 0 ]] || exit 0

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  die "the embedded cluster needs ${missing[*]}: install them with your package manager, or use CLUSTER=kind or CLUSTER=current"
fi
say "installing ${missing[*]}"
# The image builder's packages are installed at the same time, and apt-get update does not wait for its lock.
install_missing() {
  flock 9
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}
install_missing 9>"$PFD_CACHE/apt.lock" >"$BIN/apt.log" 2>&1 || { tail -n 20 "$BIN/apt.log" >&2; die "apt-get failed, see $BIN/apt.log"; }
