/* SPDX-License-Identifier: MIT */
#include "runner/provider/acp-open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "runner/io/json.h"
#include "runner/provider/acp-error.h"
#include "runner/provider/acp-line.h"

enum acp_open_step {
	ACP_OPEN_INITIALIZE,
	ACP_OPEN_SESSION,
	ACP_OPEN_AUTHENTICATE, /* then the session once more */
	ACP_OPEN_MODE,
};

struct acp_open {
	const struct acp_agent *agent;
	enum acp_open_step step;
	char *cwd;
	char *instructions; /* NULL: none */
	char *session;	    /* the known one, then the one that is open; NULL: none yet */
	json_t *servers;
	struct acp_line_session spec;
	bool is_resuming;
	const char *const *auth_left; /* methods that were not tried yet; NULL: there are none */
	const char *mode; /* without permissions, as the agent offers it; NULL: it has none */
	bool is_unsaid;	  /* the instructions have to stand in a prompt */
};

static char *acp_open_copy(const char *text, int *r)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*r = -ENOMEM;
	return copy;
}

int acp_open_new(const struct acp_agent *agent, const struct provider_query *query,
		 struct acp_open **ret_open)
{
	struct acp_open *open = calloc(1, sizeof(*open));
	int r = 0;

	if (!open)
		return -ENOMEM;
	open->agent = agent;
	open->auth_left = agent->auth_methods;
	open->cwd = acp_open_copy(query->cwd ? query->cwd : "/", &r);
	open->instructions = acp_open_copy(query->instructions, &r);
	open->session = acp_open_copy(query->continuation, &r);
	if (query->mcp_servers && !agent->mcp_option) {
		open->servers = json_deep_copy(query->mcp_servers);
		if (!open->servers)
			r = -ENOMEM;
	}
	open->is_unsaid = open->instructions != NULL;
	if (r < 0) {
		acp_open_free(open);
		return r;
	}
	*ret_open = open;
	return 0;
}

void acp_open_free(struct acp_open *open)
{
	if (!open)
		return;
	free(open->cwd);
	free(open->instructions);
	free(open->session);
	json_decref(open->servers);
	free(open);
}

void acp_open_begin(struct acp_open *open, int64_t id, struct strbuf *out)
{
	open->step = ACP_OPEN_INITIALIZE;
	acp_line_initialize(out, id);
}

/* What the agent can */

static void acp_open_choose_prompt(struct acp_open *open, const json_t *sessions)
{
	if (!open->instructions)
		return;
	if (json_member(sessions, "systemPrompt"))
		open->spec.prompt = ACP_LINE_SYSTEM_PROMPT;
	else if (open->agent->has_meta_prompt)
		open->spec.prompt = ACP_LINE_META_PROMPT;
	open->is_unsaid = open->spec.prompt == ACP_LINE_NO_PROMPT;
}

/* Without a repetition, if it can; where it cannot go back at all, the conversation is a new one. */
static void acp_open_choose_method(struct acp_open *open, const json_t *able,
				   const json_t *sessions)
{
	open->spec.method = "session/new";
	if (!open->session)
		return;
	if (json_member(sessions, "resume")) {
		open->spec.method = "session/resume";
	} else if (json_member_bool(able, "loadSession", false)) {
		open->spec.method = "session/load";
	} else {
		log_warning("%s cannot go back to a conversation: a new one begins",
			    open->agent->title);
		free(open->session);
		open->session = NULL;
	}
	open->is_resuming = open->session != NULL;
}

static void acp_open_choose(struct acp_open *open, const json_t *result)
{
	const json_t *able = json_member(result, "agentCapabilities");
	const json_t *sessions = json_member(able, "sessionCapabilities");
	const json_t *servers = json_member(able, "mcpCapabilities");

	open->spec = (struct acp_line_session){
		.cwd = open->cwd,
		.servers = open->servers,
		.has_http = json_member_bool(servers, "http", false),
		.has_sse = json_member_bool(servers, "sse", false),
		.instructions = open->instructions,
	};
	acp_open_choose_prompt(open, sessions);
	acp_open_choose_method(open, able, sessions);
}

/* Steps */

static enum acp_open_outcome acp_open_ask_session(struct acp_open *open, int64_t id,
						  struct strbuf *out)
{
	open->step = ACP_OPEN_SESSION;
	open->spec.session = open->session;
	acp_line_session(out, id, &open->spec);
	return ACP_OPEN_ASKS;
}

static enum acp_open_outcome acp_open_fail(struct acp_open_failure *ret_failure,
					   enum provider_error error, const char *words)
{
	ret_failure->error = error;
	err_set(&ret_failure->words, 0, "%s", words);
	return ACP_OPEN_FAILED;
}

