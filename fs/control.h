/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

/*
 * The socket of a mount, by which its owner tells it something: one line of
 * JSON in, one line of JSON out, then it is closed. It lies in
 * /run/kernelfs, of a user in $XDG_RUNTIME_DIR/kernelfs (else
 * /run/user/<uid>, else /tmp/kernelfs-<uid>), in a folder that nobody else
 * may enter, and answers its own user only. The mount's report `status` says
 * where it is. Sockets of daemons that are dead are taken away by the next.
 *
 * A request is an object with "command"; an answer has "ok", and "error" when
 * that is false.
 */

#include <stdint.h>

struct control;
struct err;
struct json;
struct text;

#define CONTROL_REQUEST_MAX 65536u
#define CONTROL_ANSWER_MAX (1u << 20)
/* Longest for a request to arrive, and for its answer to be taken. */
#define CONTROL_PEER_MS 2000

/*
 * Answer a request: members of an object, each with a comma in front, are
 * appended to `answer`. On the socket's own thread; must not block on a
 * source.
 */
typedef int control_answer(void *arg, const struct json *request,
			   struct text *answer, struct err *err);

/* -errno with a sentence when there is no place for it; a mount can do
 * without. Starts a thread. */
int control_new(struct control **out, const char *mountpoint,
		control_answer *answer, void *arg, struct err *err);
const char *control_path(const struct control *c);
void control_free(struct control *c); /* NULL allowed */

/*
 * Ask the daemon behind a socket. The answer's line is appended; -errno with
 * a sentence when there is none within `timeout_ms`, or when what listens
 * there is another user's.
 */
int control_ask(const char *path, const struct text *request,
		int64_t timeout_ms, struct text *answer, struct err *err);

#endif
