/* SPDX-License-Identifier: MIT */
/* Cron expressions of agents: message/cron. */
#include "runner/message/cron.h"

#include <errno.h>

#include "tests/fuzz/fuzz.h"

static int check_with(const char *before, const char *expression, const char *behind,
		      struct err *err)
{
	cleanup_free char *text = NULL;

	fuzz_must(asprintf(&text, "%s%s%s", before, expression, behind) >= 0);
	return cron_check(text, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_dup((struct fuzz_text){ (const char *)data, size });
	struct err err = { "" };
	int r = cron_check(text, &err);

	fuzz_must(r == 0 || (r == -EINVAL && err.text[0]));
	fuzz_must(cron_check(text, NULL) == r);
	if (strlen(text) > CRON_LENGTH_MAX - 8 || text[0] == '@')
		return 0;
	if (r < 0)
		return 0;
	fuzz_must(check_with(" \t", text, "\xc2\xa0 ", NULL) == 0);
	/* Seconds may be put in front of 5 fields, and not of 6. */
	r = check_with("0 ", text, "", &err);
	fuzz_must(r == 0 || strncmp(err.text, "it has more than 6 fields", 25) == 0);
	return 0;
}
