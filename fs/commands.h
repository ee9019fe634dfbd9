/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_COMMANDS_H
#define FS_COMMANDS_H

/*
 * What a mount can be told by its control socket:
 *
 *	{"command": "refresh"}			every name that can move
 *	{"command": "refresh", "repos": ["owner/repo"]}
 *	  -> {"ok": true, "repos": 0}		how many were named
 *
 * is asked for again when it is next looked at. A Python process keeps the
 * commits that it has imported.
 */

struct err;
struct json;
struct text;

#define COMMANDS_REPOS_MAX 1024u

/* A control_answer; `world` is a struct world. */
int commands_answer(void *world, const struct json *request,
		    struct text *answer, struct err *err);

#endif
