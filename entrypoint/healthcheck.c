/* SPDX-License-Identifier: MIT */
#include "entrypoint/healthcheck.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/strbuf.h"
#include "common/table.h"
#include "common/utf8.h"
#include "entrypoint/cli-process.h"
#include "entrypoint/dependencies.h"
#include "entrypoint/proc.h"
#include "entrypoint/workspace.h"
#include "runner/runner.h"

#define HEALTHCHECK_INIT    "agent-runner"
#define HEALTHCHECK_SESSION "agent-session"
#define HEALTHCHECK_ONCE    "agent-once"

/* Which agent, where no session says it. */
#define HEALTHCHECK_PROVIDER "AGENT_PROVIDER"

/* So far up its parents are looked for: nobody is nested deeper, but an agent could be. */
#define HEALTHCHECK_DEPTH_MAX 128
#define HEALTHCHECK_TRIES     3

/* What speaks for a process as our init; each outweighs all that follow. */
#define HEALTHCHECK_RATING_MAX	  16 /* PID 1 */
#define HEALTHCHECK_RATING_CGROUP 8
#define HEALTHCHECK_RATING_NAMED  4 /* the workspace, on its command line */
#define HEALTHCHECK_RATING_LOOP	  2
#define HEALTHCHECK_RATING_MIN	  1

/* What runs beside us. */
struct healthcheck_scene {
	const struct healthcheck_spec *spec;
	struct cli_process process; /* init's command line */
	const char *workspace;	    /* the one to look at */
	pid_t init;		    /* 0: not found */
	pid_t loop;		    /* 0: none */
	bool is_once;
};

/* Finding them */

/* Its child of that name; 0: there is none. */
static pid_t healthcheck_child_of(pid_t init, const char *wanted)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	pid_t pid;

	while (proc && (pid = proc_next(proc)) != 0) {
		struct proc_status status;
		char name[32];

		proc_name(pid, name, sizeof(name));
		if (strcmp(name, wanted) == 0 && proc_status(pid, &status) == 0 &&
		    status.parent == init)
			return pid;
	}
	return 0;
}

/* A loop of this init, by name and parent; 0: there is none. */
static pid_t healthcheck_loop_of(pid_t init, bool *ret_is_once)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	pid_t pid, loop = 0;

	while (proc && (pid = proc_next(proc)) != 0) {
		struct proc_status status;
		char name[32];

		proc_name(pid, name, sizeof(name));
		if (strcmp(name, HEALTHCHECK_SESSION) != 0 && strcmp(name, HEALTHCHECK_ONCE) != 0)
			continue;
		if (proc_status(pid, &status) < 0 || status.parent != init)
			continue;
		loop = pid;
		*ret_is_once = strcmp(name, HEALTHCHECK_ONCE) == 0;
	}
	return loop;
}

/* Reads the command line of what may be an init of our workspace; false: it is none. */
static bool healthcheck_read_init(struct healthcheck_scene *s, pid_t pid)
{
	bool is_same;
	char name[32];

	proc_name(pid, name, sizeof(name));
	if (pid == getpid() || strcmp(name, HEALTHCHECK_INIT) != 0)
		return false;
	if (cli_process_read(pid, &s->process) < 0)
		return false;
	/* Where it names none, this is what our environment says: nobody can read its own. */
	is_same = strcmp(s->process.cli.workspace, s->spec->workspace) == 0;
	/* HEALTHCHECK in an image cannot know which workspace the container was told. */
	return is_same || (pid == 1 && strcmp(s->spec->workspace, WORKSPACE_DEFAULT) == 0);
}

/* 1: the process was started by one that may be an init, however long ago; 0; <0: it ended, or so. */
static int healthcheck_is_below(struct healthcheck_scene *s, pid_t pid)
{
	struct proc_status status;

	for (int i = 0; i < HEALTHCHECK_DEPTH_MAX; i++) {
		int r = proc_status(pid, &status);

		if (r < 0)
			return r;
		/* The first process of all, or its parent is none of this namespace, or unknown. */
		if (status.parent <= 0)
			return 0;
		pid = status.parent;
		if (healthcheck_read_init(s, pid))
			return 1;
	}
	return 1;
}

/*
 * How well the process fits as the init of our workspace; 0: it is none.
 *
 * An agent can give itself any name, arguments and owner in /proc, but whatever it starts stays below
 * the loop: the parent of an orphan is the loop, or the init. So who is below another one is no init.
 */
static int healthcheck_rate_init(struct healthcheck_scene *s, pid_t pid)
{
	int rating = HEALTHCHECK_RATING_MIN, below = -1;
	bool is_once;

	if (!healthcheck_read_init(s, pid))
		return 0;
	if (pid == 1)
		return HEALTHCHECK_RATING_MAX;
	if (s->process.cli.names_workspace)
		rating += HEALTHCHECK_RATING_NAMED;
	/* Its parents may end while they are looked for; who has such parents all the time is out. */
	for (int i = 0; below < 0 && i < HEALTHCHECK_TRIES; i++)
		below = healthcheck_is_below(s, pid);
	if (below != 0)
		return 0;
	/* Where all processes of the machine are seen, some are of other containers. */
	if (proc_is_in_our_cgroup(pid))
		rating += HEALTHCHECK_RATING_CGROUP;
	if (healthcheck_loop_of(pid, &is_once) != 0)
		rating += HEALTHCHECK_RATING_LOOP;
	return rating;
}

