/* SPDX-License-Identifier: MIT */
#include "runner/once.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "runner/config.h"
#include "runner/folders.h"
#include "runner/io/json.h"
#include "runner/notice.h"
#include "runner/provider/registry.h"

#define ONCE_START	   "---NANOCLAW_OUTPUT_START---\n"
#define ONCE_END	   "\n---NANOCLAW_OUTPUT_END---\n"

#define ONCE_FAILED	   1
#define ONCE_SECRETS_MAX   128
#define ONCE_GLOBAL_MAX	   (256 * 1024)
#define ONCE_STOP_MS	   500
#define ONCE_FIRST_PUSH_ID 1

static const char once_scheduled[] =
	"[SCHEDULED TASK - this was sent by the schedule, not by a person]\n\n";

struct once {
	const struct runner_options *options;
	json_t *request;
	struct config *config;
	struct loop *loop;
	struct children *children;
	struct loop_timer *kill_timer;
	const struct provider_type *type;
	struct provider *provider;
	char *session; /* the conversation's id; NULL: not known yet */
	bool answered;
	bool failed;
};

/* Frames */

static void once_add_member(json_t *object, const char *name, const char *text)
{
	json_object_set_new(object, name, text ? json_string(text) : json_null());
}

/* Prints one frame. result and error may be NULL. */
static void once_frame(struct once *once, const char *result, const char *error)
{
	cleanup_json json_t *frame = json_object();
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	once_add_member(frame, "status", error ? "error" : "success");
	once_add_member(frame, "result", result);
	if (once->session)
		once_add_member(frame, "newSessionId", once->session);
	if (error)
		once_add_member(frame, "error", error);
	strbuf_puts(&text, ONCE_START);
	if (!frame || json_append_compact(&text, frame) < 0 || strbuf_puts(&text, ONCE_END) < 0) {
		log_error("out of memory");
		return;
	}
	if (fd_write_all(STDOUT_FILENO, text.data, text.len) < 0)
		log_warning("nobody reads the answer");
	once->failed |= error != NULL;
}

/* The agent's events */

static void once_on_ready(void *userdata)
{
	(void)userdata;
}

static void once_on_init(void *userdata, const char *continuation)
{
	struct once *once = userdata;
	char *copy = strdup(continuation);

	if (!copy)
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

static void once_on_nothing(void *userdata)
{
	(void)userdata;
}

static void once_on_kill_timer(void *userdata)
{
	struct once *once = userdata;

	loop_stop(once->loop, 0);
}

static void once_stop(struct once *once)
{
	once->answered = true;
	once->type->stop(once->provider, ONCE_STOP_MS);
	/* Twice what it gets: its end is noticed, or given up on. */
	loop_timer_arm(once->kill_timer, 2 * ONCE_STOP_MS);
}

static void once_fail(struct once *once, enum provider_error error, const char *detail,
		      int64_t retry_at_ms)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	log_warning("the agent failed (%s): %s", provider_error_name(error), detail);
	if (notice_compose(error, detail, retry_at_ms, &text) == 0)
		once_frame(once, NULL, text.data);
	once->failed = true;
}

static void once_on_result(void *userdata, const struct provider_result *result)
{
	struct once *once = userdata;

	/* Words about background work are not the answer to the prompt. */
	if (once->answered || (result->answered == 0 && result->error == PROVIDER_OK))
		return;
	if (result->error != PROVIDER_OK)
		once_fail(once, result->error, result->text, result->retry_at_ms);
	else
		once_frame(once, result->text_len > 0 ? result->text : NULL, NULL);
	once_stop(once);
}

static void once_on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct once *once = userdata;

	if (!once->answered)
		once_fail(once, error == PROVIDER_OK ? PROVIDER_CRASHED : error, detail, 0);
	loop_stop(once->loop, 0);
}

static const struct provider_events once_events = {
	.ready = once_on_ready,
	.init = once_on_init,
	.text = once_on_text,
	.tool_start = once_on_tool_start,
	.tool_end = once_on_tool_end,
	.result = once_on_result,
	.compacted = once_on_nothing,
	.activity = once_on_nothing,
	.exited = once_on_exited,
};

/* The request */

/* Keeps a copy for inspection, without the secrets. It is a help, never a reason to fail. */
static void once_keep_copy(const json_t *request)
{
	cleanup_json json_t *copy = json_copy((json_t *)(uintptr_t)request);
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_close int fd = -1;

	if (!copy)
		return;
	json_object_del(copy, "secrets");
	if (json_append_compact(&text, copy) < 0)
		return;
	/* Made anew: a file that somebody else prepared there keeps its rights. */
	(void)unlink(ONCE_COPY_PATH);
	fd = open(ONCE_COPY_PATH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fd_write_all(fd, text.data, text.len) < 0)
		log_warning("cannot keep a copy of the request in %s: %s", ONCE_COPY_PATH,
			    strerror(errno));
}

static int once_parse(struct once *once, const char *text, size_t len, struct err *err)
{
	const char *prompt;
	int r;

	r = json_parse(text, len, &once->request, err);
	if (r < 0)
		return err_prefix(err, r, "the request on stdin");
	prompt = json_member_string(once->request, "prompt");
	if (!prompt || *prompt == '\0')
		return err_set(err, -EINVAL,
			       "the request on stdin must be a JSON object with a \"prompt\"");
	once_keep_copy(once->request);
	return 0;
}

