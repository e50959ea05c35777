/* SPDX-License-Identifier: MIT */
#include "runner/provider/mock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/number.h"
#include "common/strbuf.h"
#include "common/table.h"

#define MOCK_DELAY_MAX_MS (10 * 60 * 1000)

/* A text that waits for its answer. */
struct mock_push {
	struct mock_push *next;
	uint64_t id;
	char text[];
};

struct mock {
	struct provider base;
	struct provider_events events;
	void *userdata;
	struct loop_timer *timer;
	struct mock_push *pushes;
	char *continuation;
	char *destination; /* the first that the instructions name; NULL: none */
	int64_t delay_ms;
	enum provider_error error;
	bool resumed;
	bool is_ready;
	bool interrupted;
	bool stopped;
};

static struct mock *mock_of(struct provider *provider)
{
	return (struct mock *)provider;
}

/* Reading the prompt */

static const struct {
	const char *entity;
	char c;
} mock_entities[] = {
	{ "&amp;", '&' },
	{ "&lt;", '<' },
	{ "&gt;", '>' },
	{ "&quot;", '"' },
};

/* Undoes the escaping of the prompt. */
static void mock_unescape(struct strbuf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		for (size_t e = 0; text[i] == '&' && e < ARRAY_LEN(mock_entities); e++) {
			size_t n = strlen(mock_entities[e].entity);

			if (len - i < n || memcmp(text + i, mock_entities[e].entity, n) != 0)
				continue;
			c = mock_entities[e].c;
			i += n - 1;
			break;
		}
		strbuf_putc(out, c);
	}
}

/* An element of the prompt: its attributes and its body, as they stand there. */
struct mock_element {
	const char *attributes;
	size_t attributes_len;
	const char *body;
	size_t body_len;
	const char *end;
};

/* Finds the next <name …>…</name> from p on. The prompt's texts are escaped, so < means a tag. */
static bool mock_next(const char *p, const char *name, struct mock_element *ret)
{
	char open[32], close[32];
	const char *start, *gt, *end;

	(void)snprintf(open, sizeof(open), "<%s ", name);
	(void)snprintf(close, sizeof(close), "</%s>", name);
	start = strstr(p, open);
	gt = start ? strchr(start, '>') : NULL;
	end = gt ? strstr(gt, close) : NULL;
	if (!end)
		return false;
	*ret = (struct mock_element){
		.attributes = start + strlen(open),
		.attributes_len = (size_t)(gt - start) - strlen(open),
		.body = gt + 1,
		.body_len = (size_t)(end - gt) - 1,
		.end = end + strlen(close),
	};
	return true;
}

/* The value of from="…" as it stands there, which is how `to` wants it; NULL if there is none. */
static char *mock_from(const struct mock_element *element)
{
	static const char name[] = "from=\"";
	const char *start, *end;

	start = memmem(element->attributes, element->attributes_len, name, strlen(name));
	if (!start)
		return NULL;
	start += strlen(name);
	end = memchr(start, '"', (size_t)(element->attributes + element->attributes_len - start));
	return end ? strndup(start, (size_t)(end - start)) : NULL;
}

static void mock_answer_one(const struct mock *mock, const struct mock_element *element,
			    bool is_task, struct strbuf *out)
{
	static const char instructions[] = "Instructions:\n", quote[] = "</quoted_message>\n";
	const char *marker = is_task ? instructions : quote;
	cleanup_free char *from = is_task ? NULL : mock_from(element);
	const char *to = from ? from : mock->destination, *body = element->body;
	size_t len = element->body_len;
	const char *skip = memmem(body, len, marker, strlen(marker));

	if (skip) {
		skip += strlen(marker);
		len -= (size_t)(skip - body);
		body = skip;
	}
	if (to)
		strbuf_printf(out, "<message to=\"%s\">", to);
	strbuf_puts(out, "echo: ");
	mock_unescape(out, body, len);
	strbuf_puts(out, to ? "</message>\n" : "\n");
}

