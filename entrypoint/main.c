/* SPDX-License-Identifier: MIT */
/* The start-up order, top to bottom, and the table of what each mode does. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/number.h"
#include "common/scratch.h"
#include "common/table.h"
#include "entrypoint/cli-process.h"
#include "entrypoint/cli.h"
#include "entrypoint/confine-words.h"
#include "entrypoint/dependencies.h"
#include "entrypoint/dropin.h"
#include "entrypoint/environment.h"
#include "entrypoint/healthcheck.h"
#include "entrypoint/init.h"
#include "entrypoint/policy-print.h"
#include "entrypoint/policy.h"
#include "entrypoint/privileges.h"
#include "entrypoint/seccomp.h"
#include "entrypoint/signals.h"
#include "entrypoint/spawn.h"
#include "entrypoint/workspace.h"
#include "runner/runner.h"

#define MAIN_NOTIFY_ENVIRONMENT	  "RUNNER_NOTIFY_FD"
#define MAIN_LANDLOCK_ENVIRONMENT "AGENT_PROTECTION_LANDLOCK"

struct main_context {
	struct cli cli;
	int64_t start_ms; /* real time */
	pid_t init;	  /* the process that runs init_run() */
	bool has_user;	  /* the children become user */
	struct privileges_user user;
	const struct dependencies *dependencies; /* to be installed, NULL: none */
	int notify_fd;				 /* 0: none */
	char self[PATH_MAX];	    /* this program, for children started through it; "": none is */
	struct cli_process of_init; /* of confine: what PID 1 was told */
	bool limits_files;	    /* of the loop: Landlock is in force */
	bool is_beside_loop;	    /* of confine: PID 1 serves this workspace */
};

static bool main_drives_agent(enum cli_mode mode)
{
	return mode == CLI_SESSION || mode == CLI_ONCE;
}

static struct runner_options main_runner_options(const struct main_context *context)
{
	return (struct runner_options){
		.workspace = context->cli.workspace,
		.self = context->self,
		.call_name = seccomp_call_name,
	};
}

/* The loop's own rights, of what stands in cli. */
static struct privileges_request main_loop_request(const struct cli *cli)
{
	return (struct privileges_request){
		.role = POLICY_ROLE_RUNNER,
		.workspace = cli->workspace,
		.sandbox = &cli->sandbox,
	};
}

/* Confines the loop itself, by the same words as its children: its rights have to hold theirs. */
static int main_confine_loop(void *userdata, const char *const *words, struct err *err)
{
	struct main_context *context = userdata;
	struct cli cli;
	int r = confine_words_read(words, &cli, err);

	if (r != 0)
		return r;

	const struct privileges_request request = main_loop_request(&cli);

	return privileges_apply_rest(&request, &context->limits_files, err);
}

static void main_review_loop(void *userdata, const char *const *words)
{
	const struct main_context *context = userdata;
	struct cli cli;

	/* They were read before. */
	if (!context->limits_files || confine_words_read(words, &cli, NULL) != 0)
		return;

	const struct privileges_request request = main_loop_request(&cli);

	privileges_review(&request);
}

/* Of those that drive an agent. */
static struct runner_options main_loop_options(struct main_context *context)
{
	struct runner_options options = main_runner_options(context);

	options.confine = main_confine_loop;
	options.review = main_review_loop;
	options.userdata = context;
	return options;
}

static enum policy_role main_role(const struct main_context *context, enum policy_role otherwise)
{
	enum policy_role role = otherwise;

	if (context->cli.role)
		(void)policy_find_role(context->cli.role, &role);
	return role;
}

static int main_check_workspace(const struct main_context *context, bool is_session,
				struct err *err)
{
	const struct workspace_spec spec = {
		.path = context->cli.workspace,
		.is_session = is_session,
		.check_mount = !context->cli.no_mount_check,
		/* A command may be anything; what serves messages has to be able to. */
		.mends = main_drives_agent(context->cli.mode),
		.user = context->has_user ? &context->user : NULL,
	};

	return workspace_check(&spec, err);
}

/* What runs in the children of PID 1 */

