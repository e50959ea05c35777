/* SPDX-License-Identifier: MIT */
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"
#include "tests/test.h"

/* Runs log_write with stderr as a pipe and returns what came out, as a string. */
static void logged(enum log_level level, const char *text, char *ret, size_t size)
{
	int saved = dup(STDERR_FILENO), ends[2];
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	log_write(level, "%s", text);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	n = read(ends[0], ret, size - 1);
	assert_true(n >= 0);
	ret[n] = '\0';
	close(ends[0]);
}

static void test_line(void **state)
{
	char line[LOG_LINE_MAX + 1];

	(void)state;
	logged(LOG_LEVEL_ERROR, "it broke", line, sizeof(line));
	assert_string_equal(line, "agent-runner: error: it broke\n");
	logged(LOG_LEVEL_DEBUG, "hidden", line, sizeof(line));
	assert_string_equal(line, "");
}

static void test_text_cannot_forge_a_line(void **state)
{
	char line[LOG_LINE_MAX + 1];

	(void)state;
	logged(LOG_LEVEL_INFO, "a\nagent-runner: error: b\033[2J", line, sizeof(line));
	assert_string_equal(line, "agent-runner: a?agent-runner: error: b?[2J\n");
}

static void test_long_line_is_cut(void **state)
{
	char text[2 * LOG_LINE_MAX], line[LOG_LINE_MAX + 1];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	logged(LOG_LEVEL_INFO, text, line, sizeof(line));
	assert_int_equal(strlen(line), LOG_LINE_MAX);
	assert_int_equal(line[LOG_LINE_MAX - 1], '\n');
}

static void test_nobody_reads(void **state)
{
	int saved = dup(STDERR_FILENO), ends[2];
	char byte = 'x';

	(void)state;
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	while (write(ends[1], &byte, 1) == 1)
		;
	assert_int_equal(fd_set_nonblock(ends[1], false), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	/* Would hang. */
	errno = ENOENT;
	log_error("dropped");
	assert_int_equal(errno, ENOENT);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static void test_level_names(void **state)
{
	enum log_level level;

	(void)state;
	assert_int_equal(log_level_from_name("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_from_name("loud", &level), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_text_cannot_forge_a_line),
		cmocka_unit_test(test_long_line_is_cut),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_level_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
