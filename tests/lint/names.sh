#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a module exports begins with the module's name. A module is a header;
# a file that has none belongs to the module whose name begins its own
# (store_note.c to store). names.sh OBJECT_FOLDER
set -u
out=${1:?usage: names.sh OBJECT_FOLDER}
cd "$(dirname "$0")/../.." || exit 2
bad=0

# Names that carry the spelling of a neighbour on purpose.
also() {
	case $1 in
	kernels/ref) echo "repo_" ;;
	kernels/tree | kernels/tree_builder) echo "tree_" ;;
	kernels/digest) echo "hasher_" ;;
	kernels/ingest | kernels/ingest_parts) echo "store_ingest ingest_" ;;
	kernels/base/text) echo "cursor_" ;;
	resolver/lockfile | resolver/lockfile_*) echo "lock_" ;;
	resolver/choose) echo "decisions_ choose" ;;
	fs/options | fs/options_*) echo "option_" ;;
	fs/cli/main) echo "main" ;;
	fs/cli/verb_cache | fs/cli/verb_cache_*) echo "cache_" ;;
	esac
}

for o in $(find "$out/kernels" "$out/resolver" "$out/fs" -name '*.o'); do
	module=${o#"$out"/}
	module=${module%.o}
	[ -f "$module.c" ] || continue # what has left the house
	base=$(basename "$module")
	stem=${base%%_*}
	for s in $(nm -g --defined-only "$o" | awk '$2 != "U" {print $3}'); do
		ok=0
		for prefix in "$base" "auto_$base" "$stem" $(also "$module"); do
			case $s in "$prefix" | "${prefix%_}"_*) ok=1 ;; esac
		done
		[ $ok = 1 ] || { echo "names: $module exports $s"; bad=1; }
	done
done
exit $bad