static struct privileges_request main_request(const struct main_context *context,
					      enum policy_role role)
{
	return (struct privileges_request){
		.role = role,
		.user = context->has_user ? &context->user : NULL,
		.workspace = context->cli.workspace,
		.sandbox = &context->cli.sandbox,
		.program = context->cli.command ? context->cli.command[0] : NULL,
		.notify_fd = context->notify_fd,
		.by_hand = role == POLICY_ROLE_AGENT && !context->cli.complete,
	};
}

/* The host's words for an agent, and on top of them those of whoever started this command. */
static int main_confine_command(void *userdata, const char *const *words, struct err *err)
{
	const struct main_context *context = userdata;
	struct privileges_request request = main_request(context, POLICY_ROLE_AGENT);
	struct cli cli;
	int r = confine_words_read(words, &cli, err);

	if (r != 0)
		return r;
	if (sandbox_add(&cli.sandbox, &context->cli.sandbox, err) < 0)
		return err_prefix(err, EXIT_CODE_CONFIG, "the sandbox and the options together");
	request.sandbox = &cli.sandbox;
	return privileges_apply_rest(&request, NULL, err);
}

/* PID 1 has found a HOME for its children, and said so; whoever enters later has none of it. */
static int main_prepare_environment(const struct main_context *context, struct err *err)
{
	const struct environment_spec environment = {
		.user = context->has_user ? &context->user : NULL,
		.workspace = context->cli.workspace,
		.is_session = context->is_beside_loop || context->cli.sandbox.is_session,
	};
	int r;

	if (context->cli.log_level == LOG_LEVEL_INFO)
		log_set_level(LOG_LEVEL_WARNING);
	r = environment_prepare(&environment, err);
	log_set_level(context->cli.log_level);
	return r < 0 ? EXIT_CODE_INTERNAL : 0;
}

/*
 * What a loop does for its children and itself: reads files in which an agent may write, when the
 * rights of root are gone. 0, or an exit code with a text.
 */
static int main_finish_by_hand(const struct main_context *context, struct err *err)
{
	struct runner_options options = main_runner_options(context);
	int r = 0;

	options.confine = main_confine_command;
	options.userdata = (void *)(uintptr_t)context;
	/* Before its files are confined: HOME is among them. */
	if (context->cli.mode == CLI_CONFINE)
		r = main_prepare_environment(context, err);
	return r != 0 ? r : runner_confine(&options, err);
}

/* The rights of the role, and an end together with PID 1. 0, or an exit code; has logged why. */
static int main_become(const struct main_context *context, enum policy_role role)
{
	const struct privileges_request request = main_request(context, role);
	struct err err;
	int r;

	r = privileges_apply(&request, &err);
	if (r == 0 && request.by_hand)
		r = main_finish_by_hand(context, &err);
	if (r != 0) {
		log_error("%s", err.text);
		return r;
	}
	if (role != POLICY_ROLE_RUNNER)
		return 0;
	r = spawn_bind_to_parent(context->init);
	if (r < 0)
		log_warning("cannot bind to the init process: %s", strerror(-r));
	return r == -ESRCH ? EXIT_CODE_INTERNAL : 0;
}

static int main_run_command(void *userdata)
{
	const struct main_context *context = userdata;
	int r = main_become(context, main_role(context, POLICY_ROLE_COMMAND));

	return r != 0 ? r : spawn_exec(context->cli.command, context->init);
}

/* Foreign code: an agent's rights, whatever those of the command are. */
static int main_run_manager(void *userdata)
{
	struct main_context *context = userdata;
	pid_t waiting = getppid();
	int r;

	/* Our own memory: PID 1 and the process that waits keep theirs. */
	context->cli.command = (char *const *)(uintptr_t)context->dependencies->words;
	r = main_become(context, POLICY_ROLE_AGENT);
	if (r != 0)
		return r;
	if (spawn_bind_to_parent(waiting) == -ESRCH)
		return EXIT_CODE_INTERNAL;
	r = runner_forget_keys();
	if (r < 0) {
		log_error("the agent's keys: %s", strerror(-r));
		return EXIT_CODE_INTERNAL;
	}
	return dependencies_exec(context->dependencies, context->cli.workspace, context->init);
}

