/* SPDX-License-Identifier: MIT */
#include "runner/once.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "common/fd.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

#define FRAME(json) "---NANOCLAW_OUTPUT_START---\n" json "\n---NANOCLAW_OUTPUT_END---\n"
#define SCHEDULED   "[SCHEDULED TASK - this was sent by the schedule, not by a person]"

static struct folder folder;
static struct capture out, said;
static int confine_result; /* -1: no callback */
static char confine_words[512];

static int confine(void *userdata, const char *const *words, struct err *err)
{
	assert_ptr_equal(userdata, confine_words);
	confine_words[0] = '\0';
	for (; *words; words++)
		strcat(strcat(confine_words, *words), "|");
	return confine_result ? err_set(err, confine_result, "no rights of less") : 0;
}

static int setup(void **state)
{
	static const char *const unset[] = { "AGENT_MOCK_DELAY_MS",
					     "AGENT_MOCK_RESULT",
					     "AGENT_MOCK_ERROR",
					     "AGENT_CLAUDE_PATH",
					     "TOKEN",
					     "AGENT_SANDBOX" };

	(void)state;
	for (size_t i = 0; i < sizeof(unset) / sizeof(unset[0]); i++)
		unsetenv(unset[i]);
	setenv("AGENT_PROVIDER", "mock", 1);
	confine_result = -1;
	folder_make(&folder);
	setenv("TMPDIR", folder.path, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static int run_fd(int fd)
{
	const struct runner_options options = {
		.workspace = folder.path,
		.confine = confine_result < 0 ? NULL : confine,
		.userdata = confine_words,
	};
	int r;

	capture_start(&out, STDOUT_FILENO);
	capture_start(&said, STDERR_FILENO);
	r = once_run(&options, fd);
	(void)capture_stop(&said);
	(void)capture_stop(&out);
	close(fd);
	return r;
}

/* What it printed is in out.text, what it logged in said.text. */
static int run(const char *input)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_write_all(ends[1], input, strlen(input)), 0);
	close(ends[1]);
	return run_fd(ends[0]);
}

static void assert_run(const char *input, int code, const char *frames)
{
	int r = run(input);

	assert_string_equal(out.text, frames);
	assert_int_equal(r, code);
}

static void test_answer(void **state)
{
	(void)state;
	assert_run(
		"{\"prompt\":\"What is 2+2?\",\"groupFolder\":\"test\",\"chatJid\":\"test@g.us\","
		"\"isMain\":false,\"sessionId\":\"s-1\"}",
		0,
		FRAME("{\"status\":\"success\",\"result\":\"echo: What is 2+2?\","
		      "\"newSessionId\":\"s-1\"}")
			FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":"
			      "\"s-1\"}"));
	assert_string_equal(said.text, "");
}

static void test_a_new_conversation_is_told(void **state)
{
	static const char start[] =
		"---NANOCLAW_OUTPUT_START---\n{\"status\":\"success\",\"result\":\"echo: hi\","
		"\"newSessionId\":\"mock-";

	(void)state;
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 0);
	assert_memory_equal(out.text, start, strlen(start));
}

static void test_blank_input_is_no_request(void **state)
{
	(void)state;
	assert_run("", -ENODATA, "");
	assert_run(" \n\t\r\n", -ENODATA, "");
	assert_string_equal(said.text, "");
}

static void test_what_is_no_request(void **state)
{
	(void)state;
	assert_run("{\"secrets\":{\"A\":\"hunter2\" \"B\":1}}", 1,
		   FRAME("{\"status\":\"error\",\"result\":null,\"error\":\"the request on stdin: "
			 "line 1, column 29: '}' expected\"}"));
	assert_string_equal(said.text, "agent-runner: error: the request on stdin: line 1, column "
				       "29: '}' expected\n");
	assert_run("{\"groupFolder\":\"test\"}", 1,
		   FRAME("{\"status\":\"error\",\"result\":null,\"error\":\"the request on stdin "
			 "must be a JSON object with a \\\"prompt\\\"\"}"));
}

static void test_a_request_that_is_too_long(void **state)
{
	int fd = memfd_create("request", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, ONCE_REQUEST_MAX + 1), 0);
	assert_int_equal(run_fd(fd), 1);
	assert_string_equal(
		out.text, FRAME("{\"status\":\"error\",\"result\":null,\"error\":\"the request on "
				"stdin: longer than 16777216 bytes\"}"));
}