/* "NAME=value" for each secret, owned by the list; the environment is the only place they reach. */
static int once_list_secrets(const json_t *request, char *ret_env[ONCE_SECRETS_MAX + 1])
{
	json_t *secrets = json_member(request, "secrets"), *value;
	const char *name;
	size_t count = 0;

	ret_env[0] = NULL;
	json_object_foreach(secrets, name, value)
	{
		if (!json_is_string(value) || !*name || strchr(name, '='))
			continue;
		if (count == ONCE_SECRETS_MAX) {
			log_warning("more than %d secrets: the rest is left out", ONCE_SECRETS_MAX);
			break;
		}
		if (asprintf(&ret_env[count], "%s=%s", name, json_string_value(value)) < 0) {
			ret_env[count] = NULL;
			return -ENOMEM;
		}
		ret_env[++count] = NULL;
	}
	return 0;
}

/* global/CLAUDE.md is told to every group but the main one. NULL: nothing to tell. */
static char *once_instructions(const struct once *once)
{
	cleanup_free char *path = NULL;
	char *text = NULL;
	size_t len;

	if (json_member_bool(once->request, "isMain", false))
		return NULL;
	if (asprintf(&path, "%s/global/CLAUDE.md", once->options->workspace) < 0) {
		path = NULL;
		return NULL;
	}
	return fd_read_file(path, ONCE_GLOBAL_MAX, &text, &len, NULL) == 0 ? text : NULL;
}

static const char *once_or_null(const char *text)
{
	return text && *text ? text : NULL;
}

static int once_start_agent(struct once *once, struct err *err)
{
	const char *name = json_member_string(once->request, "assistantName");
	cleanup_free char *cwd = folders_find_working(once->options->workspace, "group");
	cleanup_free char *instructions = once_instructions(once);
	char *env[ONCE_SECRETS_MAX + 1];
	const struct provider_query query = {
		.loop = once->loop,
		.children = once->children,
		.cwd = cwd,
		.continuation = once_or_null(json_member_string(once->request, "sessionId")),
		.instructions = instructions,
		.model = once_or_null(once->config->model),
		.effort = once_or_null(once->config->effort),
		.assistant_name = once_or_null(name),
		.env = (const char *const *)env,
	};
	int r = once_list_secrets(once->request, env);

	if (r == 0 && !cwd)
		r = -ENOMEM;
	if (r < 0)
		err_sys(err, r, "cannot start the agent");
	else
		r = once->type->start(&query, &once_events, once, &once->provider, err);
	for (char **secret = env; *secret; secret++) {
		explicit_bzero(*secret, strlen(*secret));
		free(*secret);
	}
	return r;
}

static int once_push(struct once *once, struct err *err)
{
	cleanup_strbuf struct strbuf prompt = STRBUF_EMPTY;
	int r;

	if (json_member_bool(once->request, "isScheduledTask", false))
		strbuf_puts(&prompt, once_scheduled);
	r = strbuf_puts(&prompt, json_member_string(once->request, "prompt"));
	if (r == 0)
		r = once->type->push(once->provider, ONCE_FIRST_PUSH_ID, prompt.data, prompt.len,
				     false);
	return r < 0 ? err_sys(err, r, "cannot hand the prompt to the agent") : 0;
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
		return 0;
	registry_names(names, sizeof(names));
	return err_set(err, -ENOENT, "there is no provider \"%s\": there are %s",
		       once->config->provider, names);
}

/* The end */

static void once_on_terminate(void *userdata, const struct signalfd_siginfo *info)
{
	struct once *once = userdata;

	log_info("ending on signal %u", info->ssi_signo);
	once->failed = true;
	loop_stop(once->loop, 0);
}

static int once_setup(struct once *once, struct err *err)
{
	int r = loop_new(&once->loop, err);

	if (r == 0)
		r = loop_add_signal(once->loop, SIGTERM, once_on_terminate, once, err);
	if (r == 0)
		r = loop_add_signal(once->loop, SIGINT, once_on_terminate, once, err);
	if (r == 0)
		r = children_new(once->loop, once->options->self, &once->children, err);
	if (r == 0 && loop_timer_new(once->loop, once_on_kill_timer, once, &once->kill_timer) < 0)
		r = err_sys(err, -ENOMEM, "cannot start the agent");
	if (r == 0)
		r = once_find_provider(once, err);
	if (r == 0)
		r = once_start_agent(once, err);
	return r < 0 ? r : once_push(once, err);
}

static void once_teardown(struct once *once)
{
	if (once->provider)
		once->type->free(once->provider);
	if (once->children)
		(void)children_kill_orphans(once->children);
	children_free(once->children);
	loop_timer_free(once->kill_timer);
	loop_free(once->loop);
	config_free(once->config);
	json_decref(once->request);
	free(once->session);
}

static bool once_is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isspace((unsigned char)text[i]))
			return false;
	return true;
}

int once_run(const struct runner_options *options, int fd)
{
	struct once once = { .options = options };
	cleanup_free char *text = NULL;
	struct err err = { "" };
	size_t len;
	int r;

	r = fd_read_all(fd, ONCE_REQUEST_MAX, &text, &len, &err);
	if (r < 0) {
		err_prefix(&err, r, "the request on stdin");
	} else {
		if (once_is_blank(text, len))
			return -ENODATA;
		r = once_parse(&once, text, len, &err);
		explicit_bzero(text, len);
	}
	if (r == 0)
		r = once_setup(&once, &err);
	if (r == 0)
		r = loop_run(once.loop, &err);
	if (r < 0) {
		log_error("%s", err.text);
		once_frame(&once, NULL, err.text);
	} else if (!once.failed) {
		/* The query ended: where it can be taken up again. */
		once_frame(&once, NULL, NULL);
	}
	once_teardown(&once);
	return once.failed ? ONCE_FAILED : EXIT_CODE_OK;
}
