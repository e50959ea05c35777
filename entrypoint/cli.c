/* SPDX-License-Identifier: MIT */
#include "entrypoint/cli.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/number.h"
#include "common/options.h"
#include "common/table.h"
#include "entrypoint/cli-notes.h"
#include "entrypoint/dropin.h"
#include "entrypoint/workspace.h"

#define CLI_GRACE_MAX_MS (60 * 60 * 1000)
/* A host that stops with "docker stop -t 1" kills after a second: we are done before. */
#define CLI_GRACE_SESSION_MS 800
#define CLI_GRACE_UNSET	     (-2)

#define CLI_BIT(mode)	     (1U << (mode))
#define CLI_ALL_MODES	     (CLI_BIT(CLI_MODES) - 1)
#define CLI_INIT_MODES \
	(CLI_BIT(CLI_SESSION) | CLI_BIT(CLI_ONCE) | CLI_BIT(CLI_COMMAND) | CLI_BIT(CLI_KEEP_ALIVE))

/* What is being read: the result, and what only the parser needs. */
struct cli_reader {
	struct cli cli;
	bool keep_alive, healthcheck, print_policy, help, version;
};

/* Modes */

static const struct {
	const char *name;
	const char *usage;
	const char *help;
	bool is_word; /* its name as first word asks for it */
	bool takes_command;
	bool has_own_words; /* what follows is its own: no option in it is ours */
} cli_modes[] = {
	[CLI_SESSION] = {
		.name = "session",
		.usage = "agent-runner [OPTION]...",
		.help = "watch the session databases of the workspace and answer with an agent\n"
			"      (standard input: /dev/null, a terminal, or closed)",
	},
	[CLI_ONCE] = {
		.name = "once",
		.usage = "agent-runner [OPTION]... < REQUEST",
		.help = "answer one JSON request from standard input\n"
			"      (a pipe, file or socket; if it is blank: session)",
	},
	[CLI_COMMAND] = {
		.name = "command",
		.usage = "agent-runner [OPTION]... [--] COMMAND [ARGUMENT]...",
		.help = "run a command, as init for it",
		.takes_command = true,
	},
	[CLI_KEEP_ALIVE] = {
		.name = "keep-alive",
		.usage = "agent-runner [OPTION]... --keep-alive",
		.help = "prepare the workspace and wait, for work by \"docker exec\"",
	},
	[CLI_HEALTHCHECK] = {
		.name = "healthcheck",
		.usage = "agent-runner --healthcheck [--json] [--workspace=DIR]",
		.help = "tell whether the container is healthy",
	},
	[CLI_PRINT_POLICY] = {
		.name = "print-policy",
		.usage = "agent-runner --print-policy [--json]",
		.help = "print what each role may do, and why",
	},
	[CLI_CONFINE] = {
		.name = "confine",
		.usage = "agent-runner confine --role=ROLE [OPTION]... -- COMMAND [ARGUMENT]...",
		.help = "run a command with the rights of a role",
		.is_word = true,
		.takes_command = true,
	},
	[CLI_MCP] = {
		.name = "mcp",
		.usage = "agent-runner mcp [--workspace=DIR]",
		.help = "be an MCP server for the agent: a relay to the session loop",
		.is_word = true,
	},
	[CLI_NCL] = {
		.name = "ncl",
		.usage = "agent-runner ncl COMMAND... [--KEY [VALUE]]... [--json]",
		.help = "have the host carry out a command (also by the name \"ncl\")",
		.is_word = true,
		.has_own_words = true,
	},
	[CLI_COMPACT_INSTRUCTIONS] = {
		.name = "compact-instructions",
		.usage = "agent-runner compact-instructions [--workspace=DIR]",
		.help = "print what a summary of the conversation has to keep",
		.is_word = true,
	},
	[CLI_BUN] = { .name = "bun", .has_own_words = true },
	[CLI_HELP] = { .name = "help" },
	[CLI_VERSION] = { .name = "version" },
};
TABLE_COVERS(cli_modes, CLI_MODES);

