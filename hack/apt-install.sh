#!/usr/bin/env bash
# Installs Debian packages, as root.
#   apt-install.sh LOG PACKAGE…
# Cluster and image builder ask for theirs at the same time, and `apt-get update` does not wait for its own lock.
set -euo pipefail
# dpkg refuses to work without it, and plain `su` leaves it out
export PATH=$PATH:/usr/sbin:/sbin
log=$1
shift
printf 'installing %s\n' "$*" >&2
install() {
  flock 9
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}
install "$@" 9>"${PFD_CACHE:-$HOME/.cache/pfd-operator}/apt.lock" >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; printf 'error: apt-get failed, see %s\n' "$log" >&2; exit 1; }
