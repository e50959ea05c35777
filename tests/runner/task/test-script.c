/* SPDX-License-Identifier: MIT */
#include "runner/task/script.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "runner/io/json.h"
#include "tests/folder.h"
#include "tests/test.h"

/* No limit that a script here is meant to reach. */
#define LONG_MS (60 * 1000)

static struct {
	struct folder folder;
	struct loop *loop;
	struct children *children;
	struct loop_timer *watchdog;
	struct script *script;
	bool wake;
	char *data; /* compact JSON; NULL: none */
	char problem[SCRIPT_PROBLEM_MAX];
	int calls;
} world;

static void on_watchdog(void *userdata)
{
	(void)userdata;
	loop_stop(world.loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	folder_make(&world.folder);
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(children_new(world.loop, NULL, NULL, &world.children, NULL), 0);
	assert_int_equal(loop_timer_new(world.loop, on_watchdog, NULL, &world.watchdog), 0);
	loop_timer_arm(world.watchdog, LONG_MS);
	return 0;
}

/* What a script moved to another session outlives it, and became ours. */
static void kill_leftovers(void)
{
	/* One that dies leaves its own children to us before it can be reaped: those come next. */
	do
		(void)children_kill_orphans(world.children);
	while (waitpid(-1, NULL, 0) > 0);
}

static int teardown(void **state)
{
	(void)state;
	script_free(world.script);
	kill_leftovers();
	loop_timer_free(world.watchdog);
	children_free(world.children);
	loop_free(world.loop);
	free(world.data);
	folder_remove(&world.folder);
	return 0;
}

static void on_done(void *userdata, const struct script_outcome *outcome)
{
	cleanup_strbuf struct strbuf data = STRBUF_EMPTY;

	(void)userdata;
	world.calls++;
	world.wake = outcome->wake;
	free(steal_ptr(world.data));
	if (outcome->data) {
		json_append_compact(&data, outcome->data);
		world.data = strbuf_steal(&data);
	}
	(void)snprintf(world.problem, sizeof(world.problem), "%s",
		       outcome->problem ? outcome->problem : "");
	/* It may free itself; what stands in outcome was borrowed. */
	script_free(steal_ptr(world.script));
	loop_stop(world.loop, 0);
}

static void run_spec(const struct script_spec *spec)
{
	struct err err = { "" };

	world.calls = 0;
	if (script_start(world.loop, world.children, spec, on_done, NULL, &world.script, &err) < 0)
		fail_msg("%s", err.text);
	/* Never from within script_start(). */
	assert_int_equal(world.calls, 0);
	assert_int_equal(loop_run(world.loop, NULL), 0);
	assert_int_equal(world.calls, 1);
}

static void run(const char *text)
{
	run_spec(&(struct script_spec){
		.text = text, .cwd = world.folder.path, .id = "task-1", .limit_ms = LONG_MS });
}

static void assert_wakes(const char *data)
{
	assert_string_equal(world.problem, "");
	assert_true(world.wake);
	if (data)
		assert_string_equal(world.data, data);
	else
		assert_null(world.data);
}

static void assert_problem(const char *problem)
{
	assert_string_equal(world.problem, problem);
	assert_false(world.wake);
	assert_null(world.data);
}

/* Outcomes */

static void test_wakes(void **state)
{
	static const struct {
		const char *text, *data;
	} rows[] = {
		{ "echo '{\"wakeAgent\":true}'", NULL },
		{ "echo '{\"wakeAgent\":true,\"data\":{\"new\":[1,\"a\"]}}'",
		  "{\"new\":[1,\"a\"]}" },
		{ "echo '{\"wakeAgent\":true,\"data\":null}'", NULL },
		{ "echo '{\"wakeAgent\":true,\"data\":0}'", "0" },
		/* the last line that holds anything counts */
		{ "echo noise; echo '{\"wakeAgent\":true}'; echo; printf '  \\n\\n'", NULL },
		{ "echo '{\"wakeAgent\":false}'; echo ' {\"wakeAgent\":true} '", NULL },
		{ "printf '{\"wakeAgent\":true}'", NULL },
		{ "printf '{\"wakeAgent\":true}\\r\\n'", NULL },
		/* stderr is nobody's business */
		{ "echo trouble >&2; echo '{\"wakeAgent\":true}'", NULL },
		{ "echo '{\"wakeAgent\":true}'; exit 0; echo never", NULL },
		{ "false\necho '{\"wakeAgent\":true}'", NULL },
		{ "exec echo '{\"wakeAgent\":true}'", NULL },
		{ "trap 'echo \"{\\\"wakeAgent\\\":true}\"' EXIT", NULL },
		{ "cat <<X\n{\"wakeAgent\":true}\nX\n", NULL },
		{ "# a comment\n[[ a == a ]] && echo '{\"wakeAgent\":true}' # bash", NULL },
		/* a script, and no option of the shell's */
		{ "-n 2>/dev/null; echo '{\"wakeAgent\":true}'", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		run(rows[i].text);
		assert_wakes(rows[i].data);
	}
}

static void test_sleeps_on(void **state)
{
	(void)state;
	run("echo '{\"wakeAgent\":false,\"data\":1}'");
	assert_string_equal(world.problem, "");
	assert_false(world.wake);
}

static void test_problems(void **state)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{ ":", "no output" },
		{ "echo; echo '   '", "no output" },
		{ "echo wake", "the last line of its output is not JSON" },
		{ "echo '{\"wakeAgent\":true'", "the last line of its output is not JSON" },
		{ "echo '{\"wakeAgent\":true}'; echo done",
		  "the last line of its output is not JSON" },
		{ "printf '{\"wakeAgent\":\\ntrue}'", "the last line of its output is not JSON" },
		{ "echo true", "the last line of its output has no boolean \"wakeAgent\"" },
		{ "echo '[]'", "the last line of its output has no boolean \"wakeAgent\"" },
		{ "echo '{}'", "the last line of its output has no boolean \"wakeAgent\"" },
		{ "echo '{\"wakeAgent\":\"true\"}'",
		  "the last line of its output has no boolean \"wakeAgent\"" },
		{ "echo '{\"wakeAgent\":1}'",
		  "the last line of its output has no boolean \"wakeAgent\"" },
		{ "echo '{\"wakeAgent\":true}'; exit 3", "exit status 3" },
		{ "echo one >&2; echo two >&2; exit 1", "exit status 1: two" },
		{ "kill -KILL $$", "killed by signal 9" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		run(rows[i].text);
		assert_problem(rows[i].problem);
	}
}

static void test_syntax_error(void **state)
{
	(void)state;
	run("echo '{\"wakeAgent\":true}'\nif");
	assert_false(world.wake);
	assert_memory_equal(world.problem, "exit status ", 12);
	assert_non_null(strstr(world.problem, "syntax error"));
}

static void test_long_complaint_is_cut(void **state)
{
	char expected[300];
	int n = snprintf(expected, sizeof(expected), "exit status 1: ");

	(void)state;
	memset(expected + n, 'x', 200);
	expected[n + 200] = '\0';
	run("printf 'x%.0s' {1..500} >&2; exit 1");
	assert_problem(expected);
}

/* Surroundings */

static void test_surroundings(void **state)
{
	char expected[256];

	(void)state;
	run("printf '{\"wakeAgent\":true,\"data\":[\"%s\",\"%s\",\"%s\"]}' \"$0\" \"$PWD\" "
	    "\"$(cat | wc -c)\"");
	(void)snprintf(expected, sizeof(expected), "[\"task-1\",\"%s\",\"0\"]", world.folder.path);
	assert_wakes(expected);
	run_spec(&(struct script_spec){
		.text = "printf '{\"wakeAgent\":true,\"data\":\"%s\"}' \"$0\"",
		.limit_ms = LONG_MS });
	assert_wakes("\"task\"");
	/* A session of its own, which it leads. */
	run("read -r _ _ _ _ group session _ < /proc/$$/stat\n"
	    "[ $group = $$ ] && [ $session = $$ ] && echo '{\"wakeAgent\":true}'");
	assert_wakes(NULL);
}

/* Longer than an argument of a program may be. */
static void test_long_script(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)state;
	for (int i = 0; i < 10000; i++)
		strbuf_puts(&text, "# a line that says nothing\n");
	strbuf_puts(&text, "echo '{\"wakeAgent\":true}'");
	assert_true(text.len > 256 * 1024);
	run(text.data);
	assert_wakes(NULL);
}

