/* SPDX-License-Identifier: MIT */
/*
 * What Claude Code writes, as one stream: io/ndjson, provider/claude-wire, push-queue, claude-line,
 * claude-error. The first byte says how many bytes are read at once, the second how long a line may
 * be. A line "+text" pushes a text, "/word" a command, "!" forgets what was not sent; pushes have
 * the UUIDs push-1, push-2, ….
 */
#include "common/strbuf.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/io/ndjson.h"
#include "runner/provider/claude-line.h"
#include "runner/provider/claude-wire.h"
#include "runner/provider/push-queue.h"
#include "tests/fuzz/fuzz.h"

/* There are only as many as we make: an input's are not to fill the time. */
#define PUSHES_MAX 64

struct agent {
	struct claude_wire *wire;
	struct push_queue queue;
	bool is_ready;
	struct strbuf said; /* every event: they are the same however the stream is cut */
};

/* A line that we wrote is one line of JSON. */
static json_t *check_line(const struct strbuf *line)
{
	json_t *value = NULL;

	fuzz_must(!line->error &&
		  memchr(line->data, '\n', line->len) == line->data + line->len - 1);
	fuzz_must(utf8_is_valid(line->data, line->len));
	fuzz_must(json_parse_trusted(line->data, line->len, &value, NULL) == 0);
	return value;
}

static void send_push(const struct push *push)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY, valid = STRBUF_EMPTY;
	cleanup_json json_t *value = NULL;
	const json_t *content;

	claude_line_user(&line, push->uuid, push->text, push->len);
	value = check_line(&line);
	content = json_member(json_member(value, "message"), "content");
	fuzz_must(utf8_append_valid(&valid, push->text, push->len) == 0);
	fuzz_must(json_string_length(content) == valid.len);
	fuzz_must(memcmp(json_string_value(content), valid.data, valid.len) == 0);
}

static void pump(struct agent *agent)
{
	struct push *push;

	while (agent->is_ready && (push = push_queue_next(&agent->queue))) {
		/* A command is alone. */
		fuzz_must(!push->is_sent && (!push->is_command || push == agent->queue.first));
		send_push(push);
		push_queue_sent(push);
	}
}

static void add_push(struct agent *agent, const char *text, size_t len, bool is_command)
{
	uint64_t id = agent->queue.newest + 1;
	struct push *push;

	if (id > PUSHES_MAX)
		return;
	fuzz_must(push_queue_add(&agent->queue, id, text, len, is_command) == 0);
	push = agent->queue.first;
	while (push->next)
		push = push->next;
	/* In place of a random one. */
	(void)snprintf(push->uuid, sizeof(push->uuid), "push-%d", (int)id);
	pump(agent);
}

/* Events */

static void on_answer(void *userdata, const char *id, const json_t *response, const char *error)
{
	struct agent *agent = userdata;

	strbuf_printf(&agent->said, "answer %s %s\n", id, error ? error : "-");
	if (strncmp(id, "cancel-", 7) == 0)
		push_queue_cancelled(&agent->queue, id + 7);
	claude_wire_servers(agent->wire, json_member(response, "mcpServers"));
	agent->is_ready = true;
	pump(agent);
}

static void on_request(void *userdata, const char *id, const char *subtype)
{
	struct agent *agent = userdata;
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;

	strbuf_printf(&agent->said, "request %s %s\n", id, subtype);
	claude_line_refuse(&line, id);
	json_decref(check_line(&line));
}

static void on_server(void *userdata, const char *name, const char *status)
{
	struct agent *agent = userdata;

	strbuf_printf(&agent->said, "server %s %s\n", name, status);
}

static void on_init(void *userdata, const char *conversation)
{
	struct agent *agent = userdata;

	strbuf_printf(&agent->said, "init %s\n", conversation);
}

static void on_text(void *userdata, const char *text, size_t len)
{
	struct agent *agent = userdata;

	fuzz_must(utf8_is_valid(text, len));
	strbuf_puts(&agent->said, "text ");
	strbuf_append(&agent->said, text, len);
	strbuf_putc(&agent->said, '\n');
}