static void test_configuration(void **state)
{
	char expected[1024];

	(void)state;
	setenv("AGENT_PROVIDER", "nobody", 1);
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 1);
	assert_non_null(strstr(out.text, "\"error\":\"there is no provider \\\"nobody\\\": there "
					 "are "));
	assert_non_null(strstr(out.text, "mock"));

	folder_mkdir(&folder, "agent");
	folder_write(&folder, "agent/container.json", "[");
	snprintf(expected, sizeof(expected),
		 FRAME("{\"status\":\"error\",\"result\":null,\"error\":\"%s/agent/container.json: "
		       "line 1, column 1: ']' expected near end of file\"}"),
		 folder.path);
	assert_run("{\"prompt\":\"hi\"}", 1, expected);
}

static void test_confinement(void **state)
{
	char expected[256];

	(void)state;
	confine_result = 0;
	setenv("AGENT_SANDBOX", "{\"connect\": []}", 1);
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 0);
	snprintf(expected, sizeof(expected), "--connect=none|--workspace=%s|%s--complete|",
		 folder.path, geteuid() == 0 ? "--allow-root|" : "");
	assert_string_equal(confine_words, expected);
	folder_mkdir(&folder, "ipc");
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 0);
	snprintf(expected, sizeof(expected),
		 "--connect=none|--workspace=%s|--session|%s--complete|", folder.path,
		 geteuid() == 0 ? "--allow-root|" : "");
	assert_string_equal(confine_words, expected);
	confine_result = 77;
	assert_run("{\"prompt\":\"hi\"}", 77,
		   FRAME("{\"status\":\"error\",\"result\":null,\"error\":\"no rights of less\"}"));
	assert_string_equal(said.text, "agent-runner: error: no rights of less\n");
	confine_result = 0;
	setenv("AGENT_SANDBOX", "[]", 1);
	assert_run(
		"{\"prompt\":\"hi\"}", 1,
		FRAME("{\"status\":\"error\",\"result\":null,\"error\":\"AGENT_SANDBOX: must be a "
		      "JSON object, found an array\"}"));
}

static void test_no_answer(void **state)
{
	(void)state;
	setenv("AGENT_MOCK_RESULT", "", 1);
	assert_run("{\"prompt\":\"hi\",\"sessionId\":\"s-1\"}", 0,
		   FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":\"s-1\"}")
			   FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":"
				 "\"s-1\"}"));
}

/* What an agent says may be cut anywhere: the frame is JSON all the same. */
static void test_bytes_are_mended(void **state)
{
	(void)state;
	setenv("AGENT_MOCK_RESULT", "a\xff\"b\n", 1);
	assert_run("{\"prompt\":\"hi\",\"sessionId\":\"s-1\"}", 0,
		   FRAME("{\"status\":\"success\",\"result\":\"a\xef\xbf\xbd\\\"b\\n\","
			 "\"newSessionId\":\"s-1\"}")
			   FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":"
				 "\"s-1\"}"));
}

static void test_failures(void **state)
{
	static const struct {
		const char *error, *text;
	} rows[] = {
		{ "auth",
		  "I cannot log in to the AI service: its key or login is missing, wrong or "
		  "expired. Whoever runs me has to renew it." },
		{ "transient", "I could not reach the AI service: it is overloaded or the network "
			       "is down. Please send your message again in a few minutes." },
		{ "crashed", "My agent program broke off while it worked on your message. Please "
			     "try again, or ask in another way." },
		{ "unavailable", "I cannot work: my agent program is missing or does not start. "
				 "Whoever runs me has to repair it." },
	};
	char expected[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setenv("AGENT_MOCK_ERROR", rows[i].error, 1);
		snprintf(expected, sizeof(expected),
			 FRAME("{\"status\":\"error\",\"result\":null,\"newSessionId\":\"s-1\","
			       "\"error\":\"%s\\n\\n(Error: AGENT_MOCK_ERROR)\"}"),
			 rows[i].text);
		assert_run("{\"prompt\":\"hi\",\"sessionId\":\"s-1\"}", 1, expected);
		snprintf(expected, sizeof(expected),
			 "agent-runner: error: the agent failed (%s): AGENT_MOCK_ERROR\n",
			 rows[i].error);
		assert_string_equal(said.text, expected);
	}
}

