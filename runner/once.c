/* SPDX-License-Identifier: MIT */
#include "runner/once.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/mend.h"
#include "common/strbuf.h"
#include "runner/config.h"
#include "runner/folders.h"
#include "runner/io/json.h"
#include "runner/notice.h"
#include "runner/provider/registry.h"
#include "runner/request.h"
#include "runner/secrets.h"
#include "runner/task/script.h"

#define ONCE_START	"---NANOCLAW_OUTPUT_START---\n"
#define ONCE_END	"\n---NANOCLAW_OUTPUT_END---\n"

#define ONCE_FAILED	1
#define ONCE_GLOBAL_MAX (256 * 1024)
/* The agent may still write its transcript, which a later request resumes. */
#define ONCE_STOP_MS 5000
#define ONCE_PUSH_ID 1

struct once {
	const struct runner_options *options;
	struct secrets *secrets; /* the container's; the request has its own */
	struct request *request;
	struct config *config;
	struct loop *loop;
	struct children *children;
	struct loop_timer *give_up; /* the agent does not end */
	struct script *script;
	json_t *script_output;
	const struct provider_type *type;
	struct provider *provider;
	char *session;	 /* the conversation's id; NULL: not known */
	bool is_shared;	 /* the agent has a folder of its own in the workspace */
	bool is_resumed; /* the agent goes on with an earlier conversation */
	bool restarts;	 /* it is ending, to be started in a fresh one */
	bool answered;
	bool failed;
	int refused; /* the exit code for rights that could not be narrowed; 0: they were */
};

/* Frames */

static void once_append_or_null(struct strbuf *out, const char *text, size_t len)
{
	if (text)
		json_append_string(out, text, len);
	else
		strbuf_puts(out, "null");
}

/* Prints one frame. result and error may be NULL. */
static void once_frame(struct once *once, const char *result, size_t len, const char *error)
{
	cleanup_strbuf struct strbuf frame = STRBUF_EMPTY;
	int r;

	strbuf_puts(&frame, ONCE_START "{\"status\":");
	strbuf_puts(&frame, error ? "\"error\"" : "\"success\"");
	strbuf_puts(&frame, ",\"result\":");
	once_append_or_null(&frame, result, len);
	if (once->session) {
		strbuf_puts(&frame, ",\"newSessionId\":");
		json_append_string(&frame, once->session, strlen(once->session));
	}
	if (error) {
		strbuf_puts(&frame, ",\"error\":");
		json_append_string(&frame, error, strlen(error));
		once->failed = true;
	}
	strbuf_puts(&frame, "}" ONCE_END);
	if (frame.error) {
		log_error("out of memory");
		once->failed = true;
		return;
	}
	r = fd_write_all(STDOUT_FILENO, frame.data, frame.len);
	if (r < 0) {
		log_error("the answer cannot be written to standard output: %s", strerror(-r));
		once->failed = true;
	}
}

static void once_fail(struct once *once, const char *error)
{
	log_error("%s", error);
	once_frame(once, NULL, 0, error);
	loop_stop(once->loop, 0);
}

/* The agent's events */

static void once_on_init(void *userdata, const char *continuation)
{
	struct once *once = userdata;
	char *copy;

	/* One that is being replaced speaks of a conversation that is given up. */
	if (once->restarts || !(copy = strdup(continuation)))
		return;
	free(once->session);
	once->session = copy;
}

static void once_on_text(void *userdata, const char *text, size_t len)
{
	/* The result repeats the last text; what came before it is progress. */
	(void)userdata;
	(void)text;
	(void)len;
}

static void once_on_tool_start(void *userdata, const char *id, const char *name, int64_t timeout_ms)
{
	(void)userdata;
	(void)id;
	(void)name;
	(void)timeout_ms;
}

static void once_on_tool_end(void *userdata, const char *id)
{
	(void)userdata;
	(void)id;
}

static void once_on_server(void *userdata, const char *name, const char *status)
{
	(void)userdata;
	log_debug("MCP server %s: %s", name, status);
}

static void once_on_nothing(void *userdata)
{
	(void)userdata;
}

static void once_on_give_up(void *userdata)
{
	struct once *once = userdata;

	log_warning("the agent does not end: leaving it behind");
	if (once->restarts)
		once_fail(once, "the agent does not end");
	loop_stop(once->loop, 0);
}

