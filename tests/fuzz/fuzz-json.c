/* SPDX-License-Identifier: MIT */
/* JSON from outside: io/json-mend, the parser and the printers. */
#include "common/utf8.h"
#include "runner/io/json-mend.h"
#include "runner/io/json.h"
#include "tests/fuzz/fuzz.h"

/* Indentation may make a text this much longer, and not more. */
#define PRETTY_FACTOR 70

/* What was printed is UTF-8, reads back, and is then printed the same. Returns its length. */
static size_t check_print(int (*print)(struct strbuf *out, const json_t *value),
			  const json_t *value)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, again = STRBUF_EMPTY;
	cleanup_json json_t *read = NULL;

	fuzz_must(print(&text, value) == 0);
	fuzz_must(utf8_is_valid(text.data, text.len));
	fuzz_must(json_parse_trusted(text.data, text.len, &read, NULL) == 0);
	fuzz_must(print(&again, read) == 0);
	fuzz_must(text.len == again.len && memcmp(text.data, again.data, text.len) == 0);
	return text.len;
}

/* One pass mends everything. Returns whether jansson takes what came out. */
static bool check_mend(const char *text, size_t len)
{
	cleanup_strbuf struct strbuf mended = STRBUF_EMPTY, again = STRBUF_EMPTY;
	cleanup_json json_t *value = NULL;
	json_error_t error;
	int r = json_mend(text, len, &mended);

	fuzz_must(r == 0 || r == 1);
	if (r == 1) {
		fuzz_must(json_mend(mended.data, mended.len, &again) == 0);
		text = mended.data;
		len = mended.len;
	}
	value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	return value != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	cleanup_json json_t *value = NULL, *plain = NULL;
	json_error_t error;
	struct err err;
	int r = json_parse(text, size, &value, &err);

	fuzz_must(r == 0 || (err.text[0] && strlen(err.text) < ERR_TEXT_MAX));
	fuzz_must(check_mend(text, size) == (r == 0));
	/* What jansson takes by itself is not changed by mending. */
	plain = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	fuzz_must(!plain || (r == 0 && json_equal(plain, value)));
	if (r == 0)
		fuzz_must(check_print(json_append_pretty, value) <=
			  PRETTY_FACTOR * check_print(json_append_compact, value));
	return 0;
}
