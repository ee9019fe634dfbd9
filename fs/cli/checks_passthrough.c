/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Could the kernel read files by itself (fs/backing.h), for who asks?
 */
#include "checks.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "fs/options.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SMALL_FILE_MAX 65536
#define MAGIC_OVERLAYFS 0x794c7630

/* Of "6.12.3-amd64": 6 and 12; false when it is written otherwise. */
static bool kernel_is(const char *release, uint64_t major, uint64_t minor)
{
	char part[2][16] = { "", "" };
	uint64_t found[2];

	for (int i = 0; i < 2; i++) {
		size_t n = strspn(release, "0123456789");

		(void)snprintf(part[i], sizeof(part[i]), "%.*s",
			       n < 16 ? (int)n : 15, release);
		release += n + (release[n] == '.');
		if (text_to_u64(part[i], UINT32_MAX, &found[i]) < 0)
			return false;
	}
	return found[0] > major || (found[0] == major && found[1] >= minor);
}

/* May this process hand files to the kernel? Root of a user namespace may
 * not. */
static bool may_register(void)
{
	AUTO(auto_text) struct text map = TEXT_INIT(SMALL_FILE_MAX);
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	memset(caps, 0, sizeof(caps));
	if (syscall(SYS_capget, &head, caps) < 0 ||
	    !(caps[0].effective & 1u << CAP_SYS_ADMIN))
		return false;
	/* The first one maps every number there is. */
	return io_read_file(AT_FDCWD, "/proc/self/uid_map", &map) < 0 ||
	       strstr(text_str(&map), "4294967295");
}

static const char *no_passthrough(const char **hint)
{
	struct utsname u;

	*hint = "";
	if (uname(&u) == 0 && !kernel_is(u.release, 6, 9)) {
		*hint = "it needs Linux 6.9 or later";
		return "this kernel does not offer it";
	}
	if (!may_register()) {
		*hint = "let root mount, for instance by /etc/fstab with "
			"allow_other";
		return "it takes CAP_SYS_ADMIN outside of user namespaces";
	}
	return NULL;
}

/* Only an error for who requires it: everything is served without. */
void checks_passthrough(struct checks *c)
{
	const char *wish = c->o->passthrough;
	const char *hint = "";
	const char *why;
	struct statfs fs;

	if (!strcmp(wish, "off")) {
		(void)checks_add(c, "passthrough", true, "switched off");
		return;
	}
	why = no_passthrough(&hint);
	if (why) {
		checks_hint(checks_add(c, "passthrough",
				       strcmp(wish, "require") != 0,
				       "a mount of yours reads files through "
				       "its daemon: %s",
				       why),
			    "%s", hint);
		return;
	}
	if (statfs(c->o->cache, &fs) == 0 &&
	    (unsigned long)fs.f_type == MAGIC_OVERLAYFS)
		(void)checks_add(c, "passthrough", true,
				 "the kernel can read files by itself; the "
				 "cache is on overlayfs, so a mount cannot be "
				 "a layer of another one");
	else
		(void)checks_add(c, "passthrough", true,
				 "the kernel can read files by itself");
}
