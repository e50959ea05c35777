/* SPDX-License-Identifier: MIT */
#include "runner/toolbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "runner/folders.h"
#include "runner/io/json.h"
#include "runner/io/rundir.h"
#include "runner/mcp/awaited.h"
#include "runner/mcp/file-outbox.h"
#include "runner/mcp/server.h"
#include "runner/message/content.h"
#include "runner/message/note.h"
#include "runner/store/outbound-lookup.h"

struct toolbox {
	struct toolbox_options options;
	struct toolbox_events events;
	void *userdata;
	int64_t made_ms;  /* by the clock */
	bool is_prepared; /* it was tried once */
	char *folder;	  /* NULL: there is none, and no server */
	bool is_left;	  /* the folder is removed, and whoever comes next may have it */
	char *socket_path;
	char *variable; /* "AGENT_SOCKET=…" */
	const char *env[2];
	char *agent_folder;
	char **readable; /* folders of which files may be sent; NULL: all */
	char *tool_name; /* the last one asked for */
	struct server *server;
	json_t *servers; /* what the agent is given */
	json_t *status;	 /* name to status, as the agent last told it */
};

/* What the server needs of the session */

static void toolbox_on_written(void *userdata, int64_t seq)
{
	call_written(userdata, seq);
}

static int toolbox_write(void *userdata, const struct outbound_message *message, struct call *call)
{
	const struct toolbox *toolbox = userdata;

	toolbox->events.writing(toolbox->userdata);
	outbox_add_message(toolbox->options.outbox, message, toolbox_on_written, call);
	outbox_commit_soon(toolbox->options.outbox);
	return 0;
}

static void toolbox_forget(void *userdata, struct call *call)
{
	const struct toolbox *toolbox = userdata;

	outbox_forget(toolbox->options.outbox, call);
}

static void toolbox_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	const struct toolbox *toolbox = userdata;

	toolbox->events.sent(toolbox->userdata, to, thread, text);
}

static const struct inbound_destinations *toolbox_destinations(void *userdata)
{
	const struct toolbox *toolbox = userdata;

	return toolbox->events.destinations(toolbox->userdata);
}

static const struct call_services toolbox_services = {
	.write = toolbox_write,
	.forget = toolbox_forget,
	.sent = toolbox_sent,
	.destinations = toolbox_destinations,
};

/* The start */

static int toolbox_start_server(void *userdata, const char *folder, struct err *err)
{
	struct toolbox *toolbox = userdata;
	const struct toolbox_options *o = &toolbox->options;
	struct server_options options = {
		.name = o->config->mcp_server_name,
		.offer = {
			.prefix = o->config->mcp_tool_prefix,
			.enabled = (const char *const *)o->config->mcp_tools,
		},
		.context = {
			.loop = o->loop,
			.workspace = o->workspace,
			.agent_folder = toolbox->agent_folder,
			.runtime_folder = folder,
			.readable = (const char *const *)toolbox->readable,
			.inbound_path = o->inbound_path,
			.agent_group_id = o->config->agent_group_id,
			.outbound = o->outbound,
			.services = &toolbox_services,
			.userdata = toolbox,
		},
	};

	free(toolbox->socket_path);
	toolbox->socket_path = rundir_socket(folder);
	if (!toolbox->socket_path)
		return err_sys(err, -ENOMEM, "%s", folder);
	options.socket_path = toolbox->socket_path;
	return server_new(&options, &toolbox->server, err);
}

/* Ours stands beside those of container.json, and before one of the same name. */
static int toolbox_add_ours(struct toolbox *toolbox)
{
	json_t *ours = json_pack("{s:s,s:[s],s:{s:s}}", "command", toolbox->options.self, "args",
				 "mcp", "env", RUNDIR_SOCKET_VARIABLE, toolbox->socket_path);
	const char *name = toolbox->options.config->mcp_server_name;

	if (ours && json_object_get(toolbox->servers, name))
		log_warning("container.json: the MCP server \"%s\" has the name of ours: left out",
			    name);
	return ours && json_object_set_new(toolbox->servers, name, ours) == 0 ? 0 : -ENOMEM;
}

/* The agent is told of the server. */
static int toolbox_offer(struct toolbox *toolbox)
{
	if (asprintf(&toolbox->variable, RUNDIR_SOCKET_VARIABLE "=%s", toolbox->socket_path) < 0) {
		toolbox->variable = NULL;
		return -ENOMEM;
	}
	toolbox->env[0] = toolbox->variable;
	return toolbox_add_ours(toolbox);
}

