/* SPDX-License-Identifier: MIT */
#include "runner/message/content.h"

#include <errno.h>
#include <math.h>

#include "common/utf8.h"
#include "runner/io/json.h"

int content_parse(const char *content, size_t len, json_t **ret_value)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	cleanup_json json_t *value = NULL;
	int r;

	/* The host has made it: what strangers wrote are strings in it. */
	r = json_parse_trusted(content, len, &value, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		r = utf8_append_valid(&text, content, len);
		if (r < 0)
			return r;
		value = json_object();
		if (json_object_set_new(value, "text", json_stringn(text.data, text.len)) < 0)
			return -ENOMEM;
	}
	*ret_value = steal_ptr(value);
	return 0;
}

bool content_is_truthy(const json_t *value)
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		return json_string_length(value) > 0;
	case JSON_INTEGER:
		return json_integer_value(value) != 0;
	case JSON_REAL:
		return fabs(json_real_value(value)) > 0;
	case JSON_OBJECT:
	case JSON_ARRAY:
	case JSON_TRUE:
		return true;
	case JSON_FALSE:
	case JSON_NULL:
		break;
	}
	return false;
}

json_t *content_first(const json_t *value, const char *const *names)
{
	for (; *names; names++) {
		json_t *member = json_member(value, *names);

		if (content_is_truthy(member))
			return member;
	}
	return NULL;
}

int content_append_text(struct strbuf *out, const json_t *value)
{
	if (!value)
		return 0;
	if (json_is_string(value))
		return strbuf_append(out, json_string_value(value), json_string_length(value));
	return json_append_compact(out, value);
}

int content_append_first(struct strbuf *out, const json_t *content, const char *const *names)
{
	if (json_is_null(content))
		return 0;
	return content_append_text(out, json_is_object(content) ? content_first(content, names)
								: content);
}

int content_of_text(const char *text, size_t len, char **ret_content)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	char *content;

	strbuf_puts(&out, "{\"text\":");
	json_append_string(&out, text, len);
	strbuf_putc(&out, '}');
	content = strbuf_steal(&out);
	if (!content)
		return -ENOMEM;
	*ret_content = content;
	return 0;
}