static void on_tool_start(void *userdata, const char *id, const char *name, int64_t timeout_ms)
{
	struct agent *agent = userdata;

	strbuf_printf(&agent->said, "start %s %s %lld\n", id, name, (long long)timeout_ms);
}

static void on_tool_end(void *userdata, const char *id)
{
	struct agent *agent = userdata;

	strbuf_printf(&agent->said, "end %s\n", id);
}

static void on_replayed(void *userdata, const char *uuid)
{
	struct agent *agent = userdata;

	push_queue_replayed(&agent->queue, uuid);
}

static void on_result(void *userdata, const struct claude_wire_result *result)
{
	struct agent *agent = userdata;
	uint64_t answered = 0;

	if (json_array_size(result->answers) > 0)
		answered = push_queue_named(&agent->queue, result->answers);
	else if (!result->is_background)
		answered = push_queue_guess(&agent->queue);
	fuzz_must(result->text && utf8_is_valid(result->text, result->text_len));
	fuzz_must((unsigned int)result->error < PROVIDER_ERROR_COUNT);
	/* What was not sent is not answered. */
	fuzz_must(answered <= push_queue_in_flight(&agent->queue));
	push_queue_answered(&agent->queue, answered);
	fuzz_must(!agent->queue.first || agent->queue.first->id > answered);
	strbuf_printf(&agent->said, "result %d %d %s\n", (int)result->error, (int)answered,
		      result->text);
	pump(agent);
}

static void on_compacted(void *userdata)
{
	struct agent *agent = userdata;

	strbuf_puts(&agent->said, "compacted\n");
}

static void on_idle(void *userdata, bool is_idle)
{
	struct agent *agent = userdata;

	strbuf_puts(&agent->said, is_idle ? "idle\n" : "running\n");
}

static const struct claude_wire_events events = {
	.answer = on_answer,
	.request = on_request,
	.server = on_server,
	.init = on_init,
	.text = on_text,
	.tool_start = on_tool_start,
	.tool_end = on_tool_end,
	.replayed = on_replayed,
	.result = on_result,
	.compacted = on_compacted,
	.idle = on_idle,
};

static void take_line(struct agent *agent, const char *line, size_t len)
{
	if (len > 0 && (line[0] == '+' || line[0] == '/'))
		add_push(agent, line, len, line[0] == '/');
	else if (len > 0 && line[0] == '!')
		push_queue_drop_unsent(&agent->queue);
	else
		claude_wire_line(agent->wire, line, len);
	strbuf_printf(&agent->said, "%d %d\n", claude_wire_has_command(agent->wire, "/compact"),
		      claude_wire_has_tasks(agent->wire));
}

/* Everything that was said about the stream, step bytes at a time. */
static char *run(const char *stream, size_t len, size_t step, size_t line_max)
{
	struct agent agent = { .is_ready = false };
	struct ndjson reader;
	size_t size, line_len;
	char *room, *line;
	int r;

	agent.wire = claude_wire_new(&events, &agent);
	fuzz_must(agent.wire);
	ndjson_init(&reader, line_max);
	for (size_t n; len > 0; stream += n, len -= n) {
		fuzz_must(ndjson_room(&reader, &room, &size) == 0 && size > 0);
		n = len < step ? len : step;
		n = n < size ? n : size;
		memcpy(room, stream, n);
		ndjson_filled(&reader, n);
		while ((r = ndjson_next(&reader, &line, &line_len)) != 0) {
			fuzz_must((line_len <= line_max) == (r == 1));
			if (r == 1)
				take_line(&agent, line, line_len);
			else
				strbuf_printf(&agent.said, "dropped %zu\n", line_len);
		}
	}
	ndjson_deinit(&reader);
	push_queue_deinit(&agent.queue);
	claude_wire_free(agent.wire);
	return strbuf_steal(&agent.said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *once = NULL, *again = NULL;
	size_t step, line_max;

	if (size < 2)
		return 0;
	fuzz_quiet();
	step = data[0] + 1U;
	line_max = 16U << (data[1] % 12);
	once = run((const char *)data + 2, size - 2, step, line_max);
	again = run((const char *)data + 2, size - 2, size, line_max);
	fuzz_must(once && again && strcmp(once, again) == 0);
	return 0;
}