static enum acp_open_outcome acp_open_refused(struct acp_open *open, const json_t *error,
					      int64_t id, struct strbuf *out,
					      struct acp_open_failure *ret_failure)
{
	cleanup_strbuf struct strbuf words = STRBUF_EMPTY;
	int64_t code = json_member_int(error, "code", 0);

	/* Refused by one method, or not let in by it: the next one. */
	if (open->auth_left && *open->auth_left &&
	    (open->step == ACP_OPEN_AUTHENTICATE ||
	     (open->step == ACP_OPEN_SESSION && code == ACP_ERROR_AUTH_REQUIRED))) {
		open->step = ACP_OPEN_AUTHENTICATE;
		acp_line_authenticate(out, id, *open->auth_left++);
		return ACP_OPEN_ASKS;
	}
	if (acp_error_text(error, &words) < 0)
		return acp_open_fail(ret_failure, PROVIDER_CRASHED, "out of memory");
	if (open->step == ACP_OPEN_AUTHENTICATE)
		return acp_open_fail(ret_failure, PROVIDER_AUTH, words.data);
	if (open->is_resuming)
		return acp_open_fail(ret_failure, acp_error_classify_load(code, words.data),
				     words.data);
	return acp_open_fail(ret_failure, acp_error_classify(code, words.data), words.data);
}

static bool acp_open_offers(const json_t *modes, const char *name)
{
	const json_t *mode;
	size_t i;

	json_array_foreach(modes, i, mode)
	{
		const char *id = json_member_name(mode, "id");

		if (id && strcmp(id, name) == 0)
			return true;
	}
	return false;
}

/* A list of modes without ours: it may have none of that name in this version, or as root. */
static const char *acp_open_find_mode(const struct acp_open *open, const json_t *result)
{
	const json_t *modes = json_member(json_member(result, "modes"), "availableModes");
	const char *const *mode = open->agent->modes;

	if (!mode)
		return NULL;
	for (; *mode; mode++)
		if (acp_open_offers(modes, *mode))
			return *mode;
	if (modes)
		log_warning("%s offers no mode \"%s\": what it asks for is allowed one by one",
			    open->agent->title, open->agent->modes[0]);
	return NULL;
}

static enum acp_open_outcome acp_open_ask_mode(struct acp_open *open, int64_t id,
					       struct strbuf *out)
{
	if (!open->mode)
		return ACP_OPEN_DONE;
	open->step = ACP_OPEN_MODE;
	acp_line_set_mode(out, id, open->session, open->mode);
	return ACP_OPEN_ASKS;
}

static enum acp_open_outcome acp_open_opened(struct acp_open *open, const json_t *result,
					     int64_t id, struct strbuf *out,
					     struct acp_open_failure *ret_failure)
{
	const char *session = json_member_name(result, "sessionId");

	if (!open->is_resuming) {
		open->session = session ? strdup(session) : NULL;
		if (!open->session)
			return acp_open_fail(ret_failure, PROVIDER_UNAVAILABLE,
					     "it opened a session without an id");
	}
	open->mode = acp_open_find_mode(open, result);
	if (open->is_resuming && open->agent->replay_ms > 0)
		return ACP_OPEN_LISTENS;
	open->is_resuming = false;
	return acp_open_ask_mode(open, id, out);
}

enum acp_open_outcome acp_open_settled(struct acp_open *open, int64_t id, struct strbuf *out)
{
	open->is_resuming = false;
	return acp_open_ask_mode(open, id, out);
}

enum acp_open_outcome acp_open_answer(struct acp_open *open, const json_t *result,
				      const json_t *error, int64_t id, struct strbuf *out,
				      struct acp_open_failure *ret_failure)
{
	/* Without its mode it asks for permissions, which are given. */
	if (error && open->step == ACP_OPEN_MODE)
		log_warning("%s refuses the mode \"%s\"", open->agent->title, open->mode);
	else if (error)
		return acp_open_refused(open, error, id, out, ret_failure);
	switch (open->step) {
	case ACP_OPEN_INITIALIZE:
		acp_open_choose(open, result);
		return acp_open_ask_session(open, id, out);
	case ACP_OPEN_AUTHENTICATE:
		return acp_open_ask_session(open, id, out);
	case ACP_OPEN_SESSION:
		return acp_open_opened(open, result, id, out, ret_failure);
	case ACP_OPEN_MODE:
		break;
	}
	return ACP_OPEN_DONE;
}

/* What became of it */

bool acp_open_is_resuming(const struct acp_open *open)
{
	return open->is_resuming;
}

const char *acp_open_session(const struct acp_open *open)
{
	return open->session;
}

const char *acp_open_unsaid(const struct acp_open *open)
{
	return open->is_unsaid ? open->instructions : NULL;
}

void acp_open_said(struct acp_open *open)
{
	open->is_unsaid = false;
}
