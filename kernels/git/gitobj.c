/* SPDX-License-Identifier: Apache-2.0 */
#include "gitobj.h"

#include "base/err.h"
#include "base/text.h"
#include "kernels/digest.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

int gitobj_parse_id(uint8_t id[GITOBJ_ID], const char *hex)
{
	struct digest d;

	if (!text_is_hex(hex, 40) || digest_parse(&d, hex) < 0)
		return -EINVAL;
	memcpy(id, d.bytes, GITOBJ_ID);
	return 0;
}

void gitobj_print_id(const uint8_t id[GITOBJ_ID], char hex[41])
{
	struct digest d = { .kind = DIGEST_GIT };
	char room[DIGEST_HEX_MAX];

	memcpy(d.bytes, id, GITOBJ_ID);
	digest_print(&d, room);
	memcpy(hex, room, 41);
}

static int read_mode(const struct cursor *word, enum gitobj_kind *out)
{
	static const struct {
		const char *mode;
		enum gitobj_kind kind;
	} modes[] = {
		{ "100644", GITOBJ_FILE },   { "100755", GITOBJ_FILE },
		{ "100664", GITOBJ_FILE },   { "40000", GITOBJ_FOLDER },
		{ "040000", GITOBJ_FOLDER }, { "120000", GITOBJ_LINK },
		{ "160000", GITOBJ_MODULE },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		if (!cursor_equals(word, modes[i].mode))
			continue;
		*out = modes[i].kind;
		return 0;
	}
	return -EINVAL;
}

static bool is_step(const char *name, size_t n)
{
	if (n == 0 || n > NAME_MAX || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0 || strcasecmp(name, ".git") == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c == '/' || c < ' ' || c == 0x7f)
			return false;
	}
	return true;
}

int gitobj_next(struct cursor *tree, struct gitobj_entry *out, struct err *err)
{
	struct gitobj_entry e = { .kind = GITOBJ_FILE };
	struct cursor mode;
	struct cursor name;
	size_t n;

	if (cursor_done(tree))
		return 0;
	mode = cursor_until(tree, ' ');
	if (read_mode(&mode, &e.kind) < 0 || !cursor_skip_char(tree, ' '))
		return err_set(err, EIO, "an entry of unknown mode");
	name = cursor_until(tree, '\0');
	n = cursor_left(&name);
	if (n <= NAME_MAX)
		memcpy(e.name, name.p, n);
	if (!is_step(e.name, n))
		return err_set(err, EIO,
			       "an entry with the name '%.*s', which is no "
			       "plain step of a path",
			       n > 64 ? 64 : (int)n, name.p);
	if (!cursor_skip_char(tree, '\0') || cursor_left(tree) < GITOBJ_ID)
		return err_set(err, EIO, "cut off behind '%s'", e.name);
	memcpy(e.id, tree->p, GITOBJ_ID);
	tree->p += GITOBJ_ID;
	*out = e;
	return 1;
}

int gitobj_tree_of(const char *commit, size_t n, uint8_t id[GITOBJ_ID],
		   struct err *err)
{
	struct cursor c = { .p = commit, .end = commit + n };
	struct cursor word;
	char hex[41] = "";

	if (cursor_skip(&c, "tree ")) {
		word = cursor_until(&c, '\n');
		if (cursor_left(&word) == 40)
			memcpy(hex, word.p, 40);
	}
	if (gitobj_parse_id(id, hex) < 0)
		return err_set(err, EIO, "a commit that names no tree");
	return 0;
}
