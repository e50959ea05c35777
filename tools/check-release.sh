#!/bin/sh
# SPDX-License-Identifier: MIT
# Is this tag what the files say? tools/check-release.sh vX.Y.Z
# meson.build has the version, and NEWS.md starts with it and no longer says "not yet released".
set -eu

cd "$(dirname "$0")/.."

fail() {
	echo "check-release.sh: $*" >&2
	exit 1
}

[ $# -eq 1 ] || fail "which tag? check-release.sh vX.Y.Z"
tag=$1
version=$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)
news=$(sed -n 's/^## //p' NEWS.md | head -n 1)
[ "$tag" = "v$version" ] ||
	fail "the tag is $tag, but meson.build has the version $version: change one of them"
case "$news" in
*"not yet released"*) fail "NEWS.md says \"$news\": remove \"(not yet released)\"" ;;
"$version" | "$version "*) ;;
*) fail "the top of NEWS.md is \"$news\", not $version: write what is new" ;;
esac