static int toolbox_open(struct toolbox *toolbox, struct err *err)
{
	int r = rundir_make(toolbox->options.workspace, toolbox_start_server, toolbox,
			    &toolbox->folder, err);

	toolbox->is_prepared = true;
	if (r == 0 && toolbox_offer(toolbox) < 0) {
		toolbox->env[0] = NULL;
		free(steal_ptr(toolbox->variable));
		server_free(steal_ptr(toolbox->server));
		rundir_remove(toolbox->folder);
		r = err_sys(err, -ENOMEM, "%s", toolbox->folder);
		free(steal_ptr(toolbox->folder));
	}
	return r;
}

int toolbox_new(const struct toolbox_options *options, const struct toolbox_events *events,
		void *userdata, struct toolbox **ret_toolbox)
{
	struct toolbox *toolbox = calloc(1, sizeof(*toolbox));
	int r = -ENOMEM;

	if (!toolbox)
		return -ENOMEM;
	toolbox->options = *options;
	toolbox->events = *events;
	toolbox->userdata = userdata;
	toolbox->made_ms = clock_realtime_ms();
	toolbox->agent_folder = folders_find_working(options->workspace, FOLDERS_AGENT);
	toolbox->servers = json_deep_copy(options->config->mcp_servers);
	toolbox->status = json_object();
	if (toolbox->agent_folder && toolbox->servers && toolbox->status)
		r = folders_list_readable(options->workspace,
					  (const char *const *)options->config->sandbox.words,
					  &toolbox->readable);
	if (r < 0) {
		toolbox_free(toolbox);
		return r;
	}
	*ret_toolbox = toolbox;
	return 0;
}

void toolbox_free(struct toolbox *toolbox)
{
	if (!toolbox)
		return;
	server_free(toolbox->server);
	if (!toolbox->is_left)
		rundir_remove(toolbox->folder);
	json_decref(toolbox->servers);
	json_decref(toolbox->status);
	free(toolbox->folder);
	free(toolbox->socket_path);
	free(toolbox->variable);
	free(toolbox->agent_folder);
	folders_free(toolbox->readable);
	free(toolbox->tool_name);
	free(toolbox);
}

static int toolbox_has_row(void *userdata, const char *id)
{
	const struct toolbox *toolbox = userdata;
	struct outbound_row row;
	int r = outbound_read(toolbox->options.outbound, id, &row, NULL);

	if (r > 0)
		outbound_row_deinit(&row);
	return r;
}

void toolbox_sweep(struct toolbox *toolbox)
{
	const struct file_outbox_rows rows = { toolbox->made_ms, toolbox_has_row, toolbox };
	size_t removed = file_outbox_sweep(toolbox->options.workspace, &rows);

	if (removed > 0)
		log_info("removed from the outbox: %zu unfinished cop%s of an earlier run", removed,
			 removed == 1 ? "y" : "ies");
}

static int toolbox_renew(struct toolbox *toolbox, struct err *err)
{
	int r = rundir_renew(toolbox->folder, err);

	if (r == 0)
		r = server_renew(toolbox->server, err);
	if (r > 0)
		log_warning("%s was taken away: made anew", toolbox->socket_path);
	return r;
}

void toolbox_prepare(struct toolbox *toolbox)
{
	struct err err;
	int r;

	if (toolbox->is_left)
		return;
	/* What failed for the last agent may work for this one. */
	r = toolbox->server ? toolbox_renew(toolbox, &err) : toolbox_open(toolbox, &err);
	if (r < 0)
		log_error("%s: the agent has no tools of ours (send_message, …)", err.text);
}

void toolbox_stop_listening(struct toolbox *toolbox)
{
	/* Now: later it may be the next one's. */
	if (toolbox->server && !toolbox->is_left) {
		server_stop_listening(toolbox->server);
		rundir_remove(toolbox->folder);
	}
	toolbox->is_left = true;
}

/* For the agent */

const json_t *toolbox_servers(const struct toolbox *toolbox)
{
	return toolbox->servers;
}

const char *toolbox_folder(const struct toolbox *toolbox)
{
	return toolbox->folder;
}

const char *const *toolbox_env(const struct toolbox *toolbox)
{
	return toolbox->env;
}

const char *toolbox_tool_name(struct toolbox *toolbox, const char *tool)
{
	const struct config *config = toolbox->options.config;
	const struct tools_offer offer = {
		.prefix = config->mcp_tool_prefix,
		.enabled = (const char *const *)config->mcp_tools,
	};

	free(steal_ptr(toolbox->tool_name));
	if ((toolbox->is_prepared && !toolbox->server) ||
	    asprintf(&toolbox->tool_name, "%s%s", config->mcp_tool_prefix, tool) < 0) {
		toolbox->tool_name = NULL;
		return NULL;
	}
	return tools_offered(&offer, toolbox->tool_name) ? toolbox->tool_name : NULL;
}

