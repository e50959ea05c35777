/* SPDX-License-Identifier: MIT */
/* The command line of ncl, a word a line: mcp/ncl-words. */
#include "runner/mcp/ncl-words.h"

#include <errno.h>

#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = { (const char *)data, size };
	struct ncl_words read = { .command = NULL };
	struct err err = { "" };
	char *words[WORDS_MAX + 1];
	size_t count = 0;
	int r;

	while (rest.len > 0 && count < WORDS_MAX)
		words[count++] = fuzz_dup(fuzz_cut(&rest, '\n'));
	words[count] = NULL;
	r = ncl_words_parse(words, &read, &err);
	fuzz_must(r == 0 || r == NCL_WORDS_HELP || (r == -EINVAL && err.text[0]));
	if (r == 0) {
		fuzz_must(read.command && utf8_is_valid(read.command, strlen(read.command)));
		fuzz_must(json_is_object(read.args) && json_object_size(read.args) < count);
	}
	ncl_words_deinit(&read);
	while (count > 0)
		free(words[--count]);
	return 0;
}