static int main_run_install(void *userdata)
{
	const struct main_context *context = userdata;

	return dependencies_install(context->dependencies, context->cli.workspace, main_run_manager,
				    userdata);
}

static int main_run_session(void *userdata)
{
	struct main_context *context = userdata;
	const struct runner_options options = main_loop_options(context);
	struct err err;
	int r = main_become(context, POLICY_ROLE_RUNNER);

	/* Blank input in once mode leads here: what a session needs was not looked at before. */
	if (r == 0 && context->cli.mode == CLI_ONCE) {
		r = main_check_workspace(context, true, &err);
		if (r != 0)
			log_error("%s", err.text);
	}
	return r != 0 ? r : runner_session(&options);
}

static int main_run_once(void *userdata)
{
	struct main_context *context = userdata;
	const struct runner_options options = main_loop_options(context);
	int r = main_become(context, POLICY_ROLE_RUNNER);

	if (r != 0)
		return r;
	r = runner_once(&options, STDIN_FILENO);
	return r == -ENODATA ? INIT_NEXT : r;
}

/* What runs in PID 1 */

static void main_clear_scratch(const void *data)
{
	const struct main_context *context = data;
	const struct scratch_spec spec = {
		.since_ms = context->start_ms,
		/* A read-only container's lies in /tmp, and the agent's conversations in it. */
		.keep = { getenv("HOME"), context->cli.workspace },
		.emptied = getenv("TMPDIR"),
	};

	(void)scratch_clear(&spec);
}

/* The agent and its files had the loop's memory. It is the user who may remove them: root that has
 * given up its powers may not. */
static void main_make_room(void *userdata)
{
	const struct main_context *context = userdata;
	int r = privileges_run_as(context->has_user ? &context->user : NULL, main_clear_scratch,
				  context);

	if (r < 0)
		log_warning("files in memory stay: cannot become uid %u: %s", context->user.uid,
			    strerror(-r));
}

static const struct init_job main_session_job = {
	.what = "the session loop",
	.name = "agent-session",
	.run = main_run_session,
	.restarts = true,
	.make_room = main_make_room,
};

static const struct init_job main_once_job = {
	.what = "the request",
	.name = "agent-once",
	.run = main_run_once,
	.awaits_input = true,
	.next = &main_session_job,
};

static const struct init_job main_command_job = {
	.what = "the command",
	.run = main_run_command,
	.gets_terminal = true,
	.executes = true,
};

/* An agent's rights are read from files of the session first. */
static const struct init_job main_role_job = {
	.what = "the command",
	.run = main_run_command,
	.gets_terminal = true,
};

static const struct init_job main_keep_alive_job = {
	.what = "nothing",
};

/* What comes before another job. */
static struct init_job main_install_job(const struct init_job *next)
{
	return (struct init_job){
		.what = "the installation of dependencies",
		.name = DEPENDENCIES_NAME,
		.run = main_run_install,
		.prepares = true,
		.next = next,
	};
}

/* The start-up order of PID 1 */

/* Root becomes somebody else unless it is told to stay. */
static int main_find_user(struct main_context *context, struct err *err)
{
	const struct cli *cli = &context->cli;
	int r;

	if (geteuid() == 0 && cli->allow_root && !cli->user)
		return 0;
	r = privileges_find_user(cli->user, cli->workspace, &context->user, err);
	if (r == 0)
		context->has_user = true;
	return r;
}

static int main_prepare_workspace(const struct main_context *context, struct err *err)
{
	const struct cli *cli = &context->cli;
	bool is_optional = cli->mode == CLI_COMMAND || cli->mode == CLI_KEEP_ALIVE;
	int r = 0;

	if (geteuid() == 0 && context->has_user && cli->chown != CLI_CHOWN_NO)
		r = workspace_give(cli->workspace, &context->user,
				   cli->chown == CLI_CHOWN_RECURSIVE, err);
	if (r != 0)
		return r;
	r = main_check_workspace(context, cli->mode == CLI_SESSION, err);
	if (r == 0 || !is_optional)
		return r;
	/* A command may not need it; an image without the default one is nothing to talk about. */
	log_write(strcmp(cli->workspace, WORKSPACE_DEFAULT) == 0 && r == EXIT_CODE_NO_WORKSPACE
			  ? LOG_LEVEL_DEBUG
			  : LOG_LEVEL_WARNING,
		  "%s", err->text);
	return 0;
}

