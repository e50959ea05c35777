/* SPDX-License-Identifier: MIT */
/* This program is the one that is called bun, too: started by that name it becomes the real one. */
#include "entrypoint/dropin.h"

#include <sys/wait.h>

#include "common/table.h"
#include "tests/capture.h"
#include "tests/folder.h"

#define WORDS 6

static struct folder folder;
static struct capture out, err;
static char *saved_path;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	unsetenv("AGENT_REAL_BUN");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	setenv("PATH", saved_path, 1);
	unsetenv("AGENT_REAL_BUN");
	folder_remove(&folder);
	return 0;
}

static void test_the_name(void **state)
{
	(void)state;
	assert_true(dropin_is_bun("bun"));
	assert_true(dropin_is_bun("/usr/local/bin/bun"));
	assert_false(dropin_is_bun("agent-runner"));
	assert_false(dropin_is_bun("bunx"));
	assert_false(dropin_is_bun("/bun/x"));
	assert_false(dropin_is_bun(""));
}

static void test_scripts(void **state)
{
	static const struct {
		const char *words[WORDS];
		enum cli_mode mode;
		int rest;
	} rows[] = {
		{ { "bun", "run", "/app/src/index.ts" }, CLI_SESSION, 3 },
		{ { "bun", "/app/src/index.ts", "--grace=1s" }, CLI_SESSION, 2 },
		{ { "bun", "run", "/app/src/mcp-tools/index.ts" }, CLI_MCP, 3 },
		{ { "bun", "/app/src/cli/ncl.ts", "help" }, CLI_NCL, 2 },
		{ { "bun", "run", "/app/src/cli/ncl.ts", "help" }, CLI_NCL, 3 },
		{ { "bun", "/app/src/compact-instructions.ts" }, CLI_COMPACT_INSTRUCTIONS, 2 },
		{ { "bun" }, CLI_MODES, -1 },
		{ { "bun", "run" }, CLI_MODES, -1 },
		{ { "bun", "run", "run", "/app/src/index.ts" }, CLI_MODES, -1 },
		{ { "bun", "test", "/app/src/index.ts" }, CLI_MODES, -1 },
		{ { "bun", "--watch", "/app/src/index.ts" }, CLI_MODES, -1 },
		{ { "bun", "index.ts" }, CLI_MODES, -1 },
		{ { "bun", "/app/src/index.tsx" }, CLI_MODES, -1 },
		{ { "bun", "/app/src/" }, CLI_MODES, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *argv[WORDS];
		int argc = 0, rest = -1;

		memcpy(argv, rows[i].words, sizeof(argv));
		while (argc < WORDS && argv[argc])
			argc++;
		assert_int_equal(dropin_mode(argc, argv, &rest), rows[i].mode);
		assert_int_equal(rest, rows[i].rest);
	}
}

/* The real one */

static void make_script(const char *name, const char *text)
{
	folder_write(&folder, name, text);
	assert_int_equal(chmod(folder_file(&folder, name), 0755), 0);
}

static void make_copy(const char *name)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "cp -p \"$(readlink /proc/%d/exe)\" %s",
		       (int)getpid(), folder_file(&folder, name));
	assert_int_equal(system(command), 0);
}

/* A PATH of these folders of ours. */
static void set_path(const char *a, const char *b, const char *c)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "::relative:%s/%s:%s/%s:%s/%s", folder.path, a,
		       folder.path, b, folder.path, c);
	setenv("PATH", path, 1);
}

