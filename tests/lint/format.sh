#!/bin/sh
# SPDX-License-Identifier: MIT
# clang-format's output is law.
set -eu
cd "$(dirname "$0")/../.."
find common entrypoint runner tests bench tools -name '*.[ch]' -print0 |
	xargs -0 clang-format --dry-run --Werror && echo "format: ok"