const char *cli_mode_name(enum cli_mode mode)
{
	return cli_modes[mode].name;
}

/* Options */

static struct cli *cli_of(void *target)
{
	return &((struct cli_reader *)target)->cli;
}

static int cli_set_workspace(void *target, const char *value, struct err *err)
{
	if (*value != '/')
		return err_set(err, -EINVAL, "\"%s\" is no absolute path", value);
	cli_of(target)->workspace = value;
	return 0;
}

static int cli_set_user(void *target, const char *value, struct err *err)
{
	if (*value == '\0')
		return err_set(err, -EINVAL, "is empty; UID, UID:GID or a name is expected");
	cli_of(target)->user = value;
	return 0;
}

static int cli_set_chown(void *target, const char *value, struct err *err)
{
	static const char *const names[] = {
		[CLI_CHOWN_TOP] = "top",
		[CLI_CHOWN_RECURSIVE] = "recursive",
		[CLI_CHOWN_NO] = "no",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(value, names[i]) == 0) {
			cli_of(target)->chown = (enum cli_chown)i;
			return 0;
		}
	return err_set(err, -EINVAL, "\"%s\" is none of top, recursive, no", value);
}

static int cli_set_grace(void *target, const char *value, struct err *err)
{
	int64_t ms = CLI_GRACE_NONE;
	int r = strcmp(value, "none") == 0 ? 0 : number_parse_span_ms(value, CLI_GRACE_MAX_MS, &ms);

	if (r == -ERANGE)
		return err_set(err, r, "\"%s\" is not within 0 and 1h", value);
	if (r < 0)
		return err_set(err, r, "\"%s\" is no time span like 800ms, 5s, 2m, or none", value);
	cli_of(target)->grace_ms = ms;
	return 0;
}

static int cli_set_role(void *target, const char *value, struct err *err)
{
	/* The other roles are the program's own. */
	if (strcmp(value, "agent") != 0)
		return err_set(err, -EINVAL, "there is no role \"%s\": there is agent", value);
	cli_of(target)->role = value;
	return 0;
}

static int cli_add_write(void *target, const char *value, struct err *err)
{
	return sandbox_add_path(&cli_of(target)->sandbox.write, value, err);
}

static int cli_add_read(void *target, const char *value, struct err *err)
{
	return sandbox_add_path(&cli_of(target)->sandbox.read, value, err);
}

static int cli_add_connect(void *target, const char *value, struct err *err)
{
	return sandbox_add_port(&cli_of(target)->sandbox.connect, value, err);
}

static int cli_add_bind(void *target, const char *value, struct err *err)
{
	return sandbox_add_port(&cli_of(target)->sandbox.bind, value, err);
}

static int cli_set_protection(void *target, const char *value, struct err *err)
{
	return sandbox_set_mode(&cli_of(target)->sandbox, value, err);
}

static int cli_set_log_level(void *target, const char *value, struct err *err)
{
	if (log_level_from_name(value, &cli_of(target)->log_level) < 0)
		return err_set(err, -EINVAL, "\"%s\" is none of error, warning, info, debug",
			       value);
	return 0;
}

enum cli_option {
	CLI_OPTION_KEEP_ALIVE,
	CLI_OPTION_INSTALL_DEPS,
	CLI_OPTION_HEALTHCHECK,
	CLI_OPTION_WORKSPACE,
	CLI_OPTION_USER,
	CLI_OPTION_ALLOW_ROOT,
	CLI_OPTION_CHOWN,
	CLI_OPTION_NO_MOUNT_CHECK,
	CLI_OPTION_ROLE,
	CLI_OPTION_WRITE,
	CLI_OPTION_READ,
	CLI_OPTION_CONNECT,
	CLI_OPTION_BIND,
	CLI_OPTION_USERNS,
	CLI_OPTION_SESSION,
	CLI_OPTION_PROTECTION,
	CLI_OPTION_COMPLETE,
	CLI_OPTION_GRACE,
	CLI_OPTION_GROUP,
	CLI_OPTION_PRINT_POLICY,
	CLI_OPTION_JSON,
	CLI_OPTION_LOG_LEVEL,
	CLI_OPTION_HELP,
	CLI_OPTION_VERSION,
	CLI_OPTIONS,
};

