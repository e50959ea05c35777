/* SPDX-License-Identifier: MIT */
#include "runner/mcp/ncl-words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/strbuf.h"
#include "common/utf8.h"

static bool ncl_words_is_option(const char *word)
{
	return strncmp(word, "--", 2) == 0;
}

/* "--" first of all is no key without a name: nothing like it is in the protocol. */
static int ncl_words_check(char *const *words, struct err *err)
{
	size_t size = 0;

	for (char *const *word = words; *word; word++) {
		size += strlen(*word);
		if (strcmp(*word, "--") == 0 || strncmp(*word, "--=", 3) == 0)
			return err_set(err, -EINVAL, "%s: an option has a name", *word);
	}
	if (size > NCL_WORDS_MAX)
		return err_set(err, -E2BIG, "the words have %zu bytes, and %d is the limit", size,
			       NCL_WORDS_MAX);
	return 0;
}

static int ncl_words_set(json_t *args, const char *key, size_t key_len, const char *value)
{
	cleanup_strbuf struct strbuf name = STRBUF_EMPTY, text = STRBUF_EMPTY;

	utf8_append_valid(&name, key, key_len);
	if (value)
		utf8_append_valid(&text, value, strlen(value));
	if (name.error || text.error)
		return -ENOMEM;
	return json_object_set_new(args, name.data,
				   value ? json_stringn(text.len ? text.data : "", text.len)
					 : json_true()) < 0
		       ? -ENOMEM
		       : 0;
}

/* One "--key", with its value in the same word, in the next, or none. Returns how many words. */
static int ncl_words_option(json_t *args, char *const *word)
{
	const char *key = *word + 2, *value = word[1];
	size_t len = strcspn(key, "=");
	bool is_next = !key[len] && value && !ncl_words_is_option(value);
	int r;

	if (key[len])
		value = key + len + 1;
	else if (!is_next)
		value = NULL;
	r = ncl_words_set(args, key, len, value);
	return r < 0 ? r : 1 + is_next;
}

/* The words in their order. 0 or -ENOMEM. */
static int ncl_words_read(char *const *words, struct strbuf *command, struct ncl_words *read)
{
	while (*words) {
		int r = 1;

		if (strcmp(*words, "--json") == 0) {
			read->json = true;
		} else if (ncl_words_is_option(*words)) {
			r = ncl_words_option(read->args, words);
		} else {
			if (command->len > 0)
				strbuf_putc(command, '-');
			utf8_append_valid(command, *words, strlen(*words));
		}
		if (r < 0)
			return r;
		words += r;
	}
	return command->error;
}

int ncl_words_parse(char *const *words, struct ncl_words *ret_words, struct err *err)
{
	cleanup_strbuf struct strbuf command = STRBUF_EMPTY;
	struct ncl_words read = { .command = NULL };
	int r;

	if (!words || !*words || strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0)
		return NCL_WORDS_HELP;
	r = ncl_words_check(words, err);
	if (r < 0)
		return r;
	read.args = json_object();
	r = read.args ? ncl_words_read(words, &command, &read) : -ENOMEM;
	if (r == 0 && command.len == 0)
		r = err_set(err, -EINVAL, "a command is missing: `ncl help` lists them");
	else if (r == 0)
		read.command = strbuf_steal(&command);
	if (r == 0 && !read.command)
		r = -ENOMEM;
	if (r == -ENOMEM)
		err_sys(err, r, "cannot read the words");
	if (r < 0) {
		ncl_words_deinit(&read);
		return r;
	}
	*ret_words = read;
	return 0;
}

void ncl_words_deinit(struct ncl_words *words)
{
	free(words->command);
	json_decref(words->args);
	*words = (struct ncl_words){ .command = NULL };
}
