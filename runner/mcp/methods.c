/* SPDX-License-Identifier: MIT */
#include "runner/mcp/methods.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "runner/io/json.h"

/* A command that the host was asked to carry out. */
struct methods_request {
	struct call *call;
	char id[OUTBOUND_ID_SIZE];
	struct awaited_entry *entry;
	struct loop_timer *timer;
};

static void methods_release(void *state)
{
	struct methods_request *request = state;

	awaited_remove(request->entry);
	loop_timer_free(request->timer);
	free(request);
}

static void methods_on_timer(void *userdata)
{
	struct methods_request *request = userdata;

	call_fail(request->call, "the host did not answer within %d s", METHODS_NCL_MS / 1000);
}

static void methods_on_frame(void *userdata, const json_t *content)
{
	struct methods_request *request = userdata;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	const json_t *frame = json_member(content, "frame");

	if (json_is_object(frame)) {
		json_append_compact(&text, frame);
	} else {
		strbuf_printf(&text, "{\"id\":\"%s\",\"ok\":false,\"error\":{", request->id);
		strbuf_puts(&text, "\"code\":\"bad-frame\",\"message\":"
				   "\"the host's answer holds no frame\"}}");
	}
	call_answer_text(request->call, strbuf_steal(&text));
}

static int methods_compose(const struct methods_request *request, const json_t *params,
			   struct strbuf *out)
{
	const char *command = json_member_string(params, "command");
	const json_t *args = json_member(params, "args");

	strbuf_printf(out,
		      "{\"action\":\"cli_request\",\"requestId\":\"%s\",\"command\":", request->id);
	json_append_string(out, command, strlen(command));
	strbuf_puts(out, ",\"args\":");
	if (json_is_object(args))
		json_append_compact(out, args);
	else
		strbuf_puts(out, "{}");
	return strbuf_putc(out, '}');
}

static void methods_on_written(struct call *call, int64_t seq)
{
	const struct methods_request *request = call_state(call);

	(void)seq;
	loop_timer_arm(request->timer, METHODS_NCL_MS);
}

/* Made before the row is written: the host may answer before we are told that it is on disk. */
static struct methods_request *methods_request_new(struct call *call)
{
	const struct call_context *context = call_context(call);
	struct methods_request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->call = call;
	outbound_make_id("cli", request->id);
	request->entry = awaited_add(context->awaited, AWAITED_REQUEST, request->id,
				     methods_on_frame, request);
	if (!request->entry ||
	    loop_timer_new(context->loop, methods_on_timer, request, &request->timer) < 0) {
		methods_release(request);
		return NULL;
	}
	return request;
}

void methods_ncl(struct call *call, const json_t *params)
{
	struct methods_request *request = methods_request_new(call);
	cleanup_strbuf struct strbuf content = STRBUF_EMPTY;
	struct outbound_message message = { .kind = "system" };

	if (!request) {
		call_answer_text(call, NULL);
		return;
	}
	call_hold(call, request, methods_release);
	if (methods_compose(request, params, &content) < 0) {
		call_answer_text(call, NULL);
		return;
	}
	message.id = request->id;
	message.content = content.data;
	call_write(call, &message, methods_on_written);
}