static void mock_answer(const struct mock *mock, const struct mock_push *push, struct strbuf *out)
{
	const char *literal = getenv("AGENT_MOCK_RESULT");
	struct mock_element element;

	if (literal) {
		strbuf_puts(out, literal);
		return;
	}
	for (const char *p = push->text; mock_next(p, "message", &element); p = element.end)
		mock_answer_one(mock, &element, false, out);
	for (const char *p = push->text; mock_next(p, "task", &element); p = element.end)
		mock_answer_one(mock, &element, true, out);
	/* A raw command, or the plain prompt of a one-shot: something has to be said. */
	if (out->len == 0 && push->text[0] != '<')
		strbuf_printf(out, "echo: %s", push->text);
}

/* The provider */

static void mock_arm(struct mock *mock)
{
	loop_timer_arm(mock->timer, mock->is_ready && mock->pushes ? mock->delay_ms : 0);
}

/* Raises the error that the environment asks for, if this is the time for it. */
static bool mock_fail(struct mock *mock, uint64_t answered)
{
	const struct provider_result result = {
		.error = mock->error,
		.text = "AGENT_MOCK_ERROR",
		.text_len = strlen("AGENT_MOCK_ERROR"),
		.answered = answered,
	};
	/* The event may free the mock. */
	bool resumed = mock->resumed;

	switch (mock->error) {
	case PROVIDER_CRASHED:
	case PROVIDER_OUT_OF_MEMORY:
	case PROVIDER_UNAVAILABLE:
		mock->events.exited(mock->userdata, mock->error, result.text);
		return true;
	case PROVIDER_INVALID_SESSION:
		if (resumed)
			mock->events.exited(mock->userdata, mock->error, result.text);
		return resumed;
	case PROVIDER_TOO_LONG:
		if (resumed)
			mock->events.result(mock->userdata, &result);
		return resumed;
	case PROVIDER_TRANSIENT:
	case PROVIDER_AUTH:
	case PROVIDER_QUOTA:
	case PROVIDER_OTHER:
		mock->events.result(mock->userdata, &result);
		return true;
	case PROVIDER_OK:
	case PROVIDER_ERROR_COUNT:
		break;
	}
	return false;
}

/* Answers the oldest push. The last event may free the mock: nothing is touched after it. */
static void mock_reply(struct mock *mock)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct mock_push *push = mock->pushes;
	struct provider_result result = { .answered = push->id, .interrupted = mock->interrupted };

	mock->pushes = push->next;
	mock->interrupted = false;
	if (!result.interrupted) {
		log_debug("mock prompt: %s", push->text);
		mock_answer(mock, push, &text);
	}
	free(push);
	if (mock->pushes)
		mock_arm(mock);
	mock->events.activity(mock->userdata);
	mock->events.init(mock->userdata, mock->continuation);
	if (!result.interrupted && mock_fail(mock, result.answered))
		return;
	result.text = text.len ? text.data : "";
	result.text_len = text.len;
	mock->events.result(mock->userdata, &result);
}

static void mock_on_timer(void *userdata)
{
	struct mock *mock = userdata;

	if (mock->stopped) {
		mock->events.exited(mock->userdata, PROVIDER_OK, "ended as asked");
		return;
	}
	if (mock->is_ready) {
		if (mock->pushes)
			mock_reply(mock);
		return;
	}
	mock->is_ready = true;
	if (mock->pushes)
		mock_arm(mock);
	mock->events.ready(mock->userdata);
}

/* The first destination stands in the example block of the instructions. */
static char *mock_destination(const char *instructions)
{
	static const char open[] = "<message to=\"";
	const char *start = instructions ? strstr(instructions, open) : NULL;
	const char *end = start ? strstr(start, "\">") : NULL;

	if (!end)
		return NULL;
	start += strlen(open);
	return strndup(start, (size_t)(end - start));
}

static void mock_free(struct provider *provider)
{
	struct mock *mock = mock_of(provider);

	if (!mock)
		return;
	while (mock->pushes) {
		struct mock_push *push = mock->pushes;

		mock->pushes = push->next;
		free(push);
	}
	loop_timer_free(mock->timer);
	free(mock->continuation);
	free(mock->destination);
	free(mock);
}