static const struct options_row cli_rows[] = {
	[CLI_OPTION_KEEP_ALIVE] = {
		.name = "keep-alive",
		.help = "prepare everything, run nothing, wait for the end",
		.flag = offsetof(struct cli_reader, keep_alive),
	},
	[CLI_OPTION_INSTALL_DEPS] = {
		.name = "install-deps",
		.help = "before the command runs, install the Node.js\n"
			"packages of the workspace's lock file, with the\n"
			"agent's rights; their scripts are foreign code",
		.flag = offsetof(struct cli_reader, cli.install_deps),
	},
	[CLI_OPTION_HEALTHCHECK] = {
		.name = "healthcheck",
		.help = "print one line a check; exit 0: healthy, 1: not",
		.flag = offsetof(struct cli_reader, healthcheck),
	},
	[CLI_OPTION_WORKSPACE] = {
		.name = "workspace",
		.value = "DIR",
		.variable = "AGENT_WORKSPACE",
		.help = "the folder to work in; default " WORKSPACE_DEFAULT,
		.set = cli_set_workspace,
	},
	[CLI_OPTION_USER] = {
		.name = "user",
		.value = "USER",
		.help = "who to become when started as root: UID[:GID] or a\n"
			"name; default: the workspace's owner, else 1000:1000",
		.set = cli_set_user,
	},
	[CLI_OPTION_ALLOW_ROOT] = {
		.name = "allow-root",
		.help = "stay root when started as root",
		.flag = offsetof(struct cli_reader, cli.allow_root),
	},
	[CLI_OPTION_CHOWN] = {
		.name = "chown",
		.value = "WHAT",
		.help = "what of the workspace root gives to the user: top,\n"
			"recursive or no; default top, the folder and its\n"
			"known entries",
		.set = cli_set_chown,
	},
	[CLI_OPTION_NO_MOUNT_CHECK] = {
		.name = "no-mount-check",
		.help = "go on if " WORKSPACE_DEFAULT " is no mount, and dies with\n"
			"the container",
		.flag = offsetof(struct cli_reader, cli.no_mount_check),
	},
	[CLI_OPTION_ROLE] = {
		.name = "role",
		.value = "ROLE",
		.help = "the rights of the command: agent",
		.set = cli_set_role,
	},
	[CLI_OPTION_WRITE] = {
		.name = "write",
		.value = "PATH",
		.help = "with --role: it may be written, too; may repeat",
		.set = cli_add_write,
	},
	[CLI_OPTION_READ] = {
		.name = "read",
		.value = "PATH",
		.help = "with --role: only this, the system and the role's\n"
			"own folders are read; none or a path; may repeat",
		.set = cli_add_read,
	},
	[CLI_OPTION_CONNECT] = {
		.name = "connect",
		.value = "PORT",
		.help = "with --role: only TCP ports named so are reached;\n"
			"none or a port; may repeat",
		.set = cli_add_connect,
	},
	[CLI_OPTION_BIND] = {
		.name = "bind",
		.value = "PORT",
		.help = "with --role: only TCP ports named so are listened\n"
			"on; none or a port (0: any free one); may repeat",
		.set = cli_add_bind,
	},
	[CLI_OPTION_USERNS] = {
		.name = "userns",
		.help = "with --role: user namespaces may be made, as\n"
			"Chromium's own sandbox does",
		.flag = offsetof(struct cli_reader, cli.sandbox.allows_namespaces),
	},
	[CLI_OPTION_SESSION] = {
		.name = "session",
		.help = "with --role: the workspace is a session's; without\n"
			"it, whether a database lies there tells",
		.flag = offsetof(struct cli_reader, cli.sandbox.is_session),
	},
	[CLI_OPTION_PROTECTION] = {
		.name = "protection",
		.value = "RULE",
		.help = "with --role: NAME=MODE, as AGENT_PROTECTION_<NAME>,\n"
			"which wins over it; may repeat",
		.set = cli_set_protection,
	},
	[CLI_OPTION_COMPLETE] = {
		.name = "complete",
		.help = "with confine: add nothing to these words: no sandbox\n"
			"of the host's, no other user, no environment",
		.flag = offsetof(struct cli_reader, cli.complete),
	},
	[CLI_OPTION_GRACE] = {
		.name = "grace",
		.value = "SPAN",
		.help = "time from SIGTERM to SIGKILL: 800ms, 5s, 2m, none;\n"
			"default 800ms, with a command or --keep-alive none",
		.set = cli_set_grace,
	},
	[CLI_OPTION_GROUP] = {
		.name = "group",
		.letter = 'g',
		.help = "forward signals to the main child's process group",
		.flag = offsetof(struct cli_reader, cli.to_group),
	},
	[CLI_OPTION_PRINT_POLICY] = {
		.name = "print-policy",
		.help = "print what each role may do, and why",
		.flag = offsetof(struct cli_reader, print_policy),
	},
	[CLI_OPTION_JSON] = {
		.name = "json",
		.help = "print the health checks, or the policy, as JSON",
		.flag = offsetof(struct cli_reader, cli.json),
	},
	[CLI_OPTION_LOG_LEVEL] = {
		.name = "log-level",
		.value = "LEVEL",
		.variable = "AGENT_LOG_LEVEL",
		.help = "error, warning, info or debug; default info",
		.set = cli_set_log_level,
	},
	[CLI_OPTION_HELP] = {
		.name = "help",
		.letter = 'h',
		.help = "print this text",
		.flag = offsetof(struct cli_reader, help),
	},
	[CLI_OPTION_VERSION] = {
		.name = "version",
		.help = "print the version",
		.flag = offsetof(struct cli_reader, version),
	},
};
TABLE_COVERS(cli_rows, CLI_OPTIONS);