static void once_stop_agent(struct once *once)
{
	once->type->stop(once->provider, ONCE_STOP_MS);
	/* Twice what it gets: its end is noticed, or given up on. */
	loop_timer_arm(once->give_up, 2 * ONCE_STOP_MS);
}

/* Says what went wrong in words that need no knowledge of what runs behind it. */
static void once_report(struct once *once, enum provider_error error, const char *detail,
			int64_t retry_at_ms)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	log_error("the agent failed (%s)%s%s", provider_error_name(error), *detail ? ": " : "",
		  detail);
	once->answered = true;
	once->failed = true;
	if (notice_compose(error, detail, retry_at_ms, &text) == 0)
		once_frame(once, NULL, 0, text.data);
}

/* Is this a failure of an earlier conversation, which a fresh one may not have? */
static bool once_is_worth_a_fresh_start(const struct once *once, enum provider_error error)
{
	return once->is_resumed &&
	       (error == PROVIDER_INVALID_SESSION || error == PROVIDER_TOO_LONG);
}

static void once_on_result(void *userdata, const struct provider_result *result)
{
	struct once *once = userdata;

	/* Words about background work are not the answer to the prompt. */
	if (once->answered || once->restarts ||
	    (result->answered == 0 && result->error == PROVIDER_OK))
		return;
	if (once_is_worth_a_fresh_start(once, result->error)) {
		once->restarts = true;
	} else if (result->error == PROVIDER_OK && result->missing) {
		once_report(once, PROVIDER_OTHER, "it ended without an answer", 0);
	} else if (result->error != PROVIDER_OK) {
		once_report(once, result->error, result->text, result->retry_at_ms);
	} else {
		once->answered = true;
		once_frame(once, result->text_len > 0 ? result->text : NULL, result->text_len,
			   NULL);
	}
	once_stop_agent(once);
}

static void once_start_fresh(struct once *once);

static void once_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct once *once = userdata;
	struct provider *provider = steal_ptr(once->provider);

	loop_timer_disarm(once->give_up);
	/* What its tools left running must not outlive it. */
	(void)children_kill_orphans(once->children);
	if (once->restarts || (!once->answered && once_is_worth_a_fresh_start(once, error))) {
		once_start_fresh(once);
	} else {
		if (!once->answered)
			once_report(once, error == PROVIDER_OK ? PROVIDER_CRASHED : error, detail,
				    0);
		loop_stop(once->loop, 0);
	}
	/* Last: detail may live in it. */
	once->type->free(provider);
}

static const struct provider_events once_events = {
	.ready = once_on_nothing,
	.init = once_on_init,
	.text = once_on_text,
	.tool_start = once_on_tool_start,
	.tool_end = once_on_tool_end,
	.result = once_on_result,
	.server = once_on_server,
	.compacted = once_on_nothing,
	.activity = once_on_nothing,
	.exited = once_on_exited,
};

/* The agent */

/* global/CLAUDE.md is told to every group but the main one. NULL: nothing to tell. */
static char *once_instructions(const struct once *once)
{
	cleanup_free char *path = NULL;
	struct err err;
	char *text = NULL;
	size_t len;
	int r;

	if (once->request->is_main)
		return NULL;
	if (asprintf(&path, "%s/global/CLAUDE.md", once->options->workspace) < 0) {
		path = NULL;
		return NULL;
	}
	r = fd_read_file(path, ONCE_GLOBAL_MAX, &text, &len, &err);
	if (r < 0 && r != -ENOENT)
		log_warning("%s: the agent is not told of it", err.text);
	return r == 0 ? text : NULL;
}

static const char *once_or_null(const char *text)
{
	return text && *text ? text : NULL;
}

static int once_push(struct once *once)
{
	cleanup_strbuf struct strbuf prompt = STRBUF_EMPTY;
	int r = request_append_prompt(once->request, once->script_output, &prompt);

	return r < 0 ? r
		     : once->type->push(once->provider, ONCE_PUSH_ID, prompt.data, prompt.len,
					false);
}

