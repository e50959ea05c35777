/* SPDX-License-Identifier: MIT */
#include "runner/mcp/ncl.h"

#include <fcntl.h>

#include "common/exit-code.h"
#include "tests/capture.h"
#include "tests/runner/mcp/fake-loop.h"

#define WORKSPACE "/nowhere/workspace"

static struct capture out, err;

static int run(const char *const *words)
{
	char *copy[8] = { NULL };
	int r;

	for (size_t i = 0; words[i]; i++)
		copy[i] = (char *)(uintptr_t)words[i];
	capture_start(&out, STDOUT_FILENO);
	capture_start(&err, STDERR_FILENO);
	r = ncl_run(WORKSPACE, copy);
	(void)capture_stop(&err);
	(void)capture_stop(&out);
	return r;
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static void assert_said(const char *stdout_text, const char *stderr_text)
{
	assert_string_equal(out.text, stdout_text);
	assert_string_equal(err.text, stderr_text);
}

static void test_usage(void **state)
{
	(void)state;
	assert_int_equal(RUN("--help"), EXIT_CODE_OK);
	assert_memory_equal(out.text, "Usage: ncl COMMAND...", strlen("Usage: ncl COMMAND..."));
	assert_string_equal(err.text, "");
	assert_int_equal(RUN(NULL), EXIT_CODE_OK);
	assert_memory_equal(out.text, "Usage: ncl COMMAND...", strlen("Usage: ncl COMMAND..."));
	assert_int_equal(RUN("--json"), EXIT_CODE_NCL_USAGE);
	assert_said("", "ncl: a command is missing: `ncl help` lists them\n");
}

static void test_no_loop(void **state)
{
	(void)state;
	assert_int_equal(RUN("help"), EXIT_CODE_FAILED);
	assert_said("", "ncl: no session loop serves /nowhere/workspace: start agent-runner there, "
			"or name its socket in AGENT_SOCKET\n");
}

/* What the loop answers to a request that is as it should be. */
static const char *answer;

static int serve(int fd)
{
	char line[512];

	fake_loop_read(fd, line, sizeof(line));
	fake_loop_say(fd, answer);
	fake_loop_say(fd, "\n");
	fake_loop_wait(fd);
	return strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agent-runner/ncl\","
			    "\"params\":{\"command\":\"groups-list\",\"args\":{\"limit\":\"2\","
			    "\"all\":true}}}");
}

static void assert_answered(const char *json, int code, const char *stdout_text,
			    const char *stderr_text)
{
	struct fake_loop loop;

	answer = json;
	fake_loop_start(&loop, serve);
	assert_int_equal(RUN("groups", "list", "--limit", "2", "--all"), code);
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_said(stdout_text, stderr_text);
}

static void test_answers(void **state)
{
	(void)state;
	assert_answered("{\"id\":1,\"result\":{\"id\":\"r\",\"ok\":true,\"data\":[{\"a\":1}]}}",
			EXIT_CODE_OK, "a\n-\n1\n", "");
	assert_answered("{\"id\":1,\"result\":{\"id\":\"r\",\"ok\":false,"
			"\"error\":{\"code\":\"forbidden\",\"message\":\"not yours\"}}}",
			EXIT_CODE_FAILED, "", "error (forbidden): not yours\n");
	assert_answered("{\"id\":1,\"result\":null}", EXIT_CODE_FAILED, "",
			"error (unknown): the host did not say why\n");
	assert_answered("{\"id\":1,\"error\":{\"code\":-31001,"
			"\"message\":\"the host did not answer within 30 s\"}}",
			EXIT_CODE_NCL_USAGE, "", "ncl: the host did not answer within 30 s\n");
	assert_answered("{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"no such method\"}}",
			EXIT_CODE_FAILED, "", "ncl: no such method\n");
}

static void test_json(void **state)
{
	struct fake_loop loop;

	(void)state;
	answer = "{\"id\":1,\"result\":{\"ok\":true}}";
	fake_loop_start(&loop, serve);
	assert_int_equal(RUN("groups", "list", "--limit", "2", "--json", "--all"), EXIT_CODE_OK);
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_said("{\n  \"ok\": true\n}\n", "");
	/* The frame goes to where frames go, whatever it says. */
	answer = "{\"id\":1,\"result\":{\"ok\":false}}";
	fake_loop_start(&loop, serve);
	assert_int_equal(RUN("--json", "groups", "list", "--limit", "2", "--all"),
			 EXIT_CODE_FAILED);
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_said("{\n  \"ok\": false\n}\n", "");
}

static void test_an_answer_that_cannot_be_written(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), saved = dup(STDOUT_FILENO), r;

	(void)state;
	assert_true(full >= 0 && saved >= 0);
	(void)fflush(stdout);
	capture_start(&err, STDERR_FILENO);
	assert_int_equal(dup2(full, STDOUT_FILENO), STDOUT_FILENO);
	r = ncl_run(WORKSPACE, NULL);
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	(void)capture_stop(&err);
	close(saved);
	close(full);
	assert_int_equal(r, EXIT_CODE_FAILED);
	assert_string_equal(err.text, "ncl: cannot write the answer: No space left on device\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_no_loop),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_an_answer_that_cannot_be_written),
	};

	unsetenv("AGENT_SOCKET");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
