/* SPDX-License-Identifier: MIT */
#include "runner/mcp/quote.h"

#include <stdio.h>
#include <string.h>

#include "common/utf8.h"

/* The character at p, of n valid bytes, if it breaks a line or steers a terminal; else -1. */
static int quote_control(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;

	if (n == 1 && (u[0] < 0x20 || u[0] == 0x7f))
		return u[0];
	if (n == 2 && u[0] == 0xc2 && u[1] < 0xa0)
		return u[1];
	if (n == 3 && u[0] == 0xe2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9))
		return 0x2000 + (u[2] & 0x3f);
	return -1;
}

/* Appends one valid character of n bytes. */
static void quote_append_character(struct strbuf *out, const char *p, size_t n)
{
	int control = quote_control(p, n);

	if (control == '\n')
		strbuf_puts(out, "\\n");
	else if (control >= 0)
		strbuf_printf(out, "\\u%04x", (unsigned int)control);
	else if (*p == '"' || *p == '\\')
		strbuf_printf(out, "\\%c", *p);
	else
		strbuf_append(out, p, n);
}

int quote_append(struct strbuf *out, const char *text, size_t len)
{
	size_t keep = utf8_prefix(text, len, QUOTE_MAX), n;

	strbuf_putc(out, '"');
	for (size_t i = 0; i < keep; i += n ? n : 1) {
		n = utf8_sequence(text + i, keep - i);
		if (n == 0)
			strbuf_puts(out, "\xef\xbf\xbd"); /* U+FFFD */
		else
			quote_append_character(out, text + i, n);
	}
	if (keep < len)
		strbuf_puts(out, "…");
	return strbuf_putc(out, '"');
}

const char *quote(const char *text, char buffer[QUOTE_SIZE])
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	quote_append(&out, text ? text : "", text ? strlen(text) : 0);
	(void)snprintf(buffer, QUOTE_SIZE, "%s", out.error ? "\"\"" : out.data);
	return buffer;
}
