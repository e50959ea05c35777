#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles alone.
set -eu
cd "$(dirname "$0")/../.."
status=0
# shellcheck disable=SC2044 # no blank in a header's name
for header in $(find common entrypoint runner -name '*.h'); do
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -I. -Ibuild -fsyntax-only -x c "$header" 2>/tmp/headers.$$ ||
		{ echo "$header does not compile alone:"; cat /tmp/headers.$$; status=1; }
done
rm -f /tmp/headers.$$
[ "$status" -eq 0 ] && echo "headers: ok"
exit "$status"
