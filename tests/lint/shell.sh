#!/bin/sh
# SPDX-License-Identifier: MIT
# What shellcheck says about our shell scripts.
set -eu
cd "$(dirname "$0")/../.."
command -v shellcheck >/dev/null || {
	echo "shell: not checked, there is no shellcheck"
	exit 77
}
find .ci bench docs tests tools \( -name '*.sh' -o -path .ci/run \) -print0 |
	xargs -0 shellcheck --severity=warning && echo "shell: ok"
