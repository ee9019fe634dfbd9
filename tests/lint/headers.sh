#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each header compiles alone.
set -u
cd "$(dirname "$0")/../.." || exit 2
flags=$(pkg-config --cflags fuse3 libcurl libgit2 libelf libcjson libcrypto libxxhash)
bad=0
for h in $(find kernels resolver fs -name '*.h'); do
	# shellcheck disable=SC2086
	gcc -std=gnu11 -fsyntax-only -Wall -Wextra -I. -Ikernels -D_GNU_SOURCE \
		-DFUSE_USE_VERSION=314 $flags -include stddef.h -x c "$h" || bad=1
done
exit $bad
