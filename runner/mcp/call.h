#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * One call of a tool, from its arrival to its one answer. A handler ends it at once, or goes on
 * holding what it needs; whoever called may cancel it or vanish at any time, from within a service
 * too, and then what the handler holds is released and nothing is answered.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/io/loop.h"
#include "runner/mcp/awaited.h"
#include "runner/store/inbound.h"
#include "runner/store/outbound.h"

struct call;
/*
 * Calls that were put off because somebody holds the session's files, in their order. What comes
 * while there is one goes behind it, so that a lock reorders nothing that a client sends.
 */
struct call_line;

/* 0 or -errno. Free it after its calls. */
int call_line_new(struct loop *loop, struct call_line **ret_line);
void call_line_free(struct call_line *line);

/* What tools need of the session that they belong to. */
struct call_services {
	/*
	 * Queues a row for outbound.db; everything in it is copied. call_written() follows, from the
	 * loop or from within, as soon as it is on disk: while the disk refuses it is kept and tried
	 * again. 0 or -ENOMEM.
	 */
	int (*write)(void *userdata, const struct outbound_message *message, struct call *call);
	/* The call is over: call_written() must not follow any more. The row stays queued. */
	void (*forget)(void *userdata, struct call *call);
	/*
	 * A tool delivers something to people now. to: the destination's name, NULL: it has none;
	 * thread: there, may be NULL; text: the words, NULL: it is no text.
	 */
	void (*sent)(void *userdata, const char *to, const char *thread, const char *text);
	/* The destinations as last seen. Borrowed until the loop's next turn. */
	const struct inbound_destinations *(*destinations)(void *userdata);
};

struct call_context {
	struct loop *loop;
	const char *server_name; /* as clients are told, and the names of tools begin with */
	const char *workspace;
	const char *agent_folder;   /* where the agent works: its relative paths begin there */
	const char *runtime_folder; /* the runtime directory; NULL: there is none */
	/* Folders out of which files may be sent, NULL at the end; NULL: out of all. */
	const char *const *readable;
	const char *inbound_path;
	const char *agent_group_id; /* "" if it is not known */
	struct outbound *outbound;  /* for reading */
	struct awaited *awaited;
	struct call_line *line;
	const struct call_services *services;
	void *userdata; /* of services */
};

/* The answer, once. The call is freed after it returns. */
typedef void call_ended_fn(void *userdata, struct call *call, const char *text, bool is_error);
/* progress of total, both of any unit; message says what is waited for. */
typedef void call_progress_fn(void *userdata, struct call *call, double progress, double total,
			      const char *message);

struct call_owner {
	call_ended_fn *ended;
	call_progress_fn *progress; /* NULL: nobody wants to know */
	void *userdata;
};

/*
 * context is borrowed until the loop's turn in which the call ends is over; owner is copied.
 * NULL: out of memory.
 */
struct call *call_new(const struct call_context *context, const struct call_owner *owner);

/* The caller is gone or does not want it any more: nothing is answered. Accepts NULL. */
void call_cancel(struct call *call);

/* How long, and how often, a call tries to read what somebody else holds. */
#define CALL_LATER_MS	 50
#define CALL_PATIENCE_MS 5000

/*
 * Runs the handler with these arguments, behind the calls that wait in line. It ends the call, holds
 * it, or asks by call_later() to be run another time.
 */
typedef void call_run_fn(struct call *call, const json_t *arguments);
void call_run(struct call *call, call_run_fn *run, const json_t *arguments);

/*
 * For a handler that could not read the session's files, before it did anything else. error: of the
 * store. True: it is run again soon, before those that came after it, and has to return; false: it
 * is no passing failure, or one that has lasted for CALL_PATIENCE_MS.
 */
bool call_later(struct call *call, int error);

/*
 * Who calls a handler holds the call meanwhile: a service may end it under the handler's hands.
 * Between the two an ended call is still there, and every function here leaves it alone.
 */
void call_ref(struct call *call);
void call_unref(struct call *call);

const struct call_context *call_context(const struct call *call);

/* Ends the call with a text for the model. Nothing of the call may be touched afterwards. */
void call_answer(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a text that says what was wrong: an error of the tool (isError). */
void call_fail(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same with a text that may be long; taken over. NULL: out of memory. */
void call_answer_text(struct call *call, char *text);

/*
 * Writes the row, and calls written once it is on disk, which may be before this returns: there the
 * call has to be ended, or held on. One row at a time. Out of memory the call is ended with an
 * error.
 */
typedef void call_written_fn(struct call *call, int64_t seq);
void call_write(struct call *call, const struct outbound_message *message,
		call_written_fn *written);
/* For call_services.write: the row has this seq. */
void call_written(struct call *call, int64_t seq);

/*
 * state belongs to the call from here on: release(state) is called when it ends, however it does,
 * and before it is answered. Once for each call.
 */
void call_hold(struct call *call, void *state, void (*release)(void *state));
/* What is held; NULL: nothing. */
void *call_state(const struct call *call);

/* Tells the caller how far it is, if it asked to be told. */
void call_progress(struct call *call, double progress, double total, const char *message);
