#!/bin/sh
# SPDX-License-Identifier: MIT
# The packages that each job needs, and their installation: tools/packages.sh JOB…
# Says what is missing before it installs it. Does nothing, and needs no network, if nothing is.
# A row is a Debian or Ubuntu package; PACKAGE/COMMAND is satisfied by any COMMAND in the PATH too.
set -eu

packages_build="gcc/cc libc6-dev meson/meson ninja-build/ninja pkg-config/pkg-config python3
	libsqlite3-dev libjansson-dev libseccomp-dev libcap-dev"
packages_static="zlib1g-dev"
# Debian's names of another architecture's packages.
packages_cross_arm64="gcc-aarch64-linux-gnu/aarch64-linux-gnu-gcc libc6-dev:arm64 libsqlite3-dev:arm64
	libjansson-dev:arm64 libseccomp-dev:arm64 libcap-dev:arm64 zlib1g-dev:arm64"
# With its unit tests; qemu-user-static runs its programs.
packages_arm64="$packages_cross_arm64 libcmocka-dev:arm64 qemu-user-static/qemu-aarch64-static"
packages_deb="debhelper/dh dpkg-dev/dpkg-buildpackage fakeroot/fakeroot lintian/lintian git/git
	man-db/man libcmocka-dev strace/strace tzdata"
packages_demo="python3"
packages_test="clang/clang libclang-rt-dev clang-format/clang-format libcmocka-dev python3-pytest
	mandoc/mandoc strace/strace procps/ps git/git tzdata shellcheck/shellcheck"
packages_faults="python3 util-linux mount e2fsprogs"
packages_fuzz="clang/clang libclang-rt-dev"
packages_npm="nodejs/node npm/npm"
packages_container="podman/podman runc/runc mmdebstrap/mmdebstrap debian-archive-keyring
	uidmap/newuidmap"
packages_tools="chromium/chromium gcc/gcc libc6-dev make/make gdb/gdb strace/strace git/git jq/jq
	ripgrep/rg openssh-client/ssh-keygen python3-venv procps/ps"
packages_deploy="docker-compose/docker-compose kubernetes-client/kubectl catatonit/catatonit
	yamllint/yamllint python3-yaml"
packages_judges="libcap2-bin/capsh libcap-ng-utils/pscap checksec/checksec seccomp/scmp_sys_resolver
	binutils/readelf stress-ng/stress-ng lynis/lynis"
packages_bench="gcc/cc tini/tini dumb-init/dumb-init catatonit/catatonit"

jobs="build static cross-arm64 arm64 deb demo test fuzz faults npm container tools deploy judges bench"

fail() {
	echo "packages.sh: $*" >&2
	exit 1
}

is_there() { # PACKAGE[/COMMAND]
	case "$1" in
	*/*) command -v "${1#*/}" >/dev/null 2>&1 && return 0 ;;
	esac
	status=$(dpkg-query -W -f '${db:Status-Abbrev}' "${1%%/*}" 2>/dev/null) || return 1
	[ "${status#ii}" != "$status" ]
}

[ $# -gt 0 ] || fail "which job? $jobs"
missing=
for job in "$@"; do
	case "$job" in
	build) rows=$packages_build ;;
	static) rows=$packages_static ;;
	cross-arm64) rows=$packages_cross_arm64 ;;
	arm64) rows=$packages_arm64 ;;
	deb) rows=$packages_deb ;;
	demo) rows=$packages_demo ;;
	test) rows=$packages_test ;;
	faults) rows=$packages_faults ;;
	fuzz) rows=$packages_fuzz ;;
	npm) rows=$packages_npm ;;
	container) rows=$packages_container ;;
	tools) rows=$packages_tools ;;
	deploy) rows=$packages_deploy ;;
	judges) rows=$packages_judges ;;
	bench) rows=$packages_bench ;;
	*) fail "there is no job \"$job\"; there are: $jobs" ;;
	esac
	for row in $rows; do
		is_there "$row" || missing="$missing ${row%%/*}"
	done
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null 2>&1 ||
	fail "this is not Debian or Ubuntu; install the counterparts of these packages:$missing"
as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null 2>&1 ||
		fail "neither root nor sudo; as root run: apt-get install$missing"
	as_root=sudo
fi
echo "To be installed with apt-get, for $*:$missing"
export DEBIAN_FRONTEND=noninteractive
case "$missing" in
*:arm64*) $as_root dpkg --add-architecture arm64 || fail "dpkg --add-architecture arm64 failed" ;;
esac
$as_root apt-get update -qq || fail "apt-get update failed; is the network there?"
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive \
	apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 $missing ||
	fail "apt-get could not install:$missing"
