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
exec "$HERE/../apt-install.sh" "$BIN/apt.log" "${missing[@]}"