/* Starts the agent and hands it the prompt. */
static int once_start_agent(struct once *once, const char *continuation, struct err *err)
{
	const struct request *request = once->request;
	cleanup_free char *cwd = folders_find_working(once->options->workspace, FOLDERS_GROUP);
	cleanup_free char *instructions = once_instructions(once);
	cleanup_free char *archive = NULL;
	cleanup_free const char **env =
		secrets_join(once->secrets, (const char *const *)request->env);
	char **extra = folders_list_extra(once->options->workspace);
	struct provider_query query = {
		.type = once->type,
		.loop = once->loop,
		.children = once->children,
		.cwd = cwd,
		.continuation = continuation,
		.instructions = once_or_null(instructions),
		.model = once_or_null(once->config->model),
		.effort = once_or_null(once->config->effort),
		.assistant_name = request->assistant_name
					  ? request->assistant_name
					  : once_or_null(once->config->assistant_name),
		.directories = (const char *const *)extra,
		.env = env,
		.command = (const char *const *)once->config->agent_command,
	};
	int r = 0;

	/* A script, or an earlier agent, may have locked it out of the folder that it starts in. */
	(void)mend_workspace(once->options->workspace, NULL);
	once->is_resumed = continuation != NULL;
	if (!cwd || !env || !extra || asprintf(&archive, "%s/conversations", cwd) < 0) {
		archive = NULL;
		r = -ENOMEM;
	}
	query.archive_dir = archive;
	if (r == 0)
		r = once->type->start(&query, &once_events, once, &once->provider, err);
	else
		err_sys(err, r, "cannot start the agent");
	folders_free(extra);
	if (r < 0)
		return r;
	r = once_push(once);
	return r < 0 ? err_sys(err, r, "cannot hand the prompt to the agent") : 0;
}

/* The earlier conversation is unknown, or too long: the request is answered without it. */
static void once_start_fresh(struct once *once)
{
	struct err err;

	log_warning("the conversation %s cannot be resumed: starting a fresh one",
		    once->request->session);
	once->restarts = false;
	free(steal_ptr(once->session));
	if (once_start_agent(once, NULL, &err) < 0)
		once_fail(once, err.text);
}

/* A script that decides whether a scheduled task wakes the agent */

static void once_on_script(void *userdata, const struct script_outcome *outcome)
{
	struct once *once = userdata;
	struct err err;

	if (outcome->problem)
		log_warning("the task's script: %s: the agent is not woken", outcome->problem);
	once->script_output = json_incref(outcome->data);
	if (!outcome->wake)
		loop_stop(once->loop, 0);
	else if (once_start_agent(once, once->request->session, &err) < 0)
		once_fail(once, err.text);
}

/* The way of a request */

static int once_begin(struct once *once, struct err *err)
{
	cleanup_free char *cwd = NULL;
	struct script_spec spec = { .text = once->request->script };

	if (!spec.text || !once->request->is_scheduled)
		return once_start_agent(once, once->request->session, err);
	cwd = folders_find_working(once->options->workspace, FOLDERS_GROUP);
	if (!cwd)
		return err_sys(err, -ENOMEM, "cannot start the script");
	spec.cwd = cwd;
	return script_start(once->loop, once->children, &spec, once_on_script, once, &once->script,
			    err);
}

static int once_find_provider(struct once *once, struct err *err)
{
	cleanup_free char *path = NULL;
	char names[256];
	int r;

	if (asprintf(&path, "%s/agent/container.json", once->options->workspace) < 0) {
		path = NULL;
		return err_sys(err, -ENOMEM, "cannot read the configuration");
	}
	r = config_load(path, &once->config, err);
	if (r < 0)
		return r;
	once->type = registry_find(once->config->provider);
	if (once->type)
		return secrets_take_shared(once->secrets, once->type) < 0
			       ? err_sys(err, -ENOMEM, "cannot read the configuration")
			       : 0;
	registry_names(names, sizeof(names));
	return err_set(err, -ENOENT, "there is no provider \"%s\": there are %s",
		       once->config->provider, names);
}

static void once_on_terminate(void *userdata, const struct signalfd_siginfo *info)
{
	struct once *once = userdata;
	struct err err;

	log_info("ending on signal %u", info->ssi_signo);
	if (!once->answered) {
		err_set(&err, 0, "ended by signal %u before there was an answer", info->ssi_signo);
		once_frame(once, NULL, 0, err.text);
	}
	loop_stop(once->loop, 0);
}

static const char *const *once_confine_words(const struct once *once)
{
	return (const char *const *)once->config->sandbox.words;
}

