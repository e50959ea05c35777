/* SPDX-License-Identifier: MIT */
#include "entrypoint/cli-notes.h"

#include <stdlib.h>
#include <string.h>

#include "common/table.h"
#include "tests/test.h"

static void test_sections(void **state)
{
	static const char *const lines[] = {
		"\nOther names:\n  ncl  as agent-runner ncl\n  bun  ",
		"\n\nEnvironment:\n  AGENT_WORKSPACE                 as --workspace\n",
		"\n  AGENT_SOCKET ",
		"\n  AGENT_REAL_BUN ",
		"\n\nExit codes (else: the command's own):\n    0  success; healthy\n    1  ",
		"\n    2  of ncl: ",
		"\n  127  the command was not found\n  128  plus n: ended by signal n\n",
	};
	char *text = NULL, *at;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	cli_notes_print(out);
	assert_int_equal(fclose(out), 0);
	at = text;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		at = strstr(at, lines[i]);
		if (!at)
			fail_msg("no %s", lines[i]);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sections) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
