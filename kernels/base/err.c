/* SPDX-License-Identifier: Apache-2.0 */
#include "err.h"

#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX]; /* the arguments may lie in e->text */
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_printable(text); /* it may end up in a terminal */
	memcpy(e->text, text, strlen(text) + 1);
	e->code = code;
	return -code;
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	char front[ERR_TEXT_MAX], why[128];
	va_list ap;

	if (!e)
		return -code;
	va_start(ap, fmt);
	(void)vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	return err_set(e, code, "%s: %s", front,
		       strerror_r(code, why, sizeof(why)));
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
	char front[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return r;
	if (!e->code)
		e->code = -r;
	va_start(ap, fmt);
	(void)vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	(void)err_set(e, e->code, "%s: %s", front, err_text(e));
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
