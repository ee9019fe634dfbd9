/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What comes from outside may end up in a terminal: no control bytes. */
static void make_printable(char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t') ||
		    *s == 0x7f)
			*s = '?';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	make_printable(e->text);
	e->code = code;
	return -code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	char why[128];
	size_t len;
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	len = strlen(e->text);
	(void)snprintf(e->text + len, sizeof(e->text) - len, ": %s",
		       strerror_r(code, why, sizeof(why)));
	make_printable(e->text);
	e->code = code;
	return -code;
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
	char front[ERR_TEXT_MAX], behind[ERR_TEXT_MAX];
	size_t len;
	va_list ap;

	if (!e)
		return r;
	(void)snprintf(behind, sizeof(behind), "%s", err_text(e));
	va_start(ap, fmt);
	(void)vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	(void)snprintf(e->text, sizeof(e->text), "%s", front);
	len = strlen(e->text);
	(void)snprintf(e->text + len, sizeof(e->text) - len, ": %s", behind);
	make_printable(e->text);
	if (!e->code)
		e->code = -r;
	return r;
}

const char *err_text(const struct err *e)
{
	if (!e)
		return "failed";
	if (e->text[0])
		return e->text;
	/* strerrordesc_np is thread-safe and static (glibc 2.32). */
	return strerrordesc_np(e->code) ? strerrordesc_np(e->code) : "failed";
}
