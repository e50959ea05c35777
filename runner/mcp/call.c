/* SPDX-License-Identifier: MIT */
#include "runner/mcp/call.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"

static const char call_no_memory[] =
	"There is not enough memory for this at the moment. Try again later.";

struct call {
	const struct call_context *context;
	struct call_owner owner;
	void *state;
	void (*release)(void *state);
	call_written_fn *written; /* of the row that waits for the disk; NULL: none does */
	call_run_fn *run;	  /* the handler, that may be run again; NULL: there is none */
	json_t *arguments;
	struct call *next; /* in line */
	bool is_in_line;
	bool is_put_off;  /* by the run that goes on */
	int64_t since_ms; /* monotonic: when it came */
	size_t refs;
	bool is_writing; /* services->write runs */
	bool ended;	 /* nothing is to be done any more */
	bool cancelled;	 /* nothing is to be answered any more */
};

struct call_line {
	struct loop_timer *timer;
	struct call *first;
};

struct call *call_new(const struct call_context *context, const struct call_owner *owner)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->context = context;
	call->owner = *owner;
	call->refs = 1;
	return call;
}

void call_ref(struct call *call)
{
	call->refs++;
}

void call_unref(struct call *call)
{
	if (--call->refs > 0)
		return;
	json_decref(call->arguments);
	free(call);
}

const struct call_context *call_context(const struct call *call)
{
	return call->context;
}

static void call_join_line(struct call *call)
{
	struct call **link = &call->context->line->first;

	while (*link)
		link = &(*link)->next;
	*link = call;
	call->next = NULL;
	call->is_in_line = true;
}

static void call_leave_line(struct call *call)
{
	struct call **link;

	if (!call->is_in_line)
		return;
	for (link = &call->context->line->first; *link != call;)
		link = &(*link)->next;
	*link = call->next;
	call->is_in_line = false;
}

/* Lets go of all that the call has. The services and the handler may cancel it meanwhile. */
static void call_let_go(struct call *call)
{
	void (*release)(void *state) = steal_ptr(call->release);
	void *state = steal_ptr(call->state);

	call->ended = true;
	call_leave_line(call);
	/* While write() runs the row may not be queued yet: call_write() forgets it afterwards. */
	if (!call->is_writing && steal_ptr(call->written))
		call->context->services->forget(call->context->userdata, call);
	if (release)
		release(state);
}

/* Ends the call; text is freed. */
static void call_end(struct call *call, char *text, bool is_error)
{
	cleanup_free char *owned = text;

	if (call->ended)
		return;
	call_let_go(call);
	if (!call->cancelled)
		call->owner.ended(call->owner.userdata, call, owned ? owned : call_no_memory,
				  owned ? is_error : true);
	call_unref(call);
}

void call_cancel(struct call *call)
{
	if (!call)
		return;
	call->cancelled = true;
	if (call->ended)
		return;
	call_let_go(call);
	call_unref(call);
}

/* The text may be made of what the call holds, so it is composed before that is released. */
static char *call_compose(const char *format, va_list arguments)
	__attribute__((format(printf, 1, 0)));

static char *call_compose(const char *format, va_list arguments)
{
	char *text;

	return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

void call_answer(struct call *call, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	call_end(call, call_compose(format, arguments), false);
	va_end(arguments);
}

void call_fail(struct call *call, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	call_end(call, call_compose(format, arguments), true);
	va_end(arguments);
}

void call_answer_text(struct call *call, char *text)
{
	call_end(call, text, false);
}

/* Runs the handler. Nothing of its arguments stays behind, unless it is to be run again. */
static void call_try(struct call *call)
{
	call_ref(call);
	call->is_put_off = false;
	call->run(call, call->arguments);
	if (!call->is_put_off) {
		call_leave_line(call);
		json_decref(steal_ptr(call->arguments));
	}
	call_unref(call);
}

void call_run(struct call *call, call_run_fn *run, const json_t *arguments)
{
	const struct call_line *line = call->context->line;

	call->run = run;
	/* Only counted: nobody changes them. */
	call->arguments = json_incref((json_t *)(uintptr_t)arguments);
	call->since_ms = clock_monotonic_ms();
	if (line->first)
		call_join_line(call);
	else
		call_try(call);
}

bool call_later(struct call *call, int error)
{
	/* Locked, replaced, or in the midst of something: the store's words for what passes. */
	if ((error != -EAGAIN && error != -EBADMSG) || !call->run || call->ended ||
	    clock_monotonic_ms() - call->since_ms >= CALL_PATIENCE_MS)
		return false;
	call->is_put_off = true;
	if (!call->is_in_line)
		call_join_line(call);
	loop_timer_arm(call->context->line->timer, CALL_LATER_MS);
	return true;
}

/* The first in line is run; if it was not in vain, the next one's turn comes at once. */
static void call_line_on_timer(void *userdata)
{
	struct call_line *line = userdata;
	struct call *call = line->first;

	if (!call)
		return;
	call_try(call);
	if (line->first && !loop_timer_is_armed(line->timer))
		loop_timer_arm(line->timer, 0);
}

int call_line_new(struct loop *loop, struct call_line **ret_line)
{
	struct call_line *line = calloc(1, sizeof(*line));
	int r;

	if (!line)
		return -ENOMEM;
	r = loop_timer_new(loop, call_line_on_timer, line, &line->timer);
	if (r < 0) {
		free(line);
		return r;
	}
	*ret_line = line;
	return 0;
}

void call_line_free(struct call_line *line)
{
	if (!line)
		return;
	assert(!line->first);
	loop_timer_free(line->timer);
	free(line);
}

void call_write(struct call *call, const struct outbound_message *message, call_written_fn *written)
{
	const struct call_context *context = call->context;
	int r;

	if (call->ended)
		return;
	assert(!call->written);
	call->written = written;
	call_ref(call);
	call->is_writing = true;
	r = context->services->write(context->userdata, message, call);
	call->is_writing = false;
	if (r < 0) {
		call->written = NULL;
		call_end(call, NULL, true);
	} else if (call->ended && steal_ptr(call->written)) {
		context->services->forget(context->userdata, call);
	}
	call_unref(call);
}

void call_written(struct call *call, int64_t seq)
{
	call_written_fn *written = steal_ptr(call->written);

	if (call->ended || !written)
		return;
	call_ref(call);
	written(call, seq);
	call_unref(call);
}

void call_hold(struct call *call, void *state, void (*release)(void *state))
{
	if (call->ended) {
		release(state);
		return;
	}
	assert(!call->release);
	call->state = state;
	call->release = release;
}

void *call_state(const struct call *call)
{
	return call->state;
}

void call_progress(struct call *call, double progress, double total, const char *message)
{
	if (!call->ended && call->owner.progress)
		call->owner.progress(call->owner.userdata, call, progress, total, message);
}
