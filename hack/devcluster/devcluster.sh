#!/usr/bin/env bash
# Runs devcluster, building it first if need be: devcluster.sh up, devcluster.sh --help, …
program=$("$(dirname "$0")/build.sh") || exit
exec "$program" "$@"