/* A protection that is required and not there must not pass for one that is. */
static void main_warn_of_landlock(const struct cli *cli)
{
	const char *mode = getenv(MAIN_LANDLOCK_ENVIRONMENT);

	if (mode && strcmp(mode, policy_mode_name(POLICY_MODE_REQUIRE)) == 0 &&
	    (cli->mode == CLI_KEEP_ALIVE || (cli->mode == CLI_COMMAND && !cli->role)))
		log_warning(MAIN_LANDLOCK_ENVIRONMENT
			    "=require means nothing for a command without --role=agent: nobody "
			    "knows its folders");
}

static int main_find_dependencies(struct main_context *context, struct err *err)
{
	int r;

	if (!context->cli.install_deps)
		return 0;
	r = dependencies_find(context->cli.workspace, context->has_user ? &context->user : NULL,
			      &context->dependencies, err);
	if (r == 0 && !context->dependencies)
		log_info("%s", err->text);
	return r;
}

/* Everything before the first child that stays. 0, or an exit code with its text. */
static int main_prepare(struct main_context *context, struct err *err)
{
	struct environment_spec environment = {
		.workspace = context->cli.workspace,
		.is_session = main_drives_agent(context->cli.mode),
	};
	struct err warning;
	int r;

	r = privileges_check_environment(err);
	if (r == 0)
		r = main_find_user(context, err);
	environment.user = context->has_user ? &context->user : NULL;
	if (r == 0)
		r = main_prepare_workspace(context, err);
	if (r == 0 && environment_prepare(&environment, err) < 0)
		r = EXIT_CODE_INTERNAL;
	/* After PATH is set. */
	if (r == 0)
		r = main_find_dependencies(context, err);
	if (r != 0)
		return r;
	main_warn_of_landlock(&context->cli);
	/* After the chown step, which needs what it takes away. */
	if (privileges_protect_init(environment.user, &warning) < 0)
		log_warning("the init process is not protected: %s", warning.text);
	return 0;
}

static int main_init(struct main_context *context, const struct init_job *job)
{
	const struct init_job install = main_install_job(job);
	struct init_spec spec = {
		.job = job,
		.userdata = context,
		.grace_ms = context->cli.grace_ms,
		.to_group = context->cli.to_group,
	};
	struct err err;
	int r;

	context->init = getpid();
	context->start_ms = clock_realtime_ms();
	/* First of all, so that no signal and no child is lost from here on. */
	r = signals_take();
	if (r < 0)
		r = err_sys(&err, r, "cannot block signals");
	if (r == 0)
		r = main_prepare(context, &err);
	if (context->dependencies)
		spec.job = &install;
	if (r == 0) {
		r = init_run(&spec, &err);
		if (r >= 0)
			return r;
	}
	log_error("%s", err.text);
	return r < 0 ? EXIT_CODE_INTERNAL : r;
}

static int main_session(struct main_context *context)
{
	return main_init(context, &main_session_job);
}

static int main_once(struct main_context *context)
{
	return main_init(context, &main_once_job);
}

static int main_command(struct main_context *context)
{
	return main_init(context, context->cli.role ? &main_role_job : &main_command_job);
}

static int main_keep_alive(struct main_context *context)
{
	return main_init(context, &main_keep_alive_job);
}

/*
 * The loop's socket for denied calls (runner/io/process.c). Whoever invents one is told nothing: a
 * filter that the loop hears of is in place, or was never wanted.
 */
static int main_take_notify_fd(void)
{
	const char *text = getenv(MAIN_NOTIFY_ENVIRONMENT);
	int64_t fd = 0;

	if (text && number_parse_int(text, STDERR_FILENO + 1, INT_MAX, &fd) < 0)
		fd = 0;
	(void)unsetenv(MAIN_NOTIFY_ENVIRONMENT);
	return (int)fd;
}

/*
 * Whoever enters a container does not see what PID 1 was told: its workspace, and who works there.
 * 0, or an exit code with a text.
 */
