/* SPDX-License-Identifier: MIT */
#include "entrypoint/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/table.h"
#include "tests/test.h"

#define WORDS 8

/* Parses words (NULL-terminated), with stdin as this descriptor. */
static int parse(const char *const words[WORDS], int stdin_fd, struct cli *ret_cli, struct err *err)
{
	/* The result points into it. */
	static char *argv[WORDS + 1];
	int argc = 0;

	memset(argv, 0, sizeof(argv));
	memcpy(argv, words, WORDS * sizeof(argv[0]));
	while (argv[argc])
		argc++;
	return cli_parse(argc, argv, stdin_fd, ret_cli, err);
}

static void test_modes(void **state)
{
	static const struct {
		const char *words[WORDS];
		enum cli_mode mode;
		const char *command; /* its first word */
	} cases[] = {
		{ { "agent-runner" }, CLI_SESSION },
		{ { "agent-runner", "--" }, CLI_SESSION },
		{ { "agent-runner", "--allow-root" }, CLI_SESSION },
		{ { "agent-runner", "bash" }, CLI_COMMAND, "bash" },
		{ { "agent-runner", "bash", "--keep-alive" }, CLI_COMMAND, "bash" },
		{ { "agent-runner", "-g", "bash", "--help" }, CLI_COMMAND, "bash" },
		{ { "agent-runner", "--", "bash" }, CLI_COMMAND, "bash" },
		{ { "agent-runner", "--", "confine" }, CLI_COMMAND, "confine" },
		{ { "agent-runner", "--", "--help" }, CLI_COMMAND, "--help" },
		{ { "agent-runner", "session" }, CLI_COMMAND, "session" },
		{ { "agent-runner", "--role=agent", "bash" }, CLI_COMMAND, "bash" },
		{ { "agent-runner", "--allow-root", "--keep-alive" }, CLI_KEEP_ALIVE },
		{ { "agent-runner", "--keep-alive", "--allow-root" }, CLI_KEEP_ALIVE },
		{ { "agent-runner", "--keep-alive", "--install-deps" }, CLI_KEEP_ALIVE },
		{ { "agent-runner", "--install-deps", "ls" }, CLI_COMMAND, "ls" },
		{ { "agent-runner", "--healthcheck", "--json" }, CLI_HEALTHCHECK },
		{ { "agent-runner", "confine", "--role", "agent", "--", "ls" }, CLI_CONFINE, "ls" },
		{ { "agent-runner", "confine", "--role=agent", "ls", "-g" }, CLI_CONFINE, "ls" },
		{ { "agent-runner", "--allow-root", "confine", "--role=agent", "ls" },
		  CLI_CONFINE,
		  "ls" },
		{ { "agent-runner", "--help" }, CLI_HELP },
		{ { "agent-runner", "-h", "bash" }, CLI_HELP },
		{ { "agent-runner", "confine", "--help" }, CLI_HELP },
		{ { "agent-runner", "--json", "--version" }, CLI_VERSION },
		{ { "agent-runner", "mcp" }, CLI_MCP },
		{ { "agent-runner", "mcp", "--workspace=/w" }, CLI_MCP },
		{ { "agent-runner", "--workspace=/w", "compact-instructions" },
		  CLI_COMPACT_INSTRUCTIONS },
		{ { "agent-runner", "ncl" }, CLI_NCL },
		{ { "/usr/local/bin/ncl" }, CLI_NCL },
		{ { "/usr/local/bin/mcp" }, CLI_MCP },
		/* What follows is ncl's own. */
		{ { "agent-runner", "ncl", "--help" }, CLI_NCL, "--help" },
		{ { "agent-runner", "--workspace=/w", "ncl", "--json", "a" }, CLI_NCL, "--json" },
		{ { "ncl", "--version" }, CLI_NCL, "--version" },
		{ { "ncl", "--", "-x" }, CLI_NCL, "--" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli cli;
		struct err err = { "" };

		assert_int_equal(parse(cases[i].words, -1, &cli, &err), 0);
		assert_int_equal(cli.mode, cases[i].mode);
		if (cases[i].command)
			assert_string_equal(cli.command[0], cases[i].command);
		else if (cli.mode != CLI_HELP)
			assert_null(cli.command);
	}
}

static void test_stdin(void **state)
{
	const char *const words[WORDS] = { "agent-runner" };
	char path[] = "/tmp/test-cli-XXXXXX";
	int ends[2], null, file;
	struct cli cli;
	struct err err;

	(void)state;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	file = mkstemp(path);
	assert_true(null >= 0 && file >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(parse(words, null, &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_SESSION);
	assert_int_equal(parse(words, -1, &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_SESSION);
	assert_int_equal(parse(words, file, &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_ONCE);
	close(file);
	close(null);

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(parse(words, ends[0], &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_ONCE);
	close(ends[0]);
	close(ends[1]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(parse(words, ends[0], &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_ONCE);
	close(ends[0]);
	close(ends[1]);
}

static void test_terminal_stdin(void **state)
{
	const char *const words[WORDS] = { "agent-runner" };
	int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct cli cli;
	struct err err;

	(void)state;
	assert_true(terminal >= 0);
	assert_int_equal(parse(words, terminal, &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_SESSION);
	close(terminal);
}

static void test_options(void **state)
{
	static const char *const words[WORDS] = { "agent-runner", "--workspace=/w",
						  "--user=1:2",	  "--allow-root",
						  "--chown=no",	  "--no-mount-check",
						  "--grace=2s",	  "--log-level=debug" };
	static const char *const none[WORDS] = { "agent-runner" };
	struct cli cli;
	struct err err;

	(void)state;
	assert_int_equal(parse(none, -1, &cli, &err), 0);
	assert_string_equal(cli.workspace, "/workspace");
	assert_null(cli.user);
	assert_null(cli.role);
	assert_int_equal(cli.chown, CLI_CHOWN_TOP);
	assert_int_equal(cli.log_level, LOG_LEVEL_INFO);
	assert_false(cli.allow_root || cli.no_mount_check || cli.to_group || cli.json);

	assert_int_equal(parse(words, -1, &cli, &err), 0);
	assert_string_equal(cli.workspace, "/w");
	assert_string_equal(cli.user, "1:2");
	assert_int_equal(cli.chown, CLI_CHOWN_NO);
	assert_int_equal(cli.grace_ms, 2000);
	assert_int_equal(cli.log_level, LOG_LEVEL_DEBUG);
	assert_true(cli.allow_root && cli.no_mount_check);
	assert_false(cli.to_group);
}

static void test_confine(void **state)
{
	static const char *const by_hand[WORDS] = { "agent-runner", "confine",	   "--role=agent",
						    "--user=1",	    "--connect=1", "ls" };
	static const char *const by_loop[WORDS] = { "agent-runner", "confine", "--role=agent",
						    "--complete", "ls" };
	struct cli cli;
	struct err err;

	(void)state;
	assert_int_equal(parse(by_hand, -1, &cli, &err), 0);
	assert_string_equal(cli.user, "1");
	assert_int_equal(cli.sandbox.connect.count, 1);
	assert_false(cli.complete || cli.names_workspace);
	assert_int_equal(parse(by_loop, -1, &cli, &err), 0);
	assert_null(cli.user);
	assert_true(cli.complete);
}

static void test_grace(void **state)
{
	static const struct {
		const char *words[WORDS];
		int64_t ms;
	} cases[] = {
		{ { "agent-runner" }, 800 },
		{ { "agent-runner", "bash" }, CLI_GRACE_NONE },
		{ { "agent-runner", "--keep-alive" }, CLI_GRACE_NONE },
		{ { "agent-runner", "--grace=none" }, CLI_GRACE_NONE },
		{ { "agent-runner", "--grace=0" }, 0 },
		{ { "agent-runner", "--grace", "5", "bash" }, 5000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli cli;
		struct err err;

		assert_int_equal(parse(cases[i].words, -1, &cli, &err), 0);
		assert_int_equal(cli.grace_ms, cases[i].ms);
	}
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *words[WORDS];
		const char *text;
	} cases[] = {
		{ { "agent-runner", "--frob" }, "--frob: unknown option" },
		{ { "agent-runner", "--workspace" }, "--workspace: needs a value, DIR" },
		{ { "agent-runner", "--workspace=w" }, "--workspace: \"w\" is no absolute path" },
		{ { "agent-runner", "--user=" },
		  "--user: is empty; UID, UID:GID or a name is expected" },
		{ { "agent-runner", "--chown=all" },
		  "--chown: \"all\" is none of top, recursive, no" },
		{ { "agent-runner", "--grace=soon" },
		  "--grace: \"soon\" is no time span like 800ms, 5s, 2m, or none" },
		{ { "agent-runner", "--grace=2h" }, "--grace: \"2h\" is not within 0 and 1h" },
		{ { "agent-runner", "--log-level=loud" },
		  "--log-level: \"loud\" is none of error, warning, info, debug" },
		{ { "agent-runner", "--role=runner", "ls" },
		  "--role: there is no role \"runner\": there is agent" },
		{ { "agent-runner", "--role=agent" }, "--role: means nothing in session mode" },
		{ { "agent-runner", "--install-deps" },
		  "--install-deps: means nothing in session mode" },
		{ { "agent-runner", "--json", "ls" }, "--json: means nothing in command mode" },
		{ { "agent-runner", "--healthcheck", "-g" },
		  "--group: means nothing in healthcheck mode" },
		{ { "agent-runner", "--keep-alive", "ls" }, "ls: --keep-alive takes no command" },
		{ { "agent-runner", "--keep-alive", "--healthcheck" },
		  "--keep-alive: means nothing in healthcheck mode" },
		{ { "agent-runner", "--keep-alive", "confine", "--role=agent", "ls" },
		  "--role: means nothing in keep-alive mode" },
		{ { "agent-runner", "--keep-alive", "confine", "ls" },
		  "confine: not together with --keep-alive" },
		{ { "agent-runner", "confine", "ls" }, "confine: --role is missing" },
		{ { "agent-runner", "confine", "--role=agent" }, "confine: a command is missing" },
		{ { "agent-runner", "--role=agent", "--complete", "ls" },
		  "--complete: means nothing in command mode" },
		{ { "agent-runner", "mcp", "--user=1" }, "--user: means nothing in mcp mode" },
		{ { "agent-runner", "mcp", "--anything" }, "--anything: unknown option" },
		{ { "agent-runner", "mcp", "x" }, "x: mcp takes no command" },
		{ { "agent-runner", "mcp", "--json" }, "--json: means nothing in mcp mode" },
		{ { "agent-runner", "--json", "ncl", "tasks" },
		  "--json: means nothing in ncl mode" },
		{ { "agent-runner", "--keep-alive", "ncl", "tasks" },
		  "ncl: not together with --keep-alive" },
		{ { "bun", "run", "/app/src/index.ts", "x" }, "x: session takes no command" },
		{ { "bun", "run", "/app/src/index.ts", "--keep-alive" },
		  "session: not together with --keep-alive" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli cli;
		struct err err = { "" };

		assert_int_equal(parse(cases[i].words, -1, &cli, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].text);
	}
}

static void test_bun(void **state)
{
	static const struct {
		const char *words[WORDS];
		enum cli_mode mode;
		const char *command; /* its first word */
	} cases[] = {
		{ { "bun", "run", "/app/src/index.ts" }, CLI_SESSION },
		{ { "/usr/local/bin/bun", "/app/src/index.ts", "--grace=1s" }, CLI_SESSION },
		{ { "bun", "run", "/app/src/mcp-tools/index.ts" }, CLI_MCP },
		{ { "bun", "/app/src/cli/ncl.ts", "groups", "list" }, CLI_NCL, "groups" },
		{ { "bun", "/app/src/cli/ncl.ts", "--help" }, CLI_NCL, "--help" },
		{ { "bun", "/app/src/cli/ncl.ts" }, CLI_NCL },
		{ { "bun", "/app/src/compact-instructions.ts" }, CLI_COMPACT_INSTRUCTIONS },
		/* Not ours: all words are handed on. */
		{ { "bun" }, CLI_BUN, "bun" },
		{ { "bun", "--version" }, CLI_BUN, "bun" },
		{ { "/usr/bin/bun", "run", "x.ts" }, CLI_BUN, "/usr/bin/bun" },
		{ { "bun", "mcp" }, CLI_BUN, "bun" },
		/* A copy of us that starts its helpers by its path. */
		{ { "/usr/local/bin/bun", "mcp" }, CLI_MCP },
		{ { "/usr/local/bin/bun", "confine", "--role=agent", "--", "ls" },
		  CLI_CONFINE,
		  "ls" },
	};
	int ends[2];

	(void)state;
	/* The host's session is one whatever standard input is. */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli cli;
		struct err err = { "" };

		assert_int_equal(parse(cases[i].words, ends[0], &cli, &err), 0);
		assert_int_equal(cli.mode, cases[i].mode);
		if (cases[i].command)
			assert_string_equal(cli.command[0], cases[i].command);
		else
			assert_null(cli.command);
	}
	close(ends[0]);
	close(ends[1]);
}

static void test_environment(void **state)
{
	static const char *const none[WORDS] = { "agent-runner" };
	static const char *const words[WORDS] = { "agent-runner", "--workspace=/words" };
	static const char *const help[WORDS] = { "agent-runner", "--help" };
	struct cli cli;
	struct err err;

	(void)state;
	assert_int_equal(setenv("AGENT_WORKSPACE", "/environment", 1), 0);
	assert_int_equal(setenv("AGENT_LOG_LEVEL", "error", 1), 0);
	assert_int_equal(parse(none, -1, &cli, &err), 0);
	assert_string_equal(cli.workspace, "/environment");
	assert_false(cli.names_workspace);
	assert_int_equal(cli.log_level, LOG_LEVEL_ERROR);
	assert_int_equal(parse(words, -1, &cli, &err), 0);
	assert_string_equal(cli.workspace, "/words");
	assert_true(cli.names_workspace);

	assert_int_equal(setenv("AGENT_LOG_LEVEL", "loud", 1), 0);
	assert_int_equal(parse(words, -1, &cli, &err), -EINVAL);
	assert_string_equal(err.text,
			    "AGENT_LOG_LEVEL: \"loud\" is none of error, warning, info, debug");
	assert_int_equal(parse(help, -1, &cli, &err), 0);
	assert_int_equal(cli.mode, CLI_HELP);
	assert_int_equal(unsetenv("AGENT_WORKSPACE"), 0);
	assert_int_equal(unsetenv("AGENT_LOG_LEVEL"), 0);
}

static void test_print(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	cli_print_version(out);
	assert_int_equal(fflush(out), 0);
	assert_string_equal(text, "agent-runner " AGENT_RUNNER_VERSION "\n");
	cli_print_help(out);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, "\n  agent-runner [OPTION]... [--] COMMAND [ARGUMENT]...\n"));
	assert_non_null(strstr(text, "\n  -g, --group "));
	assert_non_null(strstr(text, "\n  AGENT_PROVIDER "));
	assert_non_null(strstr(text, "\n  127  the command was not found\n"));
	free(text);
	assert_string_equal(cli_mode_name(CLI_KEEP_ALIVE), "keep-alive");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),	       cmocka_unit_test(test_stdin),
		cmocka_unit_test(test_terminal_stdin), cmocka_unit_test(test_options),
		cmocka_unit_test(test_confine),	       cmocka_unit_test(test_grace),
		cmocka_unit_test(test_mistakes),       cmocka_unit_test(test_bun),
		cmocka_unit_test(test_environment),    cmocka_unit_test(test_print),
	};

	(void)unsetenv("AGENT_WORKSPACE");
	(void)unsetenv("AGENT_LOG_LEVEL");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
