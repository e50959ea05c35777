/* SPDX-License-Identifier: MIT */
/* The request of once mode: runner/request. */
#include "runner/request.h"

#include <errno.h>

#include "runner/io/json.h"
#include "tests/fuzz/fuzz.h"

/* Written down without its secrets and read again it is the same request. */
static void check_copy(const struct request *request)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_request struct request *again = NULL;

	fuzz_must(json_append_compact(&text, request->root) == 0);
	fuzz_must(request_parse(text.data, text.len, &again, NULL) == 0);
	fuzz_must(!again->env[0]);
	fuzz_must(again->prompt_len == request->prompt_len &&
		  memcmp(again->prompt, request->prompt, request->prompt_len) == 0);
	fuzz_must(again->is_main == request->is_main &&
		  again->is_scheduled == request->is_scheduled);
	fuzz_must(!again->session == !request->session && !again->script == !request->script);
}

static void check_prompt(const struct request *request)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	fuzz_must(request_append_prompt(request, request->root, &text) == 0);
	fuzz_must(text.len > request->prompt_len);
	fuzz_must(memcmp(text.data + text.len - request->prompt_len, request->prompt,
			 request->prompt_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_request struct request *request = NULL;
	struct err err = { "" };
	int r;

	fuzz_quiet();
	r = request_parse((const char *)data, size, &request, &err);
	if (r < 0) {
		fuzz_must((r == -EINVAL || r == -EFBIG) && err.text[0]);
		return 0;
	}
	fuzz_must(request->prompt_len > 0);
	fuzz_must(!json_object_get(request->root, "secrets"));
	for (char **variable = request->env; *variable; variable++)
		fuzz_must(strchr(*variable, '=') > *variable);
	check_copy(request);
	check_prompt(request);
	return 0;
}
