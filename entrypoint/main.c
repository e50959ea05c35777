/* SPDX-License-Identifier: MIT */
/* The start-up order, top to bottom, and the table of what each mode does. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/table.h"
#include "entrypoint/cli.h"
#include "runner/runner.h"

struct main_context {
	struct cli cli;
	char self[PATH_MAX]; /* this program, for children started through it */
};

static struct runner_options main_runner_options(const struct main_context *context)
{
	return (struct runner_options){
		.workspace = context->cli.workspace,
		.self = context->self,
	};
}

static int main_exec(char *const *command)
{
	(void)execvp(command[0], command);
	log_error("cannot execute %s: %s", command[0], strerror(errno));
	return errno == ENOENT ? EXIT_CODE_NOT_FOUND : EXIT_CODE_NOT_EXECUTABLE;
}

static int main_child(const struct main_context *context)
{
	const struct runner_options options = main_runner_options(context);
	int r = -ENODATA;

	if (context->cli.mode == CLI_COMMAND)
		return main_exec(context->cli.command);
	if (context->cli.mode == CLI_ONCE) {
		(void)prctl(PR_SET_NAME, "agent-once");
		r = runner_once(&options, STDIN_FILENO);
	}
	if (r != -ENODATA)
		return r;
	(void)prctl(PR_SET_NAME, "agent-session");
	return runner_session(&options);
}

static int main_init(const struct main_context *context)
{
	sigset_t all, old;
	siginfo_t info;
	pid_t pid = 0;
	int status;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old);
	if (context->cli.mode != CLI_KEEP_ALIVE) {
		pid = fork();
		if (pid < 0)
			return EXIT_CODE_TEMPORARY;
		if (pid == 0) {
			(void)sigprocmask(SIG_SETMASK, &old, NULL);
			_exit(main_child(context));
		}
	}
	for (;;) {
		int signo = sigwaitinfo(&all, &info);

		if (signo > 0 && signo != SIGCHLD && pid == 0)
			return EXIT_CODE_SIGNAL_BASE + signo;
		if (signo > 0 && signo != SIGCHLD)
			(void)kill(pid, signo);
		for (;;) {
			pid_t gone = waitpid(-1, &status, WNOHANG);

			if (gone <= 0)
				break;
			if (gone == pid)
				return WIFSIGNALED(status)
					       ? EXIT_CODE_SIGNAL_BASE + WTERMSIG(status)
					       : WEXITSTATUS(status);
		}
	}
}

static int main_confine(const struct main_context *context)
{
	return main_exec(context->cli.command);
}

static int main_healthcheck(const struct main_context *context)
{
	(void)context;
	log_error("--healthcheck: not built in yet");
	return EXIT_CODE_UNHEALTHY;
}

static int main_help(const struct main_context *context)
{
	(void)context;
	cli_print_help(stdout);
	return EXIT_CODE_OK;
}

static int main_version(const struct main_context *context)
{
	(void)context;
	cli_print_version(stdout);
	return EXIT_CODE_OK;
}

/* NULL: cli_parse() never returns this mode. */
static int (*const main_modes[])(const struct main_context *context) = {
	[CLI_SESSION] = main_init,
	[CLI_ONCE] = main_init,
	[CLI_COMMAND] = main_init,
	[CLI_KEEP_ALIVE] = main_init,
	[CLI_HEALTHCHECK] = main_healthcheck,
	[CLI_CONFINE] = main_confine,
	[CLI_MCP] = NULL,
	[CLI_NCL] = NULL,
	[CLI_COMPACT_INSTRUCTIONS] = NULL,
	[CLI_HELP] = main_help,
	[CLI_VERSION] = main_version,
};
TABLE_COVERS(main_modes, CLI_MODES);

int main(int argc, char **argv)
{
	struct main_context context = { .self = "" };
	struct err err;
	ssize_t n;

	if (cli_parse(argc, argv, STDIN_FILENO, &context.cli, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_CODE_USAGE;
	}
	log_set_level(context.cli.log_level);
	(void)fd_open_standard();
	n = readlink("/proc/self/exe", context.self, sizeof(context.self) - 1);
	if (n < 0)
		(void)snprintf(context.self, sizeof(context.self), "%s", argv[0]);
	return main_modes[context.cli.mode](&context);
}
