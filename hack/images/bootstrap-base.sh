#!/usr/bin/env bash
# Makes localhost/debian:<suite>-slim from Debian's own packages, for machines that reach no container registry.
# Usage: bootstrap-base.sh SUITE          (trixie | bookworm; needs root, debootstrap and buildah)
# PFD_DEBIAN_MIRROR names another mirror than debootstrap's default.
source "$(dirname "$0")/env.sh"
use_buildah_storage

suite=${1:?usage: bootstrap-base.sh SUITE}
image=localhost/debian:$suite-slim
exec 9>"$IMAGE_CACHE/base-$suite.lock"
flock 9
buildah inspect --type image "$image" >/dev/null 2>&1 && exit 0
[[ $(id -u) == 0 ]] || die "debootstrap needs root: run as root, or install a docker engine"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"

rootfs=$(mktemp -d "$IMAGE_CACHE/rootfs-$suite.XXXXXX")
log=$IMAGE_CACHE/debootstrap-$suite.log
trap 'rm -rf "$rootfs"' EXIT
started=$SECONDS
# fsync after every unpacked file is what makes debootstrap slow; the tree is thrown away when anything fails.
nosync=()
command -v eatmydata >/dev/null && nosync=(eatmydata)
"${nosync[@]}" debootstrap --variant=minbase "$suite" "$rootfs" ${PFD_DEBIAN_MIRROR:+"$PFD_DEBIAN_MIRROR"} >"$log" 2>&1 ||
  { tail -n 20 "$log" >&2; die "debootstrap $suite failed, see $log"; }

# What Debian's own slim images leave out, and keep leaving out of later installs.
cat >"$rootfs/etc/dpkg/dpkg.cfg.d/slim" <<'CFG'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
force-unsafe-io
CFG
cat >"$rootfs/etc/apt/apt.conf.d/slim" <<'CFG'
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
CFG
find "$rootfs/usr/share/doc" -mindepth 2 ! -name copyright ! -type d -delete
rm -rf "$rootfs"/usr/share/{man,info,locale,lintian}/* "$rootfs"/var/lib/apt/lists/* "$rootfs"/var/cache/apt/* \
  "$rootfs"/var/log/* "$rootfs/etc/resolv.conf" "$rootfs/etc/hostname"
mkdir -p "$rootfs/var/cache/apt/archives/partial"

container=$(buildah from scratch)
buildah add -q "$container" "$rootfs" / >/dev/null
buildah config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit -q --rm "$container" "$image" >/dev/null
say "base image $image: $((SECONDS - started)) s"
