/* SPDX-License-Identifier: MIT */
#include "runner/task/verdict.h"

#include <errno.h>
#include <string.h>

#include "runner/io/json.h"
#include "tests/test.h"

/* The data as compact JSON; NULL: none. */
static void assert_verdict(const char *line, bool wake, const char *data)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct verdict verdict;

	assert_int_equal(verdict_read(line, strlen(line), &verdict, NULL), 0);
	assert_int_equal(verdict.wake, wake);
	if (data) {
		assert_int_equal(json_append_compact(&text, verdict.data), 0);
		assert_string_equal(text.data, data);
	} else {
		assert_null(verdict.data);
	}
	json_decref(verdict.data);
}

static void assert_fault(const char *line, const char *expected)
{
	struct verdict verdict;
	struct err err = { "" };

	assert_int_equal(verdict_read(line, strlen(line), &verdict, &err), -EINVAL);
	assert_string_equal(err.text, expected);
}

static void test_verdict(void **state)
{
	(void)state;
	assert_verdict("{\"wakeAgent\":true}", true, NULL);
	assert_verdict(" {\"wakeAgent\":false, \"data\":null}\r", false, NULL);
	assert_verdict("{\"wakeAgent\":true,\"data\":0}", true, "0");
	assert_verdict("{\"data\":{\"a\":[1]},\"wakeAgent\":false}", false, "{\"a\":[1]}");
}

static void test_fault(void **state)
{
	static const char missing[] = "the last line of its output has no boolean \"wakeAgent\"";

	(void)state;
	assert_fault("", "the last line of its output is not JSON");
	assert_fault("wake", "the last line of its output is not JSON");
	assert_fault("{\"wakeAgent\":true} x", "the last line of its output is not JSON");
	assert_fault("true", missing);
	assert_fault("[true]", missing);
	assert_fault("{\"wakeAgent\":1}", missing);
	assert_fault("{\"wakeAgent\":null,\"data\":1}", missing);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