/* Nobody has to send the request again because its conversation is gone. */
static void test_a_conversation_that_cannot_be_resumed(void **state)
{
	static const char *const errors[] = { "invalid_session", "too_long" };
	static const char start[] =
		"---NANOCLAW_OUTPUT_START---\n{\"status\":\"success\",\"result\":\"echo: hi\","
		"\"newSessionId\":\"mock-";

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		setenv("AGENT_MOCK_ERROR", errors[i], 1);
		assert_int_equal(run("{\"prompt\":\"hi\",\"sessionId\":\"gone\"}"), 0);
		assert_memory_equal(out.text, start, strlen(start));
		assert_null(strstr(out.text, "gone"));
		assert_string_equal(said.text,
				    "agent-runner: warning: the conversation gone cannot "
				    "be resumed: starting a fresh one\n");
	}
}

static void test_scheduled(void **state)
{
	(void)state;
	assert_run(
		"{\"prompt\":\"tick\",\"sessionId\":\"s\",\"isScheduledTask\":true}", 0,
		FRAME("{\"status\":\"success\",\"result\":\"echo: " SCHEDULED
		      "\\n\\ntick\",\"newSessionId\":\"s\"}")
			FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":\"s\"}"));
}

static void test_a_script_that_wakes(void **state)
{
	(void)state;
	folder_mkdir(&folder, "group");
	folder_write(&folder, "group/data", "[1]");
	assert_run(
		"{\"prompt\":\"tick\",\"sessionId\":\"s\",\"isScheduledTask\":true,\"script\":"
		"\"echo \\\"{\\\\\\\"wakeAgent\\\\\\\": true, \\\\\\\"data\\\\\\\": $(cat "
		"data)}\\\"\"}",
		0,
		FRAME("{\"status\":\"success\",\"result\":\"echo: " SCHEDULED
		      "\\n\\nScript output:\\n[\\n  1\\n]\\n\\nInstructions:\\ntick\","
		      "\"newSessionId\":\"s\"}")
			FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":\"s\"}"));
}

/* The agent starts in the folder whose script took all rights from it. */
static void test_a_script_that_locks_the_folder(void **state)
{
	struct stat st;

	(void)state;
	folder_mkdir(&folder, "group");
	assert_int_equal(run("{\"prompt\":\"tick\",\"isScheduledTask\":true,\"script\":"
			     "\"echo '{\\\"wakeAgent\\\":true}'; chmod 0 .\"}"),
			 0);
	assert_int_equal(stat(folder_file(&folder, "group"), &st), 0);
	assert_int_equal(st.st_mode & ALLPERMS, 0700);
}

static void test_a_script_that_does_not(void **state)
{
	(void)state;
	assert_run("{\"prompt\":\"tick\",\"isScheduledTask\":true,\"script\":"
		   "\"echo '{\\\"wakeAgent\\\": false}'\"}",
		   0, FRAME("{\"status\":\"success\",\"result\":null}"));
	assert_string_equal(said.text, "");
	assert_run("{\"prompt\":\"tick\",\"isScheduledTask\":true,\"script\":\"exit 3\"}", 0,
		   FRAME("{\"status\":\"success\",\"result\":null}"));
	assert_string_equal(said.text, "agent-runner: warning: the task's script: exit status 3: "
				       "the agent is not woken\n");
}

/* A person who writes is answered, whatever else is in the request. */
static void test_a_script_gates_the_schedule_only(void **state)
{
	(void)state;
	assert_run(
		"{\"prompt\":\"hi\",\"sessionId\":\"s\",\"script\":\"exit 3\"}", 0,
		FRAME("{\"status\":\"success\",\"result\":\"echo: hi\",\"newSessionId\":\"s\"}")
			FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":\"s\"}"));
}