/* Is it a failure that the agent works without? */
static bool toolbox_has_failed(const char *status)
{
	return strcmp(status, "connected") != 0 && strcmp(status, "pending") != 0 &&
	       strcmp(status, "disabled") != 0;
}

static void toolbox_publish_status(struct toolbox *toolbox)
{
	json_t *list = json_array(), *status;
	const char *name;

	json_object_foreach(toolbox->status, name, status)(void)
		json_array_append_new(list, json_pack("{s:s,s:O}", "name", name, "status", status));
	if (list && toolbox->server)
		server_set_status(toolbox->server, list);
	else
		json_decref(list);
}

void toolbox_on_server(struct toolbox *toolbox, const char *name, const char *status)
{
	cleanup_strbuf struct strbuf note = STRBUF_EMPTY;
	const char *before = json_string_value(json_object_get(toolbox->status, name));

	if (before && strcmp(before, status) == 0)
		return;
	(void)json_object_set_new(toolbox->status, name, json_string(status));
	toolbox_publish_status(toolbox);
	if (!toolbox_has_failed(status)) {
		log_info("MCP server %s: %s", name, status);
		return;
	}
	log_warning("MCP server %s: %s", name, status);
	if (note_server_failed(name, status, &note) == 0)
		toolbox->events.note(toolbox->userdata, note.data);
}

/* Rows of kind system */

bool toolbox_is_awaited(void *userdata, const struct inbound_row *row)
{
	const struct toolbox *toolbox = userdata;
	cleanup_json json_t *content = NULL;

	return toolbox->server && content_parse(row->content, row->content_len, &content) == 0 &&
	       server_awaits(toolbox->server, content);
}

bool toolbox_awaits_person(const struct toolbox *toolbox)
{
	return toolbox->server && server_awaits_person(toolbox->server);
}

bool toolbox_awaits_answer(const struct toolbox *toolbox)
{
	return toolbox->server && server_awaits_answer(toolbox->server);
}

static bool toolbox_is_question(const json_t *content)
{
	const char *type = json_member_string(content, "type");

	return type && strcmp(type, "ask_question") == 0;
}

/* 1: its answer was acknowledged, or is about to be; 0; <0. */
static int toolbox_has_answer(const struct toolbox *toolbox, const char *question, struct err *err)
{
	/* The other answer may be of the same look, which is not written yet. */
	return outbox_has_completed(toolbox->options.outbox, question)
		       ? 1
		       : outbound_has_ack(toolbox->options.outbound, question, err);
}

/* Is it the first answer to this question of ours? TOOLBOX_LATE, TOOLBOX_STRAY, or <0. */
static int toolbox_take_late(const struct toolbox *toolbox, const char *id, const json_t *content,
			     struct strbuf *ret_text, struct err *err)
{
	cleanup_json json_t *asked = NULL;
	struct outbound_row question;
	int r = toolbox_has_answer(toolbox, id, err);

	if (r != 0)
		return r < 0 ? r : TOOLBOX_STRAY;
	r = outbound_read(toolbox->options.outbound, id, &question, err);
	if (r <= 0)
		return r < 0 ? r : TOOLBOX_STRAY;
	r = content_parse(question.content, strlen(question.content), &asked);
	outbound_row_deinit(&question);
	if (r == 0 && !toolbox_is_question(asked))
		return TOOLBOX_STRAY;
	if (r == 0)
		r = note_late_answer(asked, content, ret_text);
	return r < 0 ? err_sys(err, r, "cannot tell of an answer") : TOOLBOX_LATE;
}

int toolbox_take(struct toolbox *toolbox, const struct inbound_row *row, char **ret_question,
		 struct strbuf *ret_text, struct err *err)
{
	cleanup_json json_t *content = NULL;
	cleanup_free char *question = NULL;
	const char *id = NULL;
	int r = content_parse(row->content, row->content_len, &content);

	if (r == 0)
		id = awaited_id(AWAITED_QUESTION, content);
	if (id && !(question = strdup(id)))
		r = -ENOMEM;
	if (r < 0)
		return err_sys(err, r, "cannot read an answer");
	if (toolbox->server && server_offer(toolbox->server, content))
		r = TOOLBOX_ANSWERED;
	else
		r = id ? toolbox_take_late(toolbox, id, content, ret_text, err) : TOOLBOX_STRAY;
	if (r >= 0)
		*ret_question = r == TOOLBOX_STRAY ? NULL : steal_ptr(question);
	return r;
}
