/* SPDX-License-Identifier: MIT */
#include "runner/runner.h"

#include <errno.h>
#include <signal.h>

#include "common/exit-code.h"
#include "common/fd.h"
#include "runner/health.h"
#include "schema/inbound.h"
#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct folder folder;
static struct capture capture;

static int setup(void **state)
{
	(void)state;
	setenv("AGENT_PROVIDER", "mock", 1);
	folder_make(&folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("AGENT_PROVIDER");
	folder_remove(&folder);
	return 0;
}

/* Runs a session to its end; what it logged is in capture.text. */
static int run_session(void)
{
	const struct runner_options options = { .workspace = folder.path };
	int r;

	capture_start(&capture, STDERR_FILENO);
	r = runner_session(&options);
	(void)capture_stop(&capture);
	return r;
}

static void test_session(void **state)
{
	sigset_t set;

	(void)state;
	database_exec(folder_file(&folder, "inbound.db"), schema_inbound);
	/* Pending from the start: it is taken as soon as the loop waits. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(run_session(), EXIT_CODE_OK);
	assert_non_null(strstr(capture.text, "agent-runner: ending on signal 15\n"));
	assert_string_equal(database_query(folder_file(&folder, "outbound.db"),
					   "SELECT count(*) FROM messages_out"),
			    "0\n");
}

static void test_session_with_a_broken_configuration(void **state)
{
	char expected[512];

	(void)state;
	folder_mkdir(&folder, "agent");
	folder_write(&folder, "agent/container.json", "{\n\"provider\": }\n");
	assert_int_equal(run_session(), EXIT_CODE_CONFIG);
	snprintf(expected, sizeof(expected),
		 "agent-runner: error: %s/agent/container.json: line 2, column 13: unexpected "
		 "token\n",
		 folder.path);
	assert_string_equal(capture.text, expected);
}

static void test_session_with_an_unknown_provider(void **state)
{
	(void)state;
	setenv("AGENT_PROVIDER", "nobody", 1);
	assert_int_equal(run_session(), EXIT_CODE_CONFIG);
	assert_non_null(strstr(capture.text,
			       "agent-runner: error: there is no provider \"nobody\": "
			       "set \"provider\" in container.json or AGENT_PROVIDER "
			       "to one of "));
	assert_non_null(strstr(capture.text, "mock"));
}

static void test_once_without_a_request(void **state)
{
	const struct runner_options options = { .workspace = folder.path };
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_write_all(ends[1], " \n", 2), 0);
	close(ends[1]);
	assert_int_equal(runner_once(&options, ends[0]), -ENODATA);
	close(ends[0]);
}

static void test_checks(void **state)
{
	size_t count = 0, expected = 0;

	(void)state;
	assert_ptr_equal(runner_checks(&count), health_checks(&expected));
	assert_int_equal(count, expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_session),
		CASE(test_session_with_a_broken_configuration),
		CASE(test_session_with_an_unknown_provider),
		CASE(test_once_without_a_request),
		CASE(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
