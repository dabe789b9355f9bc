# shellcheck shell=bash
# Shared by the scripts of this folder: where things are cached. Sourced, never run.
set -euo pipefail

# shellcheck disable=SC2034
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PFD_CACHE=${PFD_CACHE:-$HOME/.cache/pfd-operator}
BIN=$PFD_CACHE/bin
mkdir -p "$BIN"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
need_go() { command -v go >/dev/null || die "$1 is built from source and needs Go 1.25 or newer: install it (https://go.dev/dl) and try again"; }
