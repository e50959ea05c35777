/* SPDX-License-Identifier: MIT */
/* What the script before a task says, and the script in a task's content: task/verdict, task/script. */
#include "runner/task/verdict.h"

#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/task/script.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = NULL;
	struct verdict verdict = { .wake = false };
	struct err err = { "" };
	int r = verdict_read((const char *)data, size, &verdict, &err);

	fuzz_must(r == 0 || (err.text[0] && !verdict.wake && !verdict.data));
	fuzz_must(!verdict.data || !json_is_null(verdict.data));
	json_decref(verdict.data);
	r = script_text((const char *)data, size, &text);
	fuzz_must(r == 0 || r == 1);
	fuzz_must((r == 1) == (text && *text));
	fuzz_must(!text || utf8_is_valid(text, strlen(text)));
	return 0;
}
