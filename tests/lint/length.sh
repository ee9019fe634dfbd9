#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Small rooms: no source over 800 lines, no line over 80 columns, one licence
# line first, nothing of the workplace in the project.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
for f in $(git ls-files '*.c' '*.h' '*.py' '*.sh' Makefile); do
	[ -f "$f" ] || continue
	n=$(wc -l <"$f")
	[ "$n" -le 800 ] || { echo "length: $f has $n lines"; bad=1; }
	head -2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || {
		echo "length: $f has no licence line"
		bad=1
	}
done
for f in $(git ls-files 'fs/*.[ch]' 'resolver/*.[ch]' 'kernels/*.[ch]'); do
	[ -f "$f" ] || continue
	expand -t8 "$f" | awk -v f="$f" 'length($0) > 80 {
		printf "length: %s:%d has %d columns\n", f, NR, length($0)
		bad = 1 } END { exit bad }' || bad=1
done
exit $bad
