/* SPDX-License-Identifier: MIT */
#include "entrypoint/cli-process.h"

#include <errno.h>
#include <string.h>

#include "entrypoint/proc.h"

#define CLI_PROCESS_ARGS_MAX 128
#define CLI_PROCESS_INIT     1
#define CLI_PROCESS_NAME     "agent-runner"

int cli_process_read(pid_t pid, struct cli_process *ret)
{
	char *argv[CLI_PROCESS_ARGS_MAX + 1];
	enum cli_mode mode;
	size_t len = 0;
	int argc = 0, r;

	r = proc_cmdline(pid, ret->line, CLI_PROCESS_LINE_MAX, &len);
	if (r < 0)
		return r;
	ret->line[len] = '\0';
	for (char *p = ret->line; p < ret->line + len && argc < CLI_PROCESS_ARGS_MAX;) {
		argv[argc++] = p;
		p += strlen(p) + 1;
	}
	argv[argc] = NULL;
	/* The command would point to a vector that is gone. */
	if (argc == 0 || cli_parse(argc, argv, -1, &ret->cli, NULL) < 0)
		return -EINVAL;
	ret->cli.command = NULL;
	mode = ret->cli.mode;
	return mode == CLI_SESSION || mode == CLI_ONCE || mode == CLI_COMMAND ||
			       mode == CLI_KEEP_ALIVE
		       ? 0
		       : -EINVAL;
}

int cli_process_read_init(struct cli_process *ret)
{
	char name[32];

	/* Not its first word, which may be a link's: it has given itself this name. */
	proc_name(CLI_PROCESS_INIT, name, sizeof(name));
	if (strcmp(name, CLI_PROCESS_NAME) != 0)
		return -ENOENT;
	return cli_process_read(CLI_PROCESS_INIT, ret);
}