static void healthcheck_find_init(struct healthcheck_scene *s)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	int best = 0;
	pid_t pid;

	while (proc && best < HEALTHCHECK_RATING_MAX && (pid = proc_next(proc)) != 0) {
		int rating = healthcheck_rate_init(s, pid);

		if (rating > best) {
			best = rating;
			s->init = pid;
		}
	}
	/* The command line of the last one looked at is still there: read the right one. */
	if (s->init && !healthcheck_read_init(s, s->init))
		s->init = 0;
	if (s->init && s->process.cli.names_workspace &&
	    strcmp(s->workspace, WORKSPACE_DEFAULT) == 0)
		s->workspace = s->process.cli.workspace;
}

/* Only a session has databases, a loop and claims. Without init the worst is assumed. */
static bool healthcheck_is_session(const struct healthcheck_scene *s)
{
	if (!s->init)
		return true;
	return !s->is_once &&
	       (s->process.cli.mode == CLI_SESSION || s->process.cli.mode == CLI_ONCE);
}

/* The checks of our own */

/* T, t: stopped or traced; Z, X: dead. A process whose state cannot be read runs. */
static bool healthcheck_runs(const struct proc_status *status)
{
	return !status->state || !strchr("TtZX", status->state);
}

static enum runner_health healthcheck_init(const struct healthcheck_scene *s, struct err *text)
{
	struct proc_status status;

	if (!s->init) {
		err_set(text, 0, "there is no agent-runner process");
		return RUNNER_HEALTH_FAIL;
	}
	if (proc_status(s->init, &status) == 0 && !healthcheck_runs(&status)) {
		err_set(text, 0, "process %d is in state %c", (int)s->init, status.state);
		return RUNNER_HEALTH_FAIL;
	}
	err_set(text, 0, "process %d, mode %s", (int)s->init,
		s->is_once ? cli_mode_name(CLI_ONCE) : cli_mode_name(s->process.cli.mode));
	return RUNNER_HEALTH_OK;
}

static enum runner_health healthcheck_workspace(const struct healthcheck_scene *s, struct err *text)
{
	struct privileges_user user = { .n_groups = 0 };
	struct workspace_spec spec = {
		.path = s->workspace,
		.is_session = healthcheck_is_session(s),
		.check_mount = !(s->init && s->process.cli.no_mount_check),
	};
	struct proc_status status;

	/* What root can do says nothing about the user who works there. */
	if (s->loop && proc_status(s->loop, &status) == 0 && status.has_ids) {
		user.uid = status.uid;
		user.gid = status.gid;
		spec.user = &user;
	}
	if (workspace_check(&spec, text) != 0)
		return RUNNER_HEALTH_FAIL;
	if (strcmp(spec.path, WORKSPACE_DEFAULT) == 0 && workspace_is_mount(spec.path) == 0) {
		err_set(text, 0, "%s is not a mount: what is in it is lost with the container",
			spec.path);
		return RUNNER_HEALTH_WARN;
	}
	err_set(text, 0, "%s can be written", spec.path);
	return RUNNER_HEALTH_OK;
}

static enum runner_health healthcheck_loop(const struct healthcheck_scene *s, struct err *text)
{
	struct proc_status status;

	if (!s->loop || proc_status(s->loop, &status) < 0) {
		err_set(text, 0,
			"there is no session loop: it has ended, or is being started again");
		return RUNNER_HEALTH_FAIL;
	}
	if (!healthcheck_runs(&status)) {
		err_set(text, 0, "the session loop, process %d, is in state %c", (int)s->loop,
			status.state);
		return RUNNER_HEALTH_FAIL;
	}
	err_set(text, 0, "the session loop is process %d", (int)s->loop);
	return RUNNER_HEALTH_OK;
}

/* Whoever waits for a healthy container wants to work in it. */
static enum runner_health healthcheck_dependencies(const struct healthcheck_scene *s,
						   struct err *text)
{
	pid_t pid = healthcheck_child_of(s->init, DEPENDENCIES_NAME);

	if (pid) {
		err_set(text, 0, "they are being installed: process %d", (int)pid);
		return RUNNER_HEALTH_FAIL;
	}
	err_set(text, 0, "nothing is being installed");
	return RUNNER_HEALTH_OK;
}

/*
 * The agent that somebody will start by hand. Who named none may do without: then it is no reason
 * to call the container ill.
 */
static enum runner_health healthcheck_agent(const struct healthcheck_scene *s, struct err *text)
{
	const struct runner_options options = { .workspace = s->workspace, .self = s->spec->self };
	const char *provider = getenv(HEALTHCHECK_PROVIDER);
	const struct runner_check *checks;
	enum runner_health health = RUNNER_HEALTH_OK;
	size_t n;