static int main_find_place(struct main_context *context, struct err *err)
{
	struct cli_process *init = &context->of_init;
	struct cli *cli = &context->cli;
	int r;

	if (cli_process_read_init(init) == 0) {
		/* As for PID 1, the environment comes last: "docker exec" has the same one. */
		if (!cli->names_workspace && init->cli.names_workspace)
			cli->workspace = init->cli.workspace;
		context->is_beside_loop = main_drives_agent(init->cli.mode) &&
					  strcmp(cli->workspace, init->cli.workspace) == 0;
		/* The agent's user, so that one may write what the other has written. */
		if (!cli->user && !cli->allow_root) {
			cli->user = geteuid() == 0 ? init->cli.user : NULL;
			cli->allow_root = init->cli.allow_root;
		}
	}
	r = privileges_check_environment(err);
	return r != 0 ? r : main_find_user(context, err);
}

static int main_confine(struct main_context *context)
{
	struct err err;
	int r;

	context->notify_fd = main_take_notify_fd();
	if (!context->cli.complete) {
		r = main_find_place(context, &err);
		if (r != 0) {
			log_error("%s", err.text);
			return r;
		}
	}
	r = main_become(context, main_role(context, POLICY_ROLE_AGENT));
	return r != 0 ? r : spawn_exec(context->cli.command, getpid());
}

static int main_healthcheck(struct main_context *context)
{
	const struct healthcheck_spec spec = {
		.workspace = context->cli.workspace,
		.self = context->self,
		.json = context->cli.json,
	};

	return healthcheck_run(&spec);
}

/* What was printed must have arrived. */
static int main_print(void (*print)(FILE *out))
{
	print(stdout);
	if (fflush(stdout) == 0)
		return EXIT_CODE_OK;
	log_error("cannot write to standard output: %s", strerror(errno));
	return EXIT_CODE_INTERNAL;
}

static int main_print_policy(struct main_context *context)
{
	return main_print(context->cli.json ? policy_print_json : policy_print);
}

static int main_help(struct main_context *context)
{
	(void)context;
	return main_print(cli_print_help);
}

static int main_version(struct main_context *context)
{
	(void)context;
	return main_print(cli_print_version);
}

static int main_mcp(struct main_context *context)
{
	const struct runner_options options = main_runner_options(context);

	return runner_mcp(&options);
}

static int main_ncl(struct main_context *context)
{
	const struct runner_options options = main_runner_options(context);

	return runner_ncl(&options, context->cli.command);
}

static int main_compact_instructions(struct main_context *context)
{
	const struct runner_options options = main_runner_options(context);

	return runner_compact_instructions(&options);
}

static int main_bun(struct main_context *context)
{
	return dropin_exec(context->cli.command);
}

static int (*const main_modes[])(struct main_context *context) = {
	[CLI_SESSION] = main_session,
	[CLI_ONCE] = main_once,
	[CLI_COMMAND] = main_command,
	[CLI_KEEP_ALIVE] = main_keep_alive,
	[CLI_HEALTHCHECK] = main_healthcheck,
	[CLI_PRINT_POLICY] = main_print_policy,
	[CLI_CONFINE] = main_confine,
	[CLI_MCP] = main_mcp,
	[CLI_NCL] = main_ncl,
	[CLI_COMPACT_INSTRUCTIONS] = main_compact_instructions,
	[CLI_BUN] = main_bun,
	[CLI_HELP] = main_help,
	[CLI_VERSION] = main_version,
};
TABLE_COVERS(main_modes, CLI_MODES);

static void main_find_self(struct main_context *context, const char *name)
{
	ssize_t n = readlink("/proc/self/exe", context->self, sizeof(context->self) - 1);

	if (n < 0)
		(void)snprintf(context->self, sizeof(context->self), "%s", name);
}

int main(int argc, char **argv)
{
	struct main_context context = { .self = "" };
	struct err err;

	if (cli_parse(argc, argv, STDIN_FILENO, &context.cli, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_CODE_USAGE;
	}
	log_set_level(context.cli.log_level);
	(void)fd_open_standard();
	/* A command is started without us in between, and its start does not wait for /proc. */
	if (context.cli.mode != CLI_COMMAND)
		main_find_self(&context, argv[0]);
	return main_modes[context.cli.mode](&context);
}
