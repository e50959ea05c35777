#!/bin/sh
# SPDX-License-Identifier: MIT
# clang-format's output is law: version 14's, since each version lays out a few things in another way.
set -eu
cd "$(dirname "$0")/../.."
format=$(command -v clang-format-14 || command -v clang-format)
"$format" --version | grep -q 'version 14\.' || {
	echo "format: not checked, this is not version 14: $("$format" --version)"
	exit 77
}
find common entrypoint runner tests bench tools -name '*.[ch]' -print0 |
	xargs -0 "$format" --dry-run --Werror && echo "format: ok"
