/* SPDX-License-Identifier: MIT */
#include "runner/task/verdict.h"

#include <errno.h>

#include "runner/io/json.h"

int verdict_read(const char *line, size_t len, struct verdict *ret_verdict, struct err *err)
{
	cleanup_json json_t *value = NULL;
	const json_t *wake;

	if (json_parse(line, len, &value, NULL) < 0)
		return err_set(err, -EINVAL, "the last line of its output is not JSON");
	wake = json_member(value, "wakeAgent");
	if (!json_is_boolean(wake))
		return err_set(err, -EINVAL,
			       "the last line of its output has no boolean \"wakeAgent\"");
	*ret_verdict = (struct verdict){
		.wake = json_is_true(wake),
		.data = json_incref(json_member(value, "data")),
	};
	return 0;
}