static void test_sigterm(void **state)
{
	sigset_t set;

	(void)state;
	setenv("AGENT_MOCK_DELAY_MS", "60000", 1);
	/* Pending from the start: it is taken as soon as the request waits for its answer. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_run("{\"prompt\":\"hi\",\"sessionId\":\"s\"}", 1,
		   FRAME("{\"status\":\"error\",\"result\":null,\"newSessionId\":\"s\",\"error\":"
			 "\"ended by signal 15 before there was an answer\"}"));
	assert_string_equal(said.text, "agent-runner: ending on signal 15\n");
}

/* A Claude Code that writes down how it was started. */
static void make_cli(void)
{
	folder_write(&folder, "cli",
		     "#!/bin/sh\n"
		     "cd \"${0%/*}\" && printf '%s' \"$TOKEN-$OTHER\" >token; cd - >/dev/null\n"
		     "printf '%s' \"$PWD\" >\"${0%/*}/pwd\"\n"
		     "for a; do printf '%s|' \"$a\"; done >\"${0%/*}/args\"\n"
		     "read -r line; printf '%s' \"$line\" >\"${0%/*}/first\"\n"
		     "echo '{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\","
		     "\"request_id\":\"initialize\",\"response\":{}}}'\n"
		     "read -r line; printf '%s' \"$line\" >\"${0%/*}/second\"\n"
		     "echo '{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-9\"}'\n"
		     "echo '{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
		     "\"result\":\"done\",\"session_id\":\"s-9\"}'\n"
		     "cat >/dev/null\n");
	assert_int_equal(chmod(folder_file(&folder, "cli"), 0755), 0);
	setenv("AGENT_PROVIDER", "claude", 1);
	setenv("AGENT_CLAUDE_PATH", folder_file(&folder, "cli"), 1);
}

static const char *written(const char *name)
{
	static char text[8192];
	char *read;
	size_t len;

	assert_int_equal(
		fd_read_file(folder_file(&folder, name), sizeof(text) - 1, &read, &len, NULL), 0);
	strcpy(text, read);
	free(read);
	return text;
}

static void test_what_the_agent_is_given(void **state)
{
	char expected[512], pwd[512];

	(void)state;
	make_cli();
	folder_mkdir(&folder, "group");
	folder_mkdir(&folder, "global");
	folder_mkdir(&folder, "extra");
	folder_mkdir(&folder, "extra/b");
	folder_mkdir(&folder, "extra/a");
	folder_write(&folder, "global/CLAUDE.md", "Be kind.");
	assert_run("{\"prompt\":\"hi\",\"secrets\":{\"TOKEN\":\"hunter2\",\"OTHER\":\"x\"}}", 0,
		   FRAME("{\"status\":\"success\",\"result\":\"done\",\"newSessionId\":\"s-9\"}")
			   FRAME("{\"status\":\"success\",\"result\":null,\"newSessionId\":"
				 "\"s-9\"}"));
	assert_string_equal(said.text, "");
	assert_string_equal(written("token"), "hunter2-x");
	assert_null(getenv("TOKEN"));
	snprintf(pwd, sizeof(pwd), "%s/group", folder.path);
	assert_string_equal(written("pwd"), pwd);
	snprintf(expected, sizeof(expected), "--add-dir=%s/extra/a|--add-dir=%s/extra/b|",
		 folder.path, folder.path);
	assert_non_null(strstr(written("args"), expected));
	assert_null(strstr(written("args"), "hunter2"));
	assert_non_null(strstr(written("first"), "\"appendSystemPrompt\":\"Be kind.\""));
	assert_non_null(strstr(written("second"), "\"content\":\"hi\""));
}

/* A project of a person's is the agent's as it is: docker run -v $PWD:/workspace. */
static void test_a_person_s_folder(void **state)
{
	(void)state;
	make_cli();
	assert_int_equal(run("{\"prompt\":\"fix it\"}"), 0);
	assert_string_equal(written("pwd"), folder.path);
	assert_int_equal(access(folder_file(&folder, "group"), F_OK), -1);
}

/* Where the folder cannot be made, the agent works in the workspace. */
static void test_no_folder_can_be_made(void **state)
{
	(void)state;
	make_cli();
	folder_write(&folder, "group", "a file");
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 0);
	assert_string_equal(written("pwd"), folder.path);
}

