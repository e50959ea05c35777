/* SPDX-License-Identifier: MIT */
#include "runner/message/cite.h"

#include <string.h>

#include "common/table.h"
#include "common/utf8.h"

/* Length of the control character or line break at p, 0 if none stands there. */
static size_t cite_break(const char *p, size_t n)
{
	static const char *const wide[] = { "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9" };

	if ((unsigned char)*p < 0x20 || *p == 0x7f)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(wide); i++)
		if (n >= strlen(wide[i]) && memcmp(p, wide[i], strlen(wide[i])) == 0)
			return strlen(wide[i]);
	return 0;
}

int cite_line(const char *text, size_t len, size_t max, struct strbuf *out)
{
	cleanup_strbuf struct strbuf mended = STRBUF_EMPTY;
	size_t keep, broken;

	if (utf8_append_valid(&mended, text, len) < 0)
		return out->error = mended.error;
	keep = utf8_prefix(mended.data, mended.len, max);
	for (size_t i = 0; i < keep; i += broken ? broken : 1) {
		broken = cite_break(mended.data + i, keep - i);
		strbuf_putc(out, broken ? ' ' : mended.data[i]);
	}
	return strbuf_puts(out, keep < mended.len ? "…" : "");
}

int cite_name(const char *name, size_t max, struct strbuf *out)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	if (cite_line(name, strlen(name), max, &line) < 0)
		return out->error = line.error;
	strbuf_putc(out, '"');
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] == '<')
			strbuf_puts(out, "&lt;");
		else if (line.data[i] == '>')
			strbuf_puts(out, "&gt;");
		else if (line.data[i] == '&')
			strbuf_puts(out, "&amp;");
		else if (line.data[i] == '"')
			strbuf_puts(out, "&quot;");
		else
			strbuf_putc(out, line.data[i]);
	}
	return strbuf_putc(out, '"');
}
