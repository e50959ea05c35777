/* SPDX-License-Identifier: MIT */
#include "runner/task/script.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "runner/io/json.h"
#include "runner/task/verdict.h"

/* How much of stderr's last line the log shows, in bytes. */
#define SCRIPT_STDERR_SHOWN 200

/*
 * The script is read before it starts, so it cannot eat its own text from stdin. The outer shell
 * outlives SIGTERM (it has a trap, which the inner one does not inherit), so that the script's own
 * trap has its grace; it ends the last line of an output that has no newline.
 */
static const char script_wrapper[] =
	"trap : TERM; (eval -- \"$(cat)\"); status=$?; echo; exit \"$status\"";

struct script {
	struct child *child;
	struct loop_timer *timer;
	pid_t group;
	script_done_fn *done;
	void *userdata;
	struct strbuf last; /* the last line with anything in it */
	size_t output;	    /* bytes of stdout so far */
	int64_t limit_ms, grace_ms;
	bool stopping; /* SIGTERM was sent */
	struct err problem;
};

/* Tells the outcome; the script may be freed when this returns. */
static void script_finish(struct script *script, bool wake, json_t *data)
{
	const struct script_outcome outcome = {
		.wake = wake,
		.data = data,
		.problem = script->problem.text[0] ? script->problem.text : NULL,
	};

	loop_timer_disarm(script->timer);
	child_free(steal_ptr(script->child));
	script->done(script->userdata, &outcome);
}

/* Asks the group to end; what is wrong is in .problem already. */
static void script_stop(struct script *script)
{
	if (script->stopping)
		return;
	script->stopping = true;
	child_signal(script->child, SIGTERM);
	loop_timer_arm(script->timer, script->grace_ms);
}

static void script_on_timer(void *userdata)
{
	struct script *script = userdata;

	if (script->stopping) {
		/* Freeing the child kills its group; nothing is waited for any more. */
		script_finish(script, false, NULL);
		return;
	}
	err_set(&script->problem, 0, "took longer than %lld ms", (long long)script->limit_ms);
	script_stop(script);
}

/* Counts output, ended by a newline or not: a line without an end must not go on for ever. */
static void script_on_output(void *userdata, size_t n)
{
	struct script *script = userdata;

	script->output += n;
	/* One newline is the wrapper's. */
	if (script->output <= SCRIPT_OUTPUT_MAX + 1 || script->stopping)
		return;
	err_set(&script->problem, 0, "wrote more than %d bytes", SCRIPT_OUTPUT_MAX);
	script_stop(script);
}

static void script_on_line(void *userdata, const char *line, size_t len)
{
	struct script *script = userdata;
	size_t blank = 0;

	while (blank < len && isspace((unsigned char)line[blank]))
		blank++;
	if (blank == len)
		return;
	strbuf_reset(&script->last);
	strbuf_append(&script->last, line, len);
}

/* What the exit status says, with the last line of stderr, into .problem. */
static void script_blame(struct script *script, int status)
{
	const char *text = child_stderr_tail(script->child);
	const char *line = strrchr(text, '\n');

	line = line ? line + 1 : text;
	if (WIFSIGNALED(status))
		err_set(&script->problem, 0, "killed by signal %d%s%.*s", WTERMSIG(status),
			*line ? ": " : "", SCRIPT_STDERR_SHOWN, line);
	else
		err_set(&script->problem, 0, "exit status %d%s%.*s", WEXITSTATUS(status),
			*line ? ": " : "", SCRIPT_STDERR_SHOWN, line);
}

/* Reads the last line; what is wrong goes to .problem, and then nobody is woken. */
static void script_judge(struct script *script, struct verdict *verdict)
{
	if (script->last.error)
		err_set(&script->problem, 0, "no memory for its output");
	else if (script->last.len == 0)
		err_set(&script->problem, 0, "no output");
	else
		(void)verdict_read(script->last.data, script->last.len, verdict, &script->problem);
}

static void script_on_exited(void *userdata, int status)
{
	struct script *script = userdata;
	struct verdict verdict = { .wake = false };

	/*
	 * A stopped script leaves nothing behind. The group's leader was reaped in this very moment,
	 * so the number still means this group, or none.
	 */
	if (script->stopping)
		(void)kill(-script->group, SIGKILL);
	else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		script_blame(script, status);
	else
		script_judge(script, &verdict);
	script_finish(script, verdict.wake, verdict.data);
	json_decref(verdict.data);
}

static int script_spawn(struct script *script, struct children *children,
			const struct script_spec *spec, struct err *err)
{
	static const struct child_events events = {
		.output = script_on_output,
		.line = script_on_line,
		.exited = script_on_exited,
	};
	const char *const argv[] = { "bash", "-c", script_wrapper, spec->id ? spec->id : "task",
				     NULL };
	const struct child_spec child = {
		.argv = argv,
		.cwd = spec->cwd,
		.role = "agent",
		.line_max = SCRIPT_OUTPUT_MAX,
		.has_stdin = true,
	};
	int r;

	r = child_start(children, &child, &events, script, &script->child, err);
	if (r < 0)
		return r;
	script->group = child_pid(script->child);
	r = child_write(script->child, spec->text, strlen(spec->text));
	if (r < 0)
		return err_sys(err, r, "cannot hand the script to bash");
	child_close_stdin(script->child);
	return 0;
}

int script_start(struct loop *loop, struct children *children, const struct script_spec *spec,
		 script_done_fn *done, void *userdata, struct script **ret_script, struct err *err)
{
	struct script *script = calloc(1, sizeof(*script));
	int r;

	if (!script)
		return err_sys(err, -ENOMEM, "cannot start the script");
	script->done = done;
	script->userdata = userdata;
	script->limit_ms = spec->limit_ms ? spec->limit_ms : SCRIPT_LIMIT_MS;
	script->grace_ms = spec->grace_ms ? spec->grace_ms : SCRIPT_GRACE_MS;
	r = loop_timer_new(loop, script_on_timer, script, &script->timer);
	if (r < 0)
		err_sys(err, r, "cannot start the script");
	else
		r = script_spawn(script, children, spec, err);
	if (r < 0) {
		script_free(script);
		return r;
	}
	loop_timer_arm(script->timer, script->limit_ms);
	*ret_script = script;
	return 0;
}

void script_free(struct script *script)
{
	if (!script)
		return;
	child_free(script->child);
	loop_timer_free(script->timer);
	strbuf_deinit(&script->last);
	free(script);
}

int script_text(const char *content, size_t len, char **ret_text)
{
	cleanup_json json_t *value = NULL;
	const char *text;
	int r;

	r = json_parse_trusted(content, len, &value, NULL);
	if (r == -ENOMEM)
		return r;
	text = r < 0 ? NULL : json_member_string(value, "script");
	if (!text || !text[0])
		return 0;
	*ret_text = strdup(text);
	return *ret_text ? 1 : -ENOMEM;
}
