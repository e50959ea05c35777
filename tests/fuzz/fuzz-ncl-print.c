/* SPDX-License-Identifier: MIT */
/* The host's answer to a command, shown on a terminal: mcp/ncl-print. */
#include "runner/mcp/ncl-print.h"

#include "common/utf8.h"
#include "runner/io/json.h"
#include "tests/fuzz/fuzz.h"

/* Ends with a line break, is UTF-8, and drives no terminal. */
static void check_shown(const struct strbuf *text)
{
	fuzz_must(!text->error && text->len > 0 && text->data[text->len - 1] == '\n');
	fuzz_must(utf8_is_valid(text->data, text->len));
	for (size_t i = 0; i < text->len; i++) {
		unsigned char c = (unsigned char)text->data[i];
		unsigned char next = (unsigned char)text->data[i + 1];

		fuzz_must((c >= 0x20 || c == '\n') && c != 0x7f);
		fuzz_must(c != 0xc2 || next > 0x9f);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const prints[])(const json_t *frame, struct strbuf *out) = { ncl_print_frame,
										  ncl_print_data,
										  ncl_print_error };
	cleanup_free char *text = fuzz_dup((struct fuzz_text){ (const char *)data, size });
	cleanup_strbuf struct strbuf complaint = STRBUF_EMPTY;
	cleanup_json json_t *frame = NULL;

	fuzz_must(ncl_print_complaint(text, &complaint) == 0);
	check_shown(&complaint);
	if (json_parse((const char *)data, size, &frame, NULL) < 0)
		return 0;
	(void)ncl_print_is_ok(frame);
	for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++) {
		cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

		fuzz_must(prints[i](frame, &out) == 0);
		check_shown(&out);
	}
	return 0;
}
