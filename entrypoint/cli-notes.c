/* SPDX-License-Identifier: MIT */
#include "entrypoint/cli-notes.h"

#include "common/exit-code.h"
#include "common/table.h"

static const struct {
	const char *name;
	const char *help;
} cli_notes_names[] = {
	{ "ncl", "as agent-runner ncl" },
	{ "bun", "for NanoClaw's scripts what they mean; else the real bun" },
};

static const struct {
	const char *name;
	const char *help;
} cli_notes_variables[] = {
	{ "AGENT_WORKSPACE", "as --workspace" },
	{ "AGENT_LOG_LEVEL", "as --log-level" },
	{ "AGENT_PROVIDER", "instead of container.json's provider" },
	{ "AGENT_CLAUDE_PATH", "the CLI; default /pnpm/claude, then PATH" },
	{ "AGENT_ACP_COMMAND", "an ACP agent's command line, split at blanks" },
	{ "AGENT_SOCKET", "the loop's socket, for mcp, ncl and others" },
	{ "AGENT_REAL_BUN", "the bun to become if called bun by others" },
	{ "AGENT_WATCH", "poll: do not rely on inotify" },
	{ "AGENT_POLL_IDLE_MS", "how often to look while nothing runs; 1000" },
	{ "AGENT_POLL_ACTIVE_MS", "the same during a turn; 500" },
	{ "AGENT_RETRY_MS", "wait before a failed turn is retried; 2000" },
	{ "AGENT_SANDBOX", "JSON instead of container.json's sandbox" },
	{ "AGENT_PROTECTION_CAPS", "drop capabilities: require (default), try, off" },
	{ "AGENT_PROTECTION_NO_NEW_PRIVS", "no_new_privs: require (default), try, off" },
	{ "AGENT_PROTECTION_UNDUMPABLE", "prevent tracing: require, try (default), off" },
	{ "AGENT_PROTECTION_LANDLOCK", "confine files: require, try (default), off" },
	{ "AGENT_PROTECTION_SECCOMP", "filter calls: require, try (default), off" },
	{ "AGENT_MOCK_DELAY_MS", "how long the provider mock takes" },
	{ "AGENT_MOCK_RESULT", "what it answers, literally" },
	{ "AGENT_MOCK_ERROR", "how it fails: transient, auth, quota, ..." },
	{ "TMPDIR", "for the loop's socket, once mode's copy; /tmp" },
	{ "TZ", "the time zone of prompts" },
};

static const struct {
	int code;
	const char *help;
} cli_notes_exit_codes[] = {
	{ EXIT_CODE_OK, "success; healthy" },
	{ EXIT_CODE_FAILED, "unhealthy; what was asked for was not done" },
	{ EXIT_CODE_NCL_USAGE, "of ncl: wrong usage, or no answer in time" },
	{ EXIT_CODE_USAGE, "wrong usage" },
	{ EXIT_CODE_NO_WORKSPACE, "no workspace" },
	{ EXIT_CODE_UNAVAILABLE, "dependencies cannot be installed" },
	{ EXIT_CODE_INTERNAL, "internal error" },
	{ EXIT_CODE_CANNOT_CREATE, "something cannot be created" },
	{ EXIT_CODE_TEMPORARY, "a transient failure; or another works on the workspace" },
	{ EXIT_CODE_NO_PERMISSION, "no permission" },
	{ EXIT_CODE_CONFIG, "wrong configuration" },
	{ EXIT_CODE_NOT_EXECUTABLE, "the command cannot be executed" },
	{ EXIT_CODE_NOT_FOUND, "the command was not found" },
	{ EXIT_CODE_SIGNAL_BASE, "plus n: ended by signal n" },
};

void cli_notes_print(FILE *out)
{
	(void)fputs("\nOther names:\n", out);
	for (size_t i = 0; i < ARRAY_LEN(cli_notes_names); i++)
		(void)fprintf(out, "  %s  %s\n", cli_notes_names[i].name, cli_notes_names[i].help);
	(void)fputs("\nEnvironment:\n", out);
	for (size_t i = 0; i < ARRAY_LEN(cli_notes_variables); i++)
		(void)fprintf(out, "  %-30s  %s\n", cli_notes_variables[i].name,
			      cli_notes_variables[i].help);
	(void)fputs("\nExit codes (else: the command's own):\n", out);
	for (size_t i = 0; i < ARRAY_LEN(cli_notes_exit_codes); i++)
		(void)fprintf(out, "  %3d  %s\n", cli_notes_exit_codes[i].code,
			      cli_notes_exit_codes[i].help);
}
