/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/quote.h"
#include "runner/io/copy.h"
#include "runner/io/json.h"
#include "runner/mcp/file-outbox.h"
#include "runner/mcp/file-source.h"
#include "runner/mcp/tool-route.h"

/* How often the caller is told how far it is. */
#define TOOL_FILE_PROGRESS_MS 1000

/* A file on its way: it is copied, then its row waits for the disk. */
struct tool_file {
	struct call *call;
	struct tool_route route;
	struct file_outbox outbox;
	struct copy *copy;
	char *text; /* that goes with it; NULL: none */
	int source;
	int64_t told_ms; /* when the caller was told last */
	bool is_queued;	 /* the row is, and the host will want the file */
	char id[OUTBOUND_ID_SIZE];
	char name[FILE_OUTBOX_NAME_SIZE];
};

static void tool_file_free(void *state)
{
	struct tool_file *file = state;

	copy_free(file->copy);
	if (!file->is_queued)
		file_outbox_remove(&file->outbox, file->name);
	file_outbox_close(&file->outbox);
	if (file->source >= 0)
		close(file->source);
	tool_route_deinit(&file->route);
	free(file->text);
	free(file);
}

CLEANUP_DEFINE(tool_file, struct tool_file *, tool_file_free);
#define cleanup_tool_file CLEANUP(cleanup_tool_file_fn)

static void tool_file_on_written(struct call *call, int64_t seq)
{
	struct tool_file *file = call_state(call);
	char name[QUOTE_SIZE], place[QUOTE_SIZE];

	file->is_queued = true;
	call_answer(call, "The file %s is sent to %s. Its message id is %" PRId64 ".",
		    quote(name, file->name, strlen(file->name)),
		    tool_route_place(&file->route, place), seq);
}

/* The row's content as text; NULL: out of memory. */
static char *tool_file_content(const struct tool_file *file)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_json json_t *content = json_pack("{s:s, s:[s]}", "text",
						 file->text ? file->text : "", "files", file->name);

	if (!content || json_append_compact(&text, content) < 0)
		return NULL;
	return strbuf_steal(&text);
}

/* The copy is on disk. The session may end the call at any step of this. */
static void tool_file_write(struct call *call)
{
	const struct call_context *context = call_context(call);
	struct tool_file *file = call_state(call);
	struct outbound_message message = { .kind = "chat", .id = file->id };
	cleanup_free char *content = tool_file_content(file);

	if (!content) {
		call_answer_text(call, NULL);
		return;
	}
	context->services->sent(context->userdata, file->route.name, file->route.address.thread_id,
				file->text && file->text[0] ? file->text : NULL);
	if (!call_state(call))
		return;
	tool_route_apply(&file->route, &message);
	message.content = content;
	call_write(call, &message, tool_file_on_written);
	/* From here on the file stays, even if nobody waits for the answer any more. */
	file = call_state(call);
	if (file)
		file->is_queued = true;
}

static void tool_file_on_copied(void *userdata, int result, const struct err *err)
{
	struct tool_file *file = userdata;
	struct call *call = file->call;
	char name[QUOTE_SIZE];

	if (result < 0) {
		call_fail(call, "The file %s was not sent: %s.",
			  quote(name, file->name, strlen(file->name)), err->text);
		return;
	}
	call_ref(call);
	tool_file_write(call);
	call_unref(call);
}

static void tool_file_on_progress(void *userdata, int64_t bytes, int64_t total)
{
	struct tool_file *file = userdata;
	int64_t now = clock_monotonic_ms();

	if (now - file->told_ms < TOOL_FILE_PROGRESS_MS)
		return;
	file->told_ms = now;
	call_progress(file->call, (double)bytes, (double)total, "Copying the file");
}

/* Starts the copy. 0 or -errno. */
static int tool_file_start(const struct call_context *context, struct tool_file *file,
			   struct err *err)
{
	static const struct copy_events events = {
		.done = tool_file_on_copied,
		.progress = tool_file_on_progress,
	};
	struct copy_job job = { .source = file->source, .name = file->name, .mode = 0644 };
	int r;

	outbound_make_id("msg", file->id);
	r = file_outbox_make(context->workspace, file->id, &file->outbox, err);
	if (r < 0)
		return r;
	job.folder = file->outbox.folder;
	file->told_ms = clock_monotonic_ms();
	return copy_start(context->loop, &job, &events, file, &file->copy, err);
}

/* What people will see it called. False: the call has ended. */
static bool tool_file_choose_name(struct call *call, const json_t *arguments,
				  struct tool_file *file)
{
	const char *path = json_member_string(arguments, "path"), *slash = strrchr(path, '/');
	const char *given = json_member_string(arguments, "filename");
	struct err err = { "" };

	if (!given || !given[0])
		given = slash ? slash + 1 : path;
	if (file_outbox_name(given, file->name, &err) == 0)
		return true;
	call_fail(call, "%s Give another name in `filename`.", err.text);
	return false;
}

void tool_file_send(struct call *call, const json_t *arguments)
{
	const struct call_context *context = call_context(call);
	const struct file_source source = {
		.workspace = context->workspace,
		.folder = context->agent_folder,
		.runtime = context->runtime_folder,
		.readable = context->readable,
	};
	cleanup_tool_file struct tool_file *file = calloc(1, sizeof(*file));
	const char *text = json_member_string(arguments, "text");
	char name[QUOTE_SIZE];
	struct err err = { "" };

	if (file)
		*file = (struct tool_file){ .call = call,
					    .source = -1,
					    .outbox = FILE_OUTBOX_NONE };
	if (file && text)
		file->text = strdup(text);
	if (!file || (text && !file->text)) {
		call_answer_text(call, NULL);
		return;
	}
	if (file_source_open(&source, json_member_string(arguments, "path"), &file->source, &err) <
	    0) {
		call_fail(call, "%s", err.text);
		return;
	}
	if (!tool_file_choose_name(call, arguments, file) ||
	    !tool_route_find(call, json_member_string(arguments, "to"), &file->route))
		return;
	if (tool_file_start(context, file, &err) < 0) {
		call_fail(call, "The file %s was not sent: %s.",
			  quote(name, file->name, strlen(file->name)), err.text);
		return;
	}
	call_hold(call, steal_ptr(file), tool_file_free);
}