static const struct options cli_options = { cli_rows, CLI_OPTIONS };

/* Where a role can be given. */
#define CLI_ROLE_MODES (CLI_BIT(CLI_COMMAND) | CLI_BIT(CLI_CONFINE))

/* The modes in which an option means something; in others it is a mistake worth an error. */
static const unsigned int cli_option_modes[] = {
	[CLI_OPTION_KEEP_ALIVE] = CLI_BIT(CLI_KEEP_ALIVE),
	[CLI_OPTION_INSTALL_DEPS] = CLI_BIT(CLI_COMMAND) | CLI_BIT(CLI_KEEP_ALIVE),
	[CLI_OPTION_HEALTHCHECK] = CLI_BIT(CLI_HEALTHCHECK),
	[CLI_OPTION_WORKSPACE] = CLI_ALL_MODES,
	[CLI_OPTION_USER] = CLI_INIT_MODES | CLI_BIT(CLI_CONFINE),
	[CLI_OPTION_ALLOW_ROOT] = CLI_ALL_MODES,
	[CLI_OPTION_CHOWN] = CLI_INIT_MODES,
	[CLI_OPTION_NO_MOUNT_CHECK] = CLI_INIT_MODES,
	[CLI_OPTION_ROLE] = CLI_ROLE_MODES,
	[CLI_OPTION_WRITE] = CLI_ROLE_MODES,
	[CLI_OPTION_READ] = CLI_ROLE_MODES,
	[CLI_OPTION_CONNECT] = CLI_ROLE_MODES,
	[CLI_OPTION_BIND] = CLI_ROLE_MODES,
	[CLI_OPTION_USERNS] = CLI_ROLE_MODES,
	[CLI_OPTION_SESSION] = CLI_ROLE_MODES,
	[CLI_OPTION_PROTECTION] = CLI_ROLE_MODES,
	[CLI_OPTION_COMPLETE] = CLI_BIT(CLI_CONFINE),
	[CLI_OPTION_GRACE] = CLI_INIT_MODES,
	[CLI_OPTION_GROUP] = CLI_INIT_MODES,
	[CLI_OPTION_PRINT_POLICY] = CLI_BIT(CLI_PRINT_POLICY),
	[CLI_OPTION_JSON] = CLI_BIT(CLI_HEALTHCHECK) | CLI_BIT(CLI_PRINT_POLICY),
	[CLI_OPTION_LOG_LEVEL] = CLI_ALL_MODES,
	[CLI_OPTION_HELP] = CLI_ALL_MODES,
	[CLI_OPTION_VERSION] = CLI_ALL_MODES,
};
TABLE_COVERS(cli_option_modes, CLI_OPTIONS);