/* What the children are confined with, and this process, too. 0 or -errno. */
static int once_confine(struct once *once, struct err *err)
{
	const struct runner_options *o = once->options;

	if (config_sandbox_set_workspace(&once->config->sandbox, o->workspace, once->is_shared) < 0)
		return err_sys(err, -ENOMEM, "cannot start the agent");
	if (o->confine)
		once->refused = o->confine(o->userdata, once_confine_words(once), err);
	return once->refused ? -EPERM : 0;
}

static int once_setup(struct once *once, struct err *err)
{
	struct err warning;
	int r = once_find_provider(once, err);

	once->is_shared = folders_is_shared(once->options->workspace);
	if (r == 0)
		r = once_confine(once, err);
	/* An agent sees only what is there when it starts; what is its own is left as it is. */
	if (r == 0 && once->is_shared &&
	    folders_make(once->options->workspace, FOLDERS_GROUP, &warning) < 0)
		log_warning("%s", warning.text);
	if (r == 0)
		r = loop_new(&once->loop, err);
	if (r == 0)
		r = loop_add_signal(once->loop, SIGTERM, once_on_terminate, once, err);
	if (r == 0)
		r = loop_add_signal(once->loop, SIGINT, once_on_terminate, once, err);
	if (r == 0)
		r = children_new(once->loop, once->options->self, once_confine_words(once),
				 &once->children, err);
	if (r == 0)
		children_tell_denied(once->children, once->options->call_name);
	if (r == 0 && loop_timer_new(once->loop, once_on_give_up, once, &once->give_up) < 0)
		r = err_sys(err, -ENOMEM, "cannot start the agent");
	if (r == 0)
		r = once_begin(once, err);
	/* While the agent starts. */
	if (r == 0 && once->options->review)
		once->options->review(once->options->userdata, once_confine_words(once));
	return r;
}

static void once_teardown(struct once *once)
{
	script_free(once->script);
	if (once->provider)
		once->type->free(once->provider);
	if (once->children)
		children_end(once->children);
	children_free(once->children);
	loop_timer_free(once->give_up);
	loop_free(once->loop);
	config_free(once->config);
	json_decref(once->script_output);
	request_free(once->request);
	secrets_free(once->secrets);
	free(once->session);
}

static bool once_is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isspace((unsigned char)text[i]))
			return false;
	return true;
}

/* A help, never a reason to fail. */
static void once_keep_copy(const struct once *once)
{
	cleanup_free char *path = request_copy_path();
	struct err err = { "out of memory" };

	if (!path || request_keep_copy(once->request, path, &err) < 0)
		log_warning("the request is not kept for inspection: %s", err.text);
}

/* Reads the request. -ENODATA: there is none. */
static int once_read(struct once *once, int fd, struct err *err)
{
	cleanup_free char *text = NULL;
	size_t len;
	int r;

	r = fd_read_all(fd, ONCE_REQUEST_MAX, &text, &len, err);
	if (r < 0)
		return err_prefix(err, r, "the request on stdin");
	if (once_is_blank(text, len))
		return -ENODATA;
	r = request_parse(text, len, &once->request, err);
	explicit_bzero(text, len);
	if (r < 0)
		return r;
	once_keep_copy(once);
	if (once->request->session && !(once->session = strdup(once->request->session)))
		return err_sys(err, -ENOMEM, "the request on stdin");
	return 0;
}

int once_run(const struct runner_options *options, int fd)
{
	struct once once = { .options = options };
	struct err err = { "" };
	int r;

	r = secrets_take(&once.secrets);
	if (r == 0)
		r = once_read(&once, fd, &err);
	else
		err_sys(&err, r, "cannot read the request");
	if (r == -ENODATA) {
		once_teardown(&once);
		return r;
	}
	if (r == 0)
		r = once_setup(&once, &err);
	if (r == 0)
		r = loop_run(once.loop, &err);
	if (r < 0) {
		log_error("%s", err.text);
		once_frame(&once, NULL, 0, err.text);
	} else if (!once.failed) {
		/* The end of the query, and where it can be taken up again. */
		once_frame(&once, NULL, 0, NULL);
	}
	once_teardown(&once);
	if (once.refused)
		return once.refused;
	return once.failed ? ONCE_FAILED : EXIT_CODE_OK;
}