static void test_cannot_start(void **state)
{
	struct script_spec spec = { .text = "echo '{\"wakeAgent\":true}'", .limit_ms = LONG_MS };
	char problem[256];

	(void)state;
	spec.cwd = folder_file(&world.folder, "none");
	run_spec(&spec);
	(void)snprintf(
		problem, sizeof(problem),
		"exit status 126: agent-runner: error: cannot start the program: %s: No such "
		"file or directory",
		spec.cwd);
	assert_problem(problem);
}

/* Limits */

static void test_output(void **state)
{
	(void)state;
	/* So many bytes as there may be, and one more; the last line has no end of its own. */
	run("head -c 1048557 /dev/zero | tr '\\0' x; printf '\\n{\"wakeAgent\":true}'");
	assert_wakes(NULL);
	run("head -c 1048558 /dev/zero | tr '\\0' x; printf '\\n{\"wakeAgent\":true}'");
	assert_problem("wrote more than 1048576 bytes");
}

static void test_flood(void **state)
{
	static const char *const texts[] = {
		"yes",
		"cat /dev/zero",
		"yes ''",
		"head -c 1048577 /dev/zero; echo '{\"wakeAgent\":true}'",
		"trap '' TERM; yes",
		"yes '{\"wakeAgent\":true}' | head -n 60000",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		run_spec(&(struct script_spec){
			.text = texts[i], .limit_ms = LONG_MS, .grace_ms = 1 });
		assert_problem("wrote more than 1048576 bytes");
	}
}

