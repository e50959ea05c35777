/* SPDX-License-Identifier: MIT */
#include "runner/runner.h"

#include <errno.h>
#include <signal.h>

#include "common/exit-code.h"
#include "common/fd.h"
#include "runner/health.h"
#include "runner/message/compaction.h"
#include "schema/inbound.h"
#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/runner/mcp/fake-loop.h"
#include "tests/test.h"

static struct folder folder;
static struct folder runtime; /* where the loop's socket goes */
static struct capture capture, output;

static int setup(void **state)
{
	(void)state;
	setenv("AGENT_PROVIDER", "mock", 1);
	unsetenv("AGENT_SOCKET");
	folder_make(&folder);
	folder_make(&runtime);
	setenv("TMPDIR", runtime.path, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("AGENT_PROVIDER");
	unsetenv("TMPDIR");
	folder_remove(&folder);
	folder_remove(&runtime);
	return 0;
}

/* Runs a session to its end; what it logged is in capture.text. */
static int run_session(void)
{
	const struct runner_options options = {
		.workspace = folder.path,
		.self = "/nonexistent/agent-runner",
	};
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

/* Runs a helper; what it printed is in output.text, what it logged in capture.text. */
static int run_helper(int (*helper)(const struct runner_options *options))
{
	const struct runner_options options = { .workspace = folder.path };
	int r;

	capture_start(&output, STDOUT_FILENO);
	capture_start(&capture, STDERR_FILENO);
	r = helper(&options);
	(void)capture_stop(&capture);
	(void)capture_stop(&output);
	return r;
}

static void test_mcp_without_a_loop(void **state)
{
	char expected[512];

	(void)state;
	assert_int_equal(run_helper(runner_mcp), EXIT_CODE_TEMPORARY);
	snprintf(
		expected, sizeof(expected),
		"agent-runner: error: mcp: no session loop serves %s: start agent-runner there, or "
		"name its socket in AGENT_SOCKET\n",
		folder.path);
	assert_string_equal(capture.text, expected);
	assert_string_equal(output.text, "");
}

static int serve_hang_up(int fd)
{
	(void)fd;
	return 0;
}

static void test_mcp_of_a_loop_that_ends(void **state)
{
	int ends[2], saved = dup(STDIN_FILENO);
	struct fake_loop loop;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	fake_loop_start(&loop, serve_hang_up);
	assert_int_equal(run_helper(runner_mcp), EXIT_CODE_FAILED);
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_string_equal(capture.text,
			    "agent-runner: error: mcp: the session loop has hung up\n");
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
}

static int run_ncl(const struct runner_options *options)
{
	return runner_ncl(options, (char *[]){ (char[]){ "--frob" }, NULL });
}

static void test_ncl(void **state)
{
	(void)state;
	assert_int_equal(run_helper(run_ncl), EXIT_CODE_NCL_USAGE);
	assert_string_equal(capture.text, "ncl: a command is missing: `ncl help` lists them\n");
}

static void test_compact_instructions_without_a_loop(void **state)
{
	cleanup_strbuf struct strbuf expected = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(compaction_compose(NULL, &expected), 0);
	assert_int_equal(run_helper(runner_compact_instructions), EXIT_CODE_OK);
	assert_string_equal(output.text, expected.data);
	assert_string_equal(capture.text, "");
}

static int serve_text(int fd)
{
	char line[256];

	fake_loop_read(fd, line, sizeof(line));
	fake_loop_say(fd, "{\"id\":1,\"result\":{\"text\":\"Keep casa.\\n\"}}\n");
	fake_loop_wait(fd);
	return strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":1,"
			    "\"method\":\"agent-runner/compact-instructions\"}");
}

static int serve_refusal(int fd)
{
	fake_loop_say(fd, "{\"id\":1,\"error\":{\"code\":-32603,\"message\":\"broken\"}}\n");
	fake_loop_wait(fd);
	return 0;
}

static void test_compact_instructions_of_the_loop(void **state)
{
	cleanup_strbuf struct strbuf expected = STRBUF_EMPTY;
	struct fake_loop loop;

	(void)state;
	fake_loop_start(&loop, serve_text);
	assert_int_equal(run_helper(runner_compact_instructions), EXIT_CODE_OK);
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_string_equal(output.text, "Keep casa.\n");

	assert_int_equal(compaction_compose(NULL, &expected), 0);
	fake_loop_start(&loop, serve_refusal);
	assert_int_equal(run_helper(runner_compact_instructions), EXIT_CODE_OK);
	assert_int_equal(fake_loop_stop(&loop), 0);
	assert_string_equal(output.text, expected.data);
	assert_string_equal(capture.text,
			    "agent-runner: warning: compact-instructions: without the "
			    "destinations' names: broken\n");
}

static int take_words(void *userdata, const char *const *words, struct err *err)
{
	const char **first = userdata;
	static char word[32];

	snprintf(word, sizeof(word), "%s", words[0] ? words[0] : "");
	*first = word;
	return err_set(err, EXIT_CODE_NO_PERMISSION, "no rights of less");
}

static void test_confine(void **state)
{
	const char *first = NULL;
	const struct runner_options options = {
		.workspace = folder.path,
		.confine = take_words,
		.userdata = &first,
	};
	struct err err;

	(void)state;
	setenv("AGENT_SANDBOX", "{\"connect\": [443]}", 1);
	assert_int_equal(runner_confine(&options, &err), EXIT_CODE_NO_PERMISSION);
	assert_string_equal(err.text, "no rights of less");
	assert_string_equal(first, "--connect=443");
	setenv("AGENT_SANDBOX", "[]", 1);
	assert_int_equal(runner_confine(&options, &err), EXIT_CODE_CONFIG);
	assert_string_equal(err.text, "AGENT_SANDBOX: must be a JSON object, found an array");
	unsetenv("AGENT_SANDBOX");
	assert_int_equal(runner_confine(&options, &err), EXIT_CODE_NO_PERMISSION);
	assert_string_equal(first, "");
}

static void test_checks(void **state)
{
	size_t count = 0, expected = 0;

	(void)state;
	assert_ptr_equal(runner_checks(&count), health_checks(&expected));
	assert_int_equal(count, expected);
}

static void test_forget_keys(void **state)
{
	(void)state;
	setenv("ANTHROPIC_API_KEY", "key", 1);
	setenv("NPM_TOKEN", "token", 1);
	assert_int_equal(runner_forget_keys(), 0);
	assert_null(getenv("ANTHROPIC_API_KEY"));
	assert_string_equal(getenv("NPM_TOKEN"), "token");
	unsetenv("NPM_TOKEN");
}

/* GH_TOKEN is a key only where the agent is Copilot: npm may need it for a registry. */
static void test_forget_keys_of_the_agent_that_is_named(void **state)
{
	(void)state;
	setenv("OPENAI_API_KEY", "key", 1);
	setenv("GH_TOKEN", "token", 1);
	assert_int_equal(runner_forget_keys(), 0);
	assert_string_equal(getenv("OPENAI_API_KEY"), "key");
	setenv("AGENT_PROVIDER", "codex", 1);
	assert_int_equal(runner_forget_keys(), 0);
	assert_null(getenv("OPENAI_API_KEY"));
	assert_string_equal(getenv("GH_TOKEN"), "token");
	unsetenv("GH_TOKEN");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_session),
		CASE(test_session_with_a_broken_configuration),
		CASE(test_session_with_an_unknown_provider),
		CASE(test_once_without_a_request),
		CASE(test_mcp_without_a_loop),
		CASE(test_mcp_of_a_loop_that_ends),
		CASE(test_ncl),
		CASE(test_compact_instructions_without_a_loop),
		CASE(test_compact_instructions_of_the_loop),
		CASE(test_confine),
		CASE(test_forget_keys),
		CASE(test_forget_keys_of_the_agent_that_is_named),
		CASE(test_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
