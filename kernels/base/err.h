/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/*
 * A failure as a value on the caller's stack: an errno and one sentence for
 * a person. Nothing to allocate, nothing to free, nothing per thread.
 *
 * Functions return 0 or a useful number on success and -errno on failure;
 * where a person will ask "why" they take a `struct err *` last. It may be
 * NULL (the caller wants the code only) and is untouched on success.
 *
 * Domain failures are named errnos, the same that a user sees on the mount:
 */

#define ERR_NO_BUILD ENODEV   /* no build fits this environment */
#define ERR_MISMATCH EBADMSG  /* content does not match its hash */
#define ERR_GRAMMAR EINVAL    /* a name that breaks its grammar */
#define ERR_ABSENT ENOENT     /* no such owner, repository, revision, file */
#define ERR_REFUSED EACCES    /* publisher or token refused */
#define ERR_STALLED ETIMEDOUT /* a deadline has passed */
#define ERR_SOURCE EIO	      /* a source failed after bounded retries */

#define ERR_TEXT_MAX 1024

struct err {
	int code;		 /* an errno, positive; 0: none */
	char text[ERR_TEXT_MAX]; /* lower case, no full stop; cut when longer */
};

#define ERR_INIT \
	{ \
		.code = 0, .text = "" \
	}

/* Set code and sentence; control bytes in it become '?'. Returns -code. */
int err_set(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As err_set, with ": " and the errno's own text behind. Returns -code. */
int err_errno(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put context and ": " in front of a sentence. Returns r as it came. */
int err_wrap(struct err *e, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The sentence, or the errno's text when there is none. Never NULL. */
const char *err_text(const struct err *e);

#endif