	checks = runner_checks(&n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(checks[i].name, "agent") == 0)
			health = checks[i].run(&options, text);
	return health == RUNNER_HEALTH_FAIL && !(provider && *provider) ? RUNNER_HEALTH_WARN
									: health;
}

static bool healthcheck_is_command(const struct healthcheck_scene *s)
{
	return !healthcheck_is_session(s) && !s->is_once;
}

static bool healthcheck_installs(const struct healthcheck_scene *s)
{
	return s->init && s->process.cli.install_deps;
}

static const struct {
	const char *name;
	const char *help;
	bool (*applies)(const struct healthcheck_scene *s); /* NULL: always */
	enum runner_health (*run)(const struct healthcheck_scene *s, struct err *text);
} healthcheck_table[] = {
	{ "init", "agent-runner runs", NULL, healthcheck_init },
	{ "workspace", "the workspace is there and can be written", NULL, healthcheck_workspace },
	{ "loop", "the session loop is alive", healthcheck_is_session, healthcheck_loop },
	{ "dependencies", "--install-deps is done", healthcheck_installs,
	  healthcheck_dependencies },
	{ "agent", "the agent CLI is there", healthcheck_is_command, healthcheck_agent },
};

/* Showing them */

static const char *const healthcheck_words[] = {
	[RUNNER_HEALTH_OK] = "ok",
	[RUNNER_HEALTH_WARN] = "warning",
	[RUNNER_HEALTH_FAIL] = "failed",
};

struct healthcheck_report {
	struct strbuf out;
	bool json;
	bool is_healthy;
	size_t count;
};

/* A text can hold a path, and a path any byte: what is written is one line of valid UTF-8. */
static void healthcheck_put_text(struct strbuf *out, const char *text, bool json)
{
	cleanup_strbuf struct strbuf valid = STRBUF_EMPTY;

	if (utf8_append_valid(&valid, text, strlen(text)) < 0)
		out->error = valid.error;
	for (size_t i = 0; i < valid.len; i++) {
		unsigned char c = (unsigned char)valid.data[i];

		if (c < 0x20 || c == 0x7f)
			(void)strbuf_putc(out, '?');
		else if (json && (c == '"' || c == '\\'))
			(void)strbuf_printf(out, "\\%c", c);
		else
			(void)strbuf_putc(out, (char)c);
	}
}

static void healthcheck_report_row(struct healthcheck_report *report, const char *name,
				   enum runner_health health, const struct err *text)
{
	if (health == RUNNER_HEALTH_FAIL)
		report->is_healthy = false;
	if (!report->json) {
		(void)strbuf_printf(&report->out, "%-8s %-10s ", healthcheck_words[health], name);
		healthcheck_put_text(&report->out, text->text, false);
		(void)strbuf_putc(&report->out, '\n');
		return;
	}
	(void)strbuf_printf(&report->out, "%s{\"name\":\"%s\",\"status\":\"%s\",\"text\":\"",
			    report->count++ ? "," : "", name, healthcheck_words[health]);
	healthcheck_put_text(&report->out, text->text, true);
	(void)strbuf_puts(&report->out, "\"}");
}

static void healthcheck_run_rows(const struct healthcheck_scene *s,
				 struct healthcheck_report *report)
{
	const struct runner_options options = {
		.workspace = s->workspace,
		.self = s->spec->self,
	};
	const struct runner_check *checks;
	size_t n;

	for (size_t i = 0; i < ARRAY_LEN(healthcheck_table); i++) {
		struct err text = { .text = "" };

		if (healthcheck_table[i].applies && !healthcheck_table[i].applies(s))
			continue;
		healthcheck_report_row(report, healthcheck_table[i].name,
				       healthcheck_table[i].run(s, &text), &text);
	}
	if (!healthcheck_is_session(s))
		return;
	checks = runner_checks(&n);
	for (size_t i = 0; i < n; i++) {
		struct err text = { .text = "" };
		enum runner_health health = checks[i].run(&options, &text);

		healthcheck_report_row(report, checks[i].name, health, &text);
	}
}

int healthcheck_run(const struct healthcheck_spec *spec)
{
	struct healthcheck_report report = { .json = spec->json, .is_healthy = true };
	struct healthcheck_scene scene = { .spec = spec, .workspace = spec->workspace };
	cleanup_strbuf struct strbuf whole = STRBUF_EMPTY;

	healthcheck_find_init(&scene);
	if (scene.init)
		scene.loop = healthcheck_loop_of(scene.init, &scene.is_once);
	healthcheck_run_rows(&scene, &report);
	if (spec->json)
		(void)strbuf_printf(&whole, "{\"healthy\":%s,\"checks\":[",
				    report.is_healthy ? "true" : "false");
	(void)strbuf_append(&whole, report.out.data, report.out.len);
	if (spec->json)
		(void)strbuf_puts(&whole, "]}\n");
	strbuf_deinit(&report.out);
	if (whole.error == 0)
		(void)fd_write_all(STDOUT_FILENO, whole.data, whole.len);
	return report.is_healthy ? EXIT_CODE_OK : EXIT_CODE_UNHEALTHY;
}
