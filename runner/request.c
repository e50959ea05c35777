/* SPDX-License-Identifier: MIT */
#include "runner/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/strbuf.h"
#include "runner/io/json.h"

static const char request_scheduled[] =
	"[SCHEDULED TASK - this was sent by the schedule, not by a person]\n\n";

static const char *request_text(const json_t *root, const char *name)
{
	const char *text = json_member_string(root, name);

	return text && *text ? text : NULL;
}

/* Can these be a variable's name and value? */
static bool request_is_variable(const char *name, const json_t *value)
{
	const char *text = json_string_value(value);

	return text && *name && !strchr(name, '=') && strlen(text) == json_string_length(value);
}

/* "NAME=value" on the heap, NULL out of memory. Not by printf, whose buffers would keep a copy. */
static char *request_variable(const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);
	char *text = malloc(name_len + 1 + value_len + 1);

	if (!text)
		return NULL;
	memcpy(text, name, name_len);
	text[name_len] = '=';
	memcpy(text + name_len + 1, value, value_len + 1);
	return text;
}

/* Moves the secrets from the JSON to the list. 0 or -ENOMEM. */
static int request_take_secrets(struct request *request)
{
	json_t *secrets = json_object_get(request->root, "secrets"), *value;
	const char *name;
	size_t count = 0;

	request->env = calloc(json_object_size(secrets) + 1, sizeof(char *));
	if (!request->env)
		return -ENOMEM;
	if (secrets && !json_is_object(secrets) && !json_is_null(secrets))
		log_warning("the request's \"secrets\" are no object: left out");
	json_object_foreach(secrets, name, value)
	{
		char *text = (char *)(uintptr_t)json_string_value(value);

		if (!request_is_variable(name, value)) {
			log_warning("the secret \"%s\" cannot be a variable: left out", name);
		} else {
			request->env[count] = request_variable(name, text);
			if (!request->env[count++])
				return -ENOMEM;
		}
		/* The string is about to be freed; nobody else reads it. */
		if (text)
			explicit_bzero(text, json_string_length(value));
	}
	(void)json_object_del(request->root, "secrets");
	return 0;
}

int request_parse(const char *text, size_t len, struct request **ret_request, struct err *err)
{
	cleanup_request struct request *request = calloc(1, sizeof(*request));
	const json_t *prompt;
	int r = -ENOMEM;

	if (request)
		r = json_parse(text, len, &request->root, err);
	if (!request)
		return err_sys(err, r, "the request on stdin");
	if (r < 0)
		return err_prefix(err, r, "the request on stdin");
	prompt = json_member(request->root, "prompt");
	if (!json_is_string(prompt) || json_string_length(prompt) == 0)
		return err_set(err, -EINVAL,
			       "the request on stdin must be a JSON object with a \"prompt\"");
	if (request_take_secrets(request) < 0)
		return err_sys(err, -ENOMEM, "the request on stdin");
	request->prompt = json_string_value(prompt);
	request->prompt_len = json_string_length(prompt);
	request->session = request_text(request->root, "sessionId");
	request->assistant_name = request_text(request->root, "assistantName");
	request->script = request_text(request->root, "script");
	request->is_main = json_member_bool(request->root, "isMain", false);
	request->is_scheduled = json_member_bool(request->root, "isScheduledTask", false);
	*ret_request = steal_ptr(request);
	return 0;
}

void request_free(struct request *request)
{
	if (!request)
		return;
	for (char **secret = request->env; secret && *secret; secret++) {
		explicit_bzero(*secret, strlen(*secret));
		free(*secret);
	}
	free(request->env);
	json_decref(request->root);
	free(request);
}

char *request_copy_path(void)
{
	const char *folder = getenv("TMPDIR");
	char *path;

	/* A relative one would be another folder for each that we are started in. */
	if (!folder || folder[0] != '/')
		folder = "/tmp";
	return asprintf(&path, "%s/input.json", folder) < 0 ? NULL : path;
}

int request_keep_copy(const struct request *request, const char *path, struct err *err)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_close int fd = -1;
	int r = json_append_compact(&text, request->root);

	if (r < 0)
		return err_sys(err, r, "%s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, -errno, "%s", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, -errno, "%s", path);
	r = fd_write_all(fd, text.data, text.len);
	if (r < 0) {
		/* Half a copy misleads. */
		(void)unlink(path);
		return err_sys(err, r, "%s", path);
	}
	return 0;
}

int request_append_prompt(const struct request *request, const json_t *script_output,
			  struct strbuf *out)
{
	if (request->is_scheduled)
		strbuf_puts(out, request_scheduled);
	if (script_output) {
		strbuf_puts(out, "Script output:\n");
		json_append_pretty(out, script_output);
		strbuf_puts(out, "\n\nInstructions:\n");
	}
	return strbuf_append(out, request->prompt, request->prompt_len);
}
