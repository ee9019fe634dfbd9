#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No file looks up: fs -> resolver -> kernels -> kernels/http -> kernels/base.
# Reads the include lines; a room of the same floor may be named, but nobody
# looks into kernels/git and kernels/dir: they are sources like any other.
set -u
cd "$(dirname "$0")/../.." || exit 2

floor_of() { # path of a header or source, from the root
	case $1 in
	kernels/base/*) echo 0 ;;
	kernels/http/*) echo 1 ;;
	kernels/*) echo 2 ;;
	resolver/*) echo 3 ;;
	fs/*) echo 4 ;;
	*) echo 9 ;;
	esac
}

where() { # file, included name -> path from the root
	dir=$(dirname "$1")
	for p in "$dir/$2" "$2" "kernels/$2"; do
		[ -f "$p" ] && { echo "$p"; return; }
	done
	echo "?$2"
}

bad=0
for f in $(find kernels resolver fs -name '*.[ch]'); do
	mine=$(floor_of "$f")
	for name in $(sed -n 's/^#include "\(.*\)"$/\1/p' "$f"); do
		path=$(where "$f" "$name")
		case $path in
		\?*) echo "floors: $f includes '$name', which is nowhere"
			bad=1; continue ;;
		esac
		case $path in
		kernels/git/* | kernels/dir/*)
			[ "$(dirname "$f")" = "$(dirname "$path")" ] || {
				echo "floors: $f looks into a source: $path"
				bad=1
			} ;;
		esac
		if [ "$(floor_of "$path")" -gt "$mine" ]; then
			echo "floors: $f (floor $mine) looks up at $path"
			bad=1
		fi
	done
done
exit $bad