static void test_the_main_group_is_told_nothing(void **state)
{
	char pwd[512];

	(void)state;
	make_cli();
	folder_mkdir(&folder, "global");
	folder_write(&folder, "global/CLAUDE.md", "Be kind.");
	assert_int_equal(run("{\"prompt\":\"hi\",\"isMain\":true}"), 0);
	assert_null(strstr(written("first"), "kind"));
	/* It had no folder. */
	snprintf(pwd, sizeof(pwd), "%s/group", folder.path);
	assert_string_equal(written("pwd"), pwd);
}

static void test_global_words_that_cannot_be_read(void **state)
{
	char expected[512];

	(void)state;
	folder_mkdir(&folder, "global");
	folder_mkdir(&folder, "global/CLAUDE.md");
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 0);
	snprintf(expected, sizeof(expected),
		 "agent-runner: warning: %s/global/CLAUDE.md: not a regular file: the agent is not "
		 "told of it\n",
		 folder.path);
	assert_string_equal(said.text, expected);
}

/* Those of the container reach the agent only, and those of the request are stronger. */
static void test_secrets_of_the_container(void **state)
{
	(void)state;
	make_cli();
	folder_write(&folder, "cli",
		     "#!/bin/sh\n"
		     "printf '%s' \"$ANTHROPIC_API_KEY-$ANTHROPIC_AUTH_TOKEN\" >\"${0%/*}/token\"\n"
		     "exit 1\n");
	setenv("ANTHROPIC_API_KEY", "ours", 1);
	setenv("ANTHROPIC_AUTH_TOKEN", "both", 1);
	assert_int_equal(run("{\"prompt\":\"hi\",\"secrets\":{\"ANTHROPIC_API_KEY\":\"theirs\"}}"),
			 1);
	assert_string_equal(written("token"), "theirs-both");
	assert_null(getenv("ANTHROPIC_API_KEY"));
	assert_null(getenv("ANTHROPIC_AUTH_TOKEN"));
}

/* They are for the agent, and for nobody else. */
static void test_secrets_stay_secret(void **state)
{
	(void)state;
	setenv("ANTHROPIC_API_KEY", "hunter2", 1);
	assert_int_equal(run("{\"prompt\":\"tick\",\"isScheduledTask\":true,\"secrets\":{\"TOKEN\":"
			     "\"hunter2\"},\"script\":\"echo \\\"[$TOKEN]\\\" >&2; env >seen; echo "
			     "'{\\\"wakeAgent\\\": 1}'\"}"),
			 0);
	assert_non_null(strstr(written("seen"), "PATH="));
	assert_null(strstr(written("seen"), "hunter2"));
	assert_null(strstr(out.text, "hunter2"));
	assert_null(strstr(said.text, "hunter2"));
	assert_null(strstr(written("input.json"), "hunter2"));
	assert_non_null(strstr(written("input.json"), "\"prompt\":\"tick\""));
}

static void test_a_copy_that_cannot_be_kept(void **state)
{
	char expected[512];

	(void)state;
	folder_mkdir(&folder, "input.json");
	assert_int_equal(run("{\"prompt\":\"hi\"}"), 0);
	snprintf(expected, sizeof(expected),
		 "agent-runner: warning: the request is not kept for inspection: %s/input.json: Is "
		 "a "
		 "directory\n",
		 folder.path);
	assert_string_equal(said.text, expected);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_answer),
		CASE(test_a_new_conversation_is_told),
		CASE(test_blank_input_is_no_request),
		CASE(test_what_is_no_request),
		CASE(test_a_request_that_is_too_long),
		CASE(test_configuration),
		CASE(test_confinement),
		CASE(test_no_folder_can_be_made),
		CASE(test_no_answer),
		CASE(test_bytes_are_mended),
		CASE(test_failures),
		CASE(test_a_conversation_that_cannot_be_resumed),
		CASE(test_scheduled),
		CASE(test_a_script_that_wakes),
		CASE(test_a_script_that_locks_the_folder),
		CASE(test_a_script_that_does_not),
		CASE(test_a_script_gates_the_schedule_only),
		CASE(test_sigterm),
		CASE(test_what_the_agent_is_given),
		CASE(test_a_person_s_folder),
		CASE(test_the_main_group_is_told_nothing),
		CASE(test_global_words_that_cannot_be_read),
		CASE(test_secrets_of_the_container),
		CASE(test_secrets_stay_secret),
		CASE(test_a_copy_that_cannot_be_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