/* Printing */

void cli_print_help(FILE *out)
{
	(void)fputs("The init process of an agent's container, and the agent's session loop.\n\n"
		    "Usage:\n",
		    out);
	for (size_t i = 0; i < CLI_MODES; i++)
		if (cli_modes[i].usage)
			(void)fprintf(out, "  %s\n      %s\n", cli_modes[i].usage,
				      cli_modes[i].help);
	(void)fputs("\nOptions:\n", out);
	options_print(&cli_options, out);
	cli_notes_print(out);
}

void cli_print_version(FILE *out)
{
	(void)fputs("agent-runner " AGENT_RUNNER_VERSION "\n", out);
}

/* Parsing */

/* The mode that asks for itself by this word, else CLI_MODES. */
static enum cli_mode cli_mode_of_word(const char *word)
{
	for (size_t i = 0; i < CLI_MODES; i++)
		if (cli_modes[i].is_word && strcmp(word, cli_modes[i].name) == 0)
			return (enum cli_mode)i;
	return CLI_MODES;
}

/* A pipe, file or socket can hold a request; /dev/null, a terminal and a closed one cannot. */
static enum cli_mode cli_mode_of_stdin(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return CLI_SESSION;
	return S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode) || S_ISSOCK(st.st_mode) ? CLI_ONCE
										   : CLI_SESSION;
}

/* The mode that options ask for, else CLI_MODES. */
static enum cli_mode cli_mode_of_flags(const struct cli_reader *reader)
{
	if (reader->healthcheck)
		return CLI_HEALTHCHECK;
	if (reader->print_policy)
		return CLI_PRINT_POLICY;
	return reader->keep_alive ? CLI_KEEP_ALIVE : CLI_MODES;
}

/* What was asked for must make sense together. */
static int cli_check(const struct cli_reader *reader, enum cli_mode word_mode, uint64_t seen,
		     struct err *err)
{
	const struct cli *cli = &reader->cli;
	const char *name = cli_modes[cli->mode].name;

	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (seen >> i & 1 && !(cli_option_modes[i] & CLI_BIT(cli->mode)))
			return err_set(err, -EINVAL, "--%s: means nothing in %s mode",
				       cli_rows[i].name, name);
	if (word_mode != CLI_MODES && cli->mode != word_mode)
		return err_set(err, -EINVAL, "%s: not together with --%s",
			       cli_modes[word_mode].name, name);
	if (cli_modes[cli->mode].has_own_words)
		return 0;
	if (cli->command && !cli_modes[cli->mode].takes_command)
		return err_set(err, -EINVAL, "%s: %s%s takes no command", cli->command[0],
			       word_mode == CLI_MODES ? "--" : "", name);
	if (!cli->command && cli_modes[cli->mode].takes_command)
		return err_set(err, -EINVAL, "%s: a command is missing", name);
	if (cli->mode == CLI_CONFINE && !cli->role)
		return err_set(err, -EINVAL, "confine: --role is missing");
	for (size_t i = CLI_OPTION_WRITE; !cli->role && i <= CLI_OPTION_PROTECTION; i++)
		if (seen >> i & 1)
			return err_set(err, -EINVAL, "--%s: means nothing without --role",
				       cli_rows[i].name);
	return 0;
}

