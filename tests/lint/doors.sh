#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each library has one door, and banned functions have none. Reads what the
# objects really call: doors.sh OBJECT_FOLDER
set -u
out=${1:?usage: doors.sh OBJECT_FOLDER}
cd "$(dirname "$0")/../.." || exit 2
bad=0

# library's symbols (extended regex), then the objects that may call them
doors() {
	cat <<'LIST'
fuse_[a-z_]+	fs/
curl_[a-z_]+	none
cJSON_[A-Za-z]+	kernels/base/json.o
XXH[0-9A-Z_a-z]+	kernels/base/map.o kernels/digest.o
(elf|gelf)[0-9]*_[a-z0-9]+	kernels/elf
(EVP|SHA|OPENSSL)_[A-Za-z0-9_]+	kernels/digest.o
dlopen|dlsym	kernels/http/http_load.o kernels/git/gitlib.o
git_[a-z_]+	none
LIST
}

banned='(strcpy|strcat|stpcpy|strncpy|sprintf|vsprintf|gets|strtok|atoi|atol'
banned="$banned|atof|strtol|strtoul|strtoll|strtoull|gmtime|localtime|ctime"
banned="$banned|system|popen|tmpnam|mktemp|sleep|usleep|nanosleep)"

for o in $(find "$out/kernels" "$out/resolver" "$out/fs" -name '*.o'); do
	name=${o#"$out"/}
	[ -f "${name%.o}.c" ] || continue # what has left the house
	calls=$(nm -u "$o" | awk '{print $2}' | sed 's/@.*//')
	hit=$(echo "$calls" | grep -xE "(__)?(isoc99_|isoc23_)?$banned(_chk)?")
	for h in $hit; do
		echo "doors: $name calls banned $h"
		bad=1
	done
	while IFS='	' read -r symbols rooms; do
		hit=$(echo "$calls" | grep -xE "$symbols" | head -1)
		[ -n "$hit" ] || continue
		ok=0
		for r in $rooms; do
			case $name in "$r"*) ok=1 ;; esac
		done
		[ $ok = 1 ] || { echo "doors: $name calls $hit, whose door" \
			"is: $rooms"; bad=1; }
	done <<-LIST
	$(doors)
	LIST
done
exit $bad
