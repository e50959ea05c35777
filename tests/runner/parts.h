#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the tests of conversation and intake share: an exchange, and above it the parts of a session
 * as a session ties them together, with the mock for an agent.
 */
#include "common/cleanup.h"
#include "runner/conversation.h"
#include "runner/io/child.h"
#include "tests/runner/exchange.h"

struct parts {
	struct exchange x;
	struct folder runtime; /* where the loop's socket goes */
	struct config *config;
	struct children *children;
	struct pulse *pulse;
	struct toolbox *toolbox;
	struct conversation *c;
};

static inline enum pulse_need parts_need(void *userdata)
{
	(void)userdata;
	return PULSE_IDLE;
}

static inline void parts_on_writing(void *userdata)
{
	struct parts *p = userdata;

	conversation_send_held(p->c);
}

static inline void parts_on_sent(void *userdata, const char *to, const char *thread,
				 const char *text)
{
	struct parts *p = userdata;

	conversation_note_sent(p->c, to, thread, text);
}

static inline const struct inbound_destinations *parts_on_destinations(void *userdata)
{
	const struct parts *p = userdata;

	return conversation_destinations(p->c);
}

static inline void parts_on_note(void *userdata, const char *text)
{
	struct parts *p = userdata;

	conversation_note(p->c, text, NULL);
}

static inline void parts_open_toolbox(struct parts *p)
{
	static const struct toolbox_events events = {
		.writing = parts_on_writing,
		.sent = parts_on_sent,
		.destinations = parts_on_destinations,
		.note = parts_on_note,
	};
	const struct toolbox_options options = {
		.loop = p->x.loop,
		.config = p->config,
		.workspace = p->x.folder.path,
		.self = "/x/agent-runner",
		.inbound_path = p->x.inbound,
		.outbound = p->x.outbound,
		.outbox = p->x.outbox,
	};

	assert_int_equal(toolbox_new(&options, &events, p, &p->toolbox), 0);
}

static inline void parts_open_conversation(struct parts *p,
					   const struct conversation_events *events, void *userdata)
{
	struct inbound_destinations destinations = exchange_destinations(&p->x);
	const struct conversation_options options = {
		.loop = p->x.loop,
		.children = p->children,
		.config = p->config,
		.workspace = p->x.folder.path,
		.inbound_path = p->x.inbound,
		.outbound = p->x.outbound,
		.outbox = p->x.outbox,
		.pulse = p->pulse,
		.toolbox = p->toolbox,
	};

	assert_int_equal(conversation_new(&options, events, userdata, &p->c, NULL), 0);
	assert_int_equal(conversation_set_destinations(p->c, &destinations), 0);
	assert_null(destinations.rows);
}

static inline void parts_setup(struct parts *p, const struct conversation_events *events,
			       void *userdata)
{
	*p = (struct parts){ .config = NULL };
	assert_int_equal(setenv("AGENT_PROVIDER", "mock", 1), 0);
	assert_int_equal(setenv("AGENT_RETRY_MS", "1", 1), 0);
	assert_int_equal(unsetenv("AGENT_MOCK_DELAY_MS"), 0);
	assert_int_equal(unsetenv("AGENT_MOCK_ERROR"), 0);
	assert_int_equal(unsetenv("AGENT_MOCK_RESULT"), 0);
	exchange_setup(&p->x);
	folder_make(&p->runtime);
	assert_int_equal(setenv("TMPDIR", p->runtime.path, 1), 0);
	assert_int_equal(config_load(folder_file(&p->x.folder, "none.json"), &p->config, NULL), 0);
	assert_int_equal(children_new(p->x.loop, NULL, NULL, &p->children, NULL), 0);
	assert_int_equal(pulse_new(p->x.loop, p->x.outbound,
				   folder_file(&p->x.folder, ".heartbeat"), parts_need, p,
				   &p->pulse),
			 0);
	parts_open_toolbox(p);
	parts_open_conversation(p, events, userdata);
}

static inline void parts_teardown(struct parts *p)
{
	toolbox_free(p->toolbox);
	conversation_free(p->c);
	pulse_free(p->pulse);
	children_free(p->children);
	config_free(p->config);
	exchange_teardown(&p->x);
	folder_remove(&p->runtime);
}