/* The mode that our own name asks for, else CLI_MODES; *index is moved behind its words. */
static enum cli_mode cli_mode_of_name(int argc, char *const *argv, int *index)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	enum cli_mode mode;

	if (argc == 0)
		return CLI_MODES;
	if (!dropin_is_bun(argv[0]))
		return cli_mode_of_word(slash ? slash + 1 : argv[0]);
	mode = dropin_mode(argc, argv, index);
	/* A copy under that name, not a link, starts our other modes through itself, by its path. */
	if (mode != CLI_MODES || (slash && argc > 1 && cli_mode_of_word(argv[1]) != CLI_MODES))
		return mode;
	*index = 0;
	return CLI_BUN;
}

/* Reads options, a mode's word, its options, and the command. Returns the word's mode. */
static int cli_read(int argc, char *const *argv, struct cli_reader *reader, uint64_t *seen,
		    enum cli_mode *ret_word_mode, struct err *err)
{
	int index = 1, r = 0;
	enum cli_mode word_mode = cli_mode_of_name(argc, argv, &index);

	if (word_mode == CLI_MODES || !cli_modes[word_mode].has_own_words)
		r = options_parse(&cli_options, argc, argv, reader, &index, seen, err);
	if (r == 0 && word_mode == CLI_MODES && index < argc) {
		word_mode = cli_mode_of_word(argv[index]);
		if (word_mode != CLI_MODES) {
			index++;
			if (!cli_modes[word_mode].has_own_words)
				r = options_parse(&cli_options, argc, argv, reader, &index, seen,
						  err);
		}
	}
	if (r < 0)
		return r;
	if (index < argc)
		reader->cli.command = argv + index;
	*ret_word_mode = word_mode;
	return 0;
}

int cli_parse(int argc, char *const *argv, int stdin_fd, struct cli *ret_cli, struct err *err)
{
	struct cli_reader reader = {
		.cli = {
			.workspace = WORKSPACE_DEFAULT,
			.log_level = LOG_LEVEL_INFO,
			.grace_ms = CLI_GRACE_UNSET,
		},
	};
	struct cli *cli = &reader.cli;
	enum cli_mode word_mode = CLI_MODES;
	struct err environment_err = { "" };
	uint64_t seen = 0;
	int environment, r;

	/* First, so that the command line has the last word. */
	environment = options_parse_environment(&cli_options, &reader, &environment_err);
	r = cli_read(argc, argv, &reader, &seen, &word_mode, err);
	if (r < 0)
		return r;
	if (reader.help || reader.version) {
		/* Whatever else was said, whoever asks for help gets it. */
		cli->mode = reader.help ? CLI_HELP : CLI_VERSION;
		*ret_cli = *cli;
		return 0;
	}
	if (environment < 0)
		return err_set(err, environment, "%s", environment_err.text);
	cli->names_workspace = seen >> CLI_OPTION_WORKSPACE & 1;
	cli->mode = cli_mode_of_flags(&reader);
	if (cli->mode == CLI_MODES)
		cli->mode = word_mode;
	if (cli->mode == CLI_MODES)
		cli->mode = cli->command ? CLI_COMMAND : cli_mode_of_stdin(stdin_fd);
	r = cli_check(&reader, word_mode, seen, err);
	if (r < 0)
		return r;
	if (cli->grace_ms == CLI_GRACE_UNSET)
		cli->grace_ms = cli->mode == CLI_SESSION || cli->mode == CLI_ONCE
					? CLI_GRACE_SESSION_MS
					: CLI_GRACE_NONE;
	*ret_cli = *cli;
	return 0;
}