static void test_limit(void **state)
{
	static const char *const texts[] = {
		"sleep 1000",
		"exec sleep 1000",
		"while :; do :; done",
		"echo '{\"wakeAgent\":true}'; sleep 1000",
		/* does not listen, and neither do its children */
		"trap '' TERM; sleep 1000; sleep 1000",
		"trap '' TERM INT HUP; while :; do sleep 1000; done",
		/* keeps stdout open from another session */
		"setsid sleep 1000 & sleep 1000",
		/* closes its outputs, but stays */
		"exec >&- 2>&-; sleep 1000",
		"kill -STOP $BASHPID",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		run_spec(&(struct script_spec){ .text = texts[i], .limit_ms = 20, .grace_ms = 20 });
		assert_problem("took longer than 20 ms");
	}
}

/* The time between SIGTERM and SIGKILL is the script's. */
static void test_grace(void **state)
{
	cleanup_free char *text = NULL;
	size_t len;

	(void)state;
	run_spec(&(struct script_spec){ .text = "trap 'echo tidied > tidied; echo "
						"\"{\\\"wakeAgent\\\":true}\"; exit 0' TERM\n"
						"yes",
					.cwd = world.folder.path,
					.limit_ms = LONG_MS,
					.grace_ms = LONG_MS });
	assert_problem("wrote more than 1048576 bytes");
	assert_int_equal(fd_read_file(folder_file(&world.folder, "tidied"), 99, &text, &len, NULL),
			 0);
	assert_string_equal(text, "tidied\n");
}

/* The process whose id stands in the file. */
static pid_t pid_in(const char *name)
{
	cleanup_free char *text = NULL;
	size_t len;

	assert_int_equal(fd_read_file(folder_file(&world.folder, name), 99, &text, &len, NULL), 0);
	return (pid_t)strtol(text, NULL, 10);
}

/* A process that we inherited was killed. It was reaped by the loop already, or is now. */
static void assert_dies(pid_t pid)
{
	siginfo_t info;

	if (waitid(P_PID, (id_t)pid, &info, WEXITED) == 0)
		assert_int_equal(info.si_status, SIGKILL);
	assert_int_equal(kill(pid, 0), -1);
}

/* What it leaves behind holds nothing up, though it keeps the outputs open, and is not left. */
static void test_leaves_a_child(void **state)
{
	(void)state;
	run("sleep 1000 & echo $! > pid; echo '{\"wakeAgent\":true}'");
	assert_wakes(NULL);
	assert_dies(pid_in("pid"));
}

/* A script that was stopped leaves nothing behind in its group. */
static void test_stopped_leaves_nothing(void **state)
{
	(void)state;
	run_spec(&(struct script_spec){
		.text = "(trap '' TERM; echo > up; exec sleep 1000) & echo $! > pid\n"
			"while [ ! -e up ]; do :; done; yes",
		.cwd = world.folder.path,
		.limit_ms = LONG_MS,
		.grace_ms = LONG_MS });
	assert_problem("wrote more than 1048576 bytes");
	assert_dies(pid_in("pid"));
}

static void test_free_kills(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(script_start(world.loop, world.children,
				      &(struct script_spec){ .text = "sleep 1000" }, on_done, NULL,
				      &world.script, &err),
			 0);
	script_free(steal_ptr(world.script));
	script_free(NULL);
	assert_int_equal(world.calls, 0);
	assert_int_equal(waitpid(-1, NULL, 0) > 0, 1);
	assert_int_equal(world.calls, 0);
}

/* The script in a row */

static void test_text(void **state)
{
	static const struct {
		const char *content;
		const char *text; /* NULL: none */
	} rows[] = {
		{ "{\"script\":\"echo hi\\n\",\"prompt\":\"p\"}", "echo hi\n" },
		{ "{\"script\":\"caf\\u00e9\"}", "caf\xc3\xa9" },
		{ "{\"script\":\"\"}", NULL },
		{ "{\"script\":null}", NULL },
		{ "{\"script\":5}", NULL },
		{ "{\"script\":[\"echo\"]}", NULL },
		{ "{\"prompt\":\"p\"}", NULL },
		{ "\"script\"", NULL },
		{ "[]", NULL },
		{ "null", NULL },
		{ "", NULL },
		{ "echo hi", NULL },
		{ "{\"script\":\"echo", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char *text = NULL;

		assert_int_equal(script_text(rows[i].content, strlen(rows[i].content), &text),
				 rows[i].text != NULL);
		if (rows[i].text)
			assert_string_equal(text, rows[i].text);
		else
			assert_null(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sleeps_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
		cmocka_unit_test_setup_teardown(test_syntax_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_complaint_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_surroundings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_script, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves_a_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_kills, setup, teardown),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