static int mock_read_environment(struct mock *mock, struct err *err)
{
	const char *delay = getenv("AGENT_MOCK_DELAY_MS"), *error = getenv("AGENT_MOCK_ERROR");

	if (delay && number_parse_int(delay, 0, MOCK_DELAY_MAX_MS, &mock->delay_ms) < 0)
		return err_set(err, -EINVAL, "AGENT_MOCK_DELAY_MS must be 0 to %d, found \"%s\"",
			       MOCK_DELAY_MAX_MS, delay);
	if (error && provider_error_from_name(error, &mock->error) < 0)
		return err_set(err, -EINVAL, "AGENT_MOCK_ERROR: there is no error class \"%s\"",
			       error);
	return 0;
}

/* The conversation that is resumed, or a new one; NULL if memory ran out. */
static char *mock_conversation(const char *continuation)
{
	char *fresh;

	if (continuation)
		return strdup(continuation);
	return asprintf(&fresh, "mock-%" PRId64, clock_realtime_ms()) < 0 ? NULL : fresh;
}

static int mock_start(const struct provider_query *query, const struct provider_events *events,
		      void *userdata, struct provider **ret_provider, struct err *err)
{
	struct mock *mock = calloc(1, sizeof(*mock));
	int r;

	if (!mock)
		return err_sys(err, -ENOMEM, "mock");
	mock->base.type = &mock_provider;
	mock->events = *events;
	mock->userdata = userdata;
	mock->resumed = query->continuation != NULL;
	mock->destination = mock_destination(query->instructions);
	mock->continuation = mock_conversation(query->continuation);
	r = mock_read_environment(mock, err);
	if (r == 0 && (!mock->continuation ||
		       loop_timer_new(query->loop, mock_on_timer, mock, &mock->timer) < 0))
		r = err_sys(err, -ENOMEM, "mock");
	if (r < 0) {
		mock_free(&mock->base);
		return r;
	}
	mock_arm(mock);
	*ret_provider = &mock->base;
	return 0;
}

static int mock_push(struct provider *provider, uint64_t id, const char *text, size_t len,
		     bool is_command)
{
	struct mock *mock = mock_of(provider);
	struct mock_push *push = malloc(sizeof(*push) + len + 1), **end = &mock->pushes;

	(void)is_command;
	if (!push)
		return -ENOMEM;
	push->id = id;
	push->next = NULL;
	memcpy(push->text, text, len);
	push->text[len] = '\0';
	while (*end)
		end = &(*end)->next;
	*end = push;
	if (mock->pushes == push && mock->is_ready)
		mock_arm(mock);
	return 0;
}

static void mock_interrupt(struct provider *provider)
{
	struct mock *mock = mock_of(provider);

	if (!mock->pushes)
		return;
	mock->interrupted = true;
	loop_timer_arm(mock->timer, 0);
}

static void mock_stop(struct provider *provider, int64_t kill_after_ms)
{
	struct mock *mock = mock_of(provider);

	(void)kill_after_ms;
	mock->stopped = true;
	loop_timer_arm(mock->timer, 0);
}

/* One command of its own, so that the way of a command can be walked. */
static bool mock_has_command(const struct provider *provider, const char *word)
{
	(void)provider;
	return strcmp(word, "/mock") == 0;
}

static bool mock_is_busy(const struct provider *provider)
{
	(void)provider;
	return false;
}

static int mock_probe(const struct provider_query *query, struct err *err)
{
	(void)query;
	return err_set(err, 0, "mock: nothing is needed");
}

const struct provider_type mock_provider = {
	.name = "mock",
	.start = mock_start,
	.push = mock_push,
	.interrupt = mock_interrupt,
	.stop = mock_stop,
	.has_command = mock_has_command,
	.is_busy = mock_is_busy,
	.free = mock_free,
	.probe = mock_probe,
};