/* Becomes bun in a child; its exit code, and what it said is in out and err. */
static int run(const char *word)
{
	char *argv[] = { (char[]){ "bun" }, (char *)(uintptr_t)word, NULL };
	int status = -1;
	pid_t pid;

	capture_start(&out, STDOUT_FILENO);
	capture_start(&err, STDERR_FILENO);
	pid = fork();
	if (pid == 0)
		_exit(dropin_exec(argv));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)capture_stop(&err);
	(void)capture_stop(&out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_the_one_that_is_named(void **state)
{
	(void)state;
	make_script("real", "#!/bin/sh\necho \"real: $*\"\nexit 7\n");
	setenv("AGENT_REAL_BUN", folder_file(&folder, "real"), 1);
	assert_int_equal(run("test"), 7);
	assert_string_equal(out.text, "real: test\n");
	assert_string_equal(err.text, "");
}

static void test_the_first_other_one_in_path(void **state)
{
	(void)state;
	folder_mkdir(&folder, "a");
	folder_mkdir(&folder, "b");
	folder_mkdir(&folder, "c");
	/* A link to us, a folder, what cannot be executed: none is a bun. */
	assert_int_equal(symlink("/proc/self/exe", folder_file(&folder, "a/bun")), 0);
	make_script("b/bun", "#!/bin/sh\necho \"real: $*\"\n");
	make_script("c/bun", "#!/bin/sh\necho wrong\n");
	set_path("a", "b", "c");
	assert_int_equal(run("test"), 0);
	assert_string_equal(out.text, "real: test\n");

	assert_int_equal(unlink(folder_file(&folder, "b/bun")), 0);
	folder_mkdir(&folder, "b/bun");
	assert_int_equal(run("test"), 0);
	assert_string_equal(out.text, "wrong\n");
	assert_int_equal(chmod(folder_file(&folder, "c/bun"), 0644), 0);
	assert_int_equal(run("test"), 127);
}

static void test_there_is_none(void **state)
{
	(void)state;
	set_path("a", "b", "c");
	assert_int_equal(run("test"), 127);
	assert_string_equal(
		err.text,
		"agent-runner: error: bun test: agent-runner stands in for some scripts only, and "
		"there is no other bun in PATH; AGENT_REAL_BUN can name one\n");
	assert_int_equal(run(NULL), 127);
	assert_memory_equal(err.text, "agent-runner: error: bun: agent-runner stands in", 47);
	unsetenv("PATH");
	assert_int_equal(run("test"), 127);
	setenv("AGENT_REAL_BUN", "/nowhere/bun", 1);
	assert_int_equal(run("test"), 127);
	assert_string_equal(err.text, "agent-runner: error: bun: AGENT_REAL_BUN=/nowhere/bun: no "
				      "program, or this one\n");
	setenv("AGENT_REAL_BUN", "/proc/self/exe", 1);
	assert_int_equal(run("test"), 127);
}

static void test_it_cannot_be_executed(void **state)
{
	char expected[256];

	(void)state;
	make_script("real", "\177ELF and nothing else");
	setenv("AGENT_REAL_BUN", folder_file(&folder, "real"), 1);
	assert_int_equal(run("test"), 126);
	(void)snprintf(expected, sizeof(expected),
		       "agent-runner: error: bun: %s/real: cannot be executed: Exec format error\n",
		       folder.path);
	assert_string_equal(err.text, expected);
}

/* COPY --from and cp -L make other files of us: none of them is asked twice. */
static void test_copies(void **state)
{
	(void)state;
	folder_mkdir(&folder, "a");
	folder_mkdir(&folder, "b");
	folder_mkdir(&folder, "c");
	make_copy("a/bun");
	make_copy("b/bun");
	set_path("a", "b", "c");
	assert_int_equal(run("test"), 127);
	assert_non_null(strstr(err.text, "there is no other bun in PATH"));
	make_script("c/bun", "#!/bin/sh\necho \"real: $*\"\n");
	setenv("PATH", saved_path, 1);
	set_path("a", "b", "c");
	assert_int_equal(run("test"), 0);
	assert_string_equal(out.text, "real: test\n");
}

static void test_a_script_that_leads_back(void **state)
{
	char text[512];

	(void)state;
	folder_mkdir(&folder, "a");
	folder_mkdir(&folder, "back");
	make_copy("back/bun");
	(void)snprintf(text, sizeof(text), "#!/bin/sh\nexec %s/back/bun \"$@\"\n", folder.path);
	make_script("a/bun", text);
	set_path("a", "b", "c");
	assert_int_equal(run("test"), 127);
	assert_non_null(strstr(err.text, "there is no other bun in PATH"));
	setenv("AGENT_REAL_BUN", folder_file(&folder, "a/bun"), 1);
	assert_int_equal(run("test"), 127);
	assert_non_null(strstr(err.text, "/a/bun: leads back to this program\n"));
}

/* A bun that the real one starts is looked for anew. */
static void test_a_bun_below_bun(void **state)
{
	char text[512];

	(void)state;
	folder_mkdir(&folder, "a");
	folder_mkdir(&folder, "back");
	make_copy("back/bun");
	(void)snprintf(text, sizeof(text),
		       "#!/bin/sh\n"
		       "[ \"$1\" = inner ] && echo inner && exit\n"
		       "%s/back/bun inner; echo outer\n",
		       folder.path);
	make_script("a/bun", text);
	set_path("a", "b", "c");
	assert_int_equal(run("test"), 0);
	assert_string_equal(out.text, "inner\nouter\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_name),
		cmocka_unit_test(test_scripts),
		CASE(test_the_one_that_is_named),
		CASE(test_the_first_other_one_in_path),
		CASE(test_there_is_none),
		CASE(test_it_cannot_be_executed),
		CASE(test_copies),
		CASE(test_a_script_that_leads_back),
		CASE(test_a_bun_below_bun),
	};

	if (argc > 0 && dropin_is_bun(argv[0]))
		return dropin_exec(argv);
	saved_path = strdup(getenv("PATH"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
