/* SPDX-License-Identifier: MIT */
#include "runner/io/json-mend.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* Digits that always fit 64 bits; a longer number is looked at. */
#define JSON_MEND_SAFE_DIGITS 18

struct json_mend {
	const char *text;
	size_t len;
	size_t at;
	size_t copied; /* text before this is in out, as soon as there was something to mend */
	struct strbuf *out;
	bool changed;
};

/* Puts replacement in the place of the n bytes at offset from. */
static void json_mend_replace(struct json_mend *m, size_t from, size_t n, const char *replacement)
{
	strbuf_append(m->out, m->text + m->copied, from - m->copied);
	strbuf_puts(m->out, replacement);
	m->copied = from + n;
	m->changed = true;
}

/* The code unit of the escape \uXXXX at offset, or -1 if none stands there. */
static int json_mend_unit(const struct json_mend *m, size_t offset)
{
	char digits[5] = "";

	if (m->len < 6 || offset > m->len - 6 || m->text[offset] != '\\' ||
	    m->text[offset + 1] != 'u')
		return -1;
	memcpy(digits, m->text + offset + 2, 4);
	for (size_t i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)digits[i]))
			return -1;
	return (int)strtol(digits, NULL, 16);
}

/* Steps over the escape at .at. */
static void json_mend_escape(struct json_mend *m, bool is_name)
{
	int unit = json_mend_unit(m, m->at), low;

	if (unit < 0) {
		m->at += 2;
		return;
	}
	if (unit >= 0xd800 && unit <= 0xdbff) {
		low = json_mend_unit(m, m->at + 6);
		if (low >= 0xdc00 && low <= 0xdfff) {
			m->at += 12;
			return;
		}
	}
	if ((unit >= 0xd800 && unit <= 0xdfff) || (unit == 0 && is_name))
		json_mend_replace(m, m->at, 6, "\\ufffd");
	m->at += 6;
}

/* Does the string whose quote stands at .at name a member: is it followed by a colon? */
static bool json_mend_is_name(const struct json_mend *m)
{
	size_t i = m->at + 1;

	while (i < m->len && m->text[i] != '"')
		i += m->text[i] == '\\' ? 2 : 1;
	for (i++; i < m->len; i++)
		if (!strchr(" \t\r\n", m->text[i]) || !m->text[i])
			return m->text[i] == ':';
	return false;
}

static void json_mend_string(struct json_mend *m)
{
	bool is_name = json_mend_is_name(m);

	m->at++;
	while (m->at < m->len && m->text[m->at] != '"') {
		size_t n = utf8_sequence(m->text + m->at, m->len - m->at);

		if (n == 0) {
			json_mend_replace(m, m->at, 1, "\xef\xbf\xbd");
			m->at++;
		} else if (m->text[m->at] == '\\') {
			json_mend_escape(m, is_name);
		} else {
			m->at += n;
		}
	}
	m->at++;
}

static void json_mend_number(struct json_mend *m)
{
	cleanup_free char *copy = NULL;
	size_t from = m->at, n;
	bool is_integer = true, is_infinite, overflows;
	char *end;

	for (; m->at < m->len; m->at++) {
		char c = m->text[m->at];

		if (c == '.' || c == 'e' || c == 'E')
			is_integer = false;
		else if (!isdigit((unsigned char)c) && c != '-' && c != '+')
			break;
	}
	n = m->at - from;
	if (is_integer && n <= JSON_MEND_SAFE_DIGITS)
		return;
	/* strtod(3) wants a string, and would read on behind a number: "0x10". */
	copy = strndup(m->text + from, n);
	if (!copy) {
		m->out->error = -ENOMEM;
		return;
	}
	is_infinite = isinf(strtod(copy, &end));
	if (*end)
		return; /* no number: the parser says so */
	errno = 0;
	overflows = is_integer && (strtoll(copy, NULL, 10), errno == ERANGE);
	if (is_infinite)
		json_mend_replace(m, from, n, "null");
	else if (overflows)
		json_mend_replace(m, from + n, 0, "e0");
}

int json_mend(const char *text, size_t len, struct strbuf *out)
{
	struct json_mend m = { .text = text, .len = len, .out = out };

	while (m.at < len) {
		char c = text[m.at];

		if (c == '"')
			json_mend_string(&m);
		else if (c == '-' || isdigit((unsigned char)c))
			json_mend_number(&m);
		else
			m.at++;
	}
	if (!m.changed)
		return out->error;
	return strbuf_append(out, text + m.copied, len - m.copied) < 0 ? out->error : 1;
}
