#!/bin/sh
# SPDX-License-Identifier: MIT
# What a release consists of, made of what is committed: dist.sh tarball | deb
# The result lies in dist/, with SHA256SUMS of all files there. The same commit makes the same bytes.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
name=agent-runner
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$top/meson.build")
dist=${DIST:-$top/dist}

fail() {
	echo "dist.sh: $*" >&2
	exit 1
}

# A checkout may be another user's.
git_here() {
	git -c safe.directory="$top" -C "$top" "$@"
}

export_tree() { # tar on stdout; times are the commit's
	git_here archive --format=tar --prefix="$name-$version/" HEAD
}

write_sums() {
	(cd "$dist" && rm -f SHA256SUMS && LC_ALL=C && export LC_ALL && sha256sum -- * >.sums &&
		mv .sums SHA256SUMS)
	echo "dist.sh: $dist: $(cd "$dist" && echo *)"
}

make_tarball() {
	# A pipe would hide a failure of git's.
	export_tree >"$work/tar"
	gzip -9n <"$work/tar" >"$dist/$name-$version.tar.gz"
}

make_deb() {
	export_tree >"$work/tar"
	tar -C "$work" -xf "$work/tar"
	(cd "$work/$name-$version" && dpkg-buildpackage -b -us -uc) >"$work/log" 2>&1 || {
		tail -n 40 "$work/log" >&2
		fail "dpkg-buildpackage failed"
	}
	mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$dist"
}

[ $# -eq 1 ] || fail "what? tarball | deb"
[ -n "$version" ] || fail "meson.build names no version"
git_here rev-parse -q --verify HEAD >/dev/null || fail "$top is no git checkout"
[ -z "$(git_here status --porcelain)" ] ||
	echo "dist.sh: warning: what is not committed is not in it" >&2
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git_here log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$dist"
case "$1" in
tarball) make_tarball ;;
deb) make_deb ;;
*) fail "what is \"$1\"? tarball | deb" ;;
esac
write_sums
