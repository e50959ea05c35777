/* SPDX-License-Identifier: MIT */
/*
 * What an ACP agent writes, as one stream: io/ndjson, provider/acp-wire, acp-open, acp-error,
 * acp-line. The first byte says how many bytes are read at once, the second how long a line may be.
 * Answers open a session, each one further; then each answer ends a turn and begins the next.
 */
#include "common/strbuf.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/io/ndjson.h"
#include "runner/provider/acp-error.h"
#include "runner/provider/acp-line.h"
#include "runner/provider/acp-open.h"
#include "runner/provider/acp-wire.h"
#include "tests/fuzz/fuzz.h"

struct agent {
	struct acp_wire *wire;
	struct acp_open *open;
	bool is_open;
	bool has_failed;
	bool in_turn;
	int running;	    /* tools */
	struct strbuf said; /* every event: they are the same however the stream is cut */
};

/* A line that we wrote is one line of JSON. */
static void check_line(const struct strbuf *line)
{
	json_t *value = NULL;

	fuzz_must(!line->error &&
		  memchr(line->data, '\n', line->len) == line->data + line->len - 1);
	fuzz_must(utf8_is_valid(line->data, line->len));
	fuzz_must(json_parse_trusted(line->data, line->len, &value, NULL) == 0);
	json_decref(value);
}

static void begin_turn(struct agent *agent)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	const char *session = acp_open_session(agent->open);

	fuzz_must(session);
	acp_line_prompt(&line, 9, session, acp_open_unsaid(agent->open), "hello", 5);
	check_line(&line);
	acp_open_said(agent->open);
	fuzz_must(acp_wire_begin(agent->wire, session) == 0);
	agent->in_turn = true;
}

static void end_turn(struct agent *agent, const json_t *error)
{
	cleanup_strbuf struct strbuf words = STRBUF_EMPTY;
	size_t len;
	const char *text = acp_wire_end(agent->wire, !error, &len);

	agent->in_turn = false;
	fuzz_must(agent->running == 0);
	fuzz_must(utf8_is_valid(text, len));
	if (error) {
		fuzz_must(acp_error_text(error, &words) == 0);
		fuzz_must((unsigned int)acp_error_classify(json_member_int(error, "code", 0),
							   words.data) < PROVIDER_ERROR_COUNT);
	}
	strbuf_printf(&agent->said, "end of turn %s\n", error ? words.data : text);
}

static void go_on(struct agent *agent, enum acp_open_outcome outcome, const struct strbuf *line)
{
	struct strbuf next = STRBUF_EMPTY;

	strbuf_printf(&agent->said, "outcome %d\n", (int)outcome);
	switch (outcome) {
	case ACP_OPEN_ASKS:
		check_line(line);
		break;
	case ACP_OPEN_LISTENS:
		go_on(agent, acp_open_settled(agent->open, 3, &next), &next);
		strbuf_deinit(&next);
		break;
	case ACP_OPEN_DONE:
		agent->is_open = true;
		begin_turn(agent);
		break;
	case ACP_OPEN_FAILED:
		agent->has_failed = true;
		break;
	}
}

/* Events */

static void on_answer(void *userdata, int64_t id, const json_t *result, const json_t *error)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY;
	struct agent *agent = userdata;
	struct acp_open_failure failure;

	strbuf_printf(&agent->said, "answer %lld\n", (long long)id);
	if (agent->has_failed)
		return;
	if (agent->is_open) {
		end_turn(agent, error);
		begin_turn(agent);
	} else {
		go_on(agent, acp_open_answer(agent->open, result, error, 2, &line, &failure),
		      &line);
	}
}

static void on_request(void *userdata, const json_t *id, const char *method, const json_t *params)
{
	cleanup_strbuf struct strbuf line = STRBUF_EMPTY, refusal = STRBUF_EMPTY;
	struct agent *agent = userdata;

	strbuf_printf(&agent->said, "request %s %d\n", method, params != NULL);
	acp_line_permit(&line, id, json_member_name(params, "option"));
	check_line(&line);
	acp_line_refuse(&refusal, id);
	check_line(&refusal);
}

static void on_text(void *userdata, const char *text, size_t len)
{
	struct agent *agent = userdata;

	fuzz_must(len > 0 && utf8_is_valid(text, len));
	strbuf_puts(&agent->said, "text ");
	strbuf_append(&agent->said, text, len);
	strbuf_putc(&agent->said, '\n');
}

static void on_tool_start(void *userdata, const char *id, const char *name)
{
	struct agent *agent = userdata;

	/* None outside of a turn. */
	fuzz_must(agent->in_turn);
	agent->running++;
	strbuf_printf(&agent->said, "start %s %s\n", id, name);
}

static void on_tool_end(void *userdata, const char *id)
{
	struct agent *agent = userdata;

	fuzz_must(agent->running-- > 0);
	strbuf_printf(&agent->said, "end %s\n", id);
}

static const struct acp_wire_events events = {
	.answer = on_answer,
	.request = on_request,
	.text = on_text,
	.tool_start = on_tool_start,
	.tool_end = on_tool_end,
};

/* Everything that was said about the stream, step bytes at a time. */
static char *run(const char *stream, size_t len, size_t step, size_t line_max, bool is_known)
{
	static const char *const modes[] = { "yolo", NULL };
	static const char *const methods[] = { "key", NULL };
	static const struct acp_agent row = {
		.title = "Test",
		.modes = modes,
		.auth_methods = methods,
		.replay_ms = 300,
	};
	const struct provider_query query = {
		.cwd = "/",
		.instructions = "Be kind.",
		.continuation = is_known ? "s" : NULL,
	};
	struct agent agent = { .is_open = false };
	struct ndjson reader;
	size_t size, line_len;
	char *room, *line;
	int r;

	agent.wire = acp_wire_new(&events, &agent);
	fuzz_must(agent.wire && acp_open_new(&row, &query, &agent.open) == 0);
	ndjson_init(&reader, line_max);
	for (size_t n; len > 0; stream += n, len -= n) {
		fuzz_must(ndjson_room(&reader, &room, &size) == 0 && size > 0);
		n = len < step ? len : step;
		n = n < size ? n : size;
		memcpy(room, stream, n);
		ndjson_filled(&reader, n);
		while ((r = ndjson_next(&reader, &line, &line_len)) != 0) {
			if (r == 1)
				acp_wire_line(agent.wire, line, line_len);
			strbuf_printf(&agent.said, "%d\n",
				      acp_wire_has_command(agent.wire, "/init"));
		}
	}
	ndjson_deinit(&reader);
	acp_open_free(agent.open);
	acp_wire_free(agent.wire);
	return strbuf_steal(&agent.said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *once = NULL, *again = NULL;
	size_t step, line_max;
	bool is_known;

	if (size < 2)
		return 0;
	fuzz_quiet();
	step = data[0] + 1U;
	is_known = data[1] & 1;
	line_max = 16U << (data[1] / 2 % 12);
	once = run((const char *)data + 2, size - 2, step, line_max, is_known);
	again = run((const char *)data + 2, size - 2, size, line_max, is_known);
	fuzz_must(once && again && strcmp(once, again) == 0);
	return 0;
}
