/* SPDX-License-Identifier: MIT */
#include "runner/config-words.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_WORDS_BLANKS " \t\r\n"

bool config_words_are(const json_t *array)
{
	const json_t *value;
	size_t i;

	json_array_foreach(array, i, value)
	{
		const char *text = json_string_value(value);

		if (!text || strlen(text) < json_string_length(value))
			return false;
	}
	return json_is_array(array);
}

char **config_words_copy(const json_t *array)
{
	char **words = calloc(json_array_size(array) + 1, sizeof(*words));
	const json_t *value;
	size_t i;

	if (!words)
		return NULL;
	json_array_foreach(array, i, value)
	{
		words[i] = strdup(json_string_value(value));
		if (!words[i]) {
			config_words_free(words);
			return NULL;
		}
	}
	return words;
}

char **config_words_split(const char *text)
{
	/* A word and its blank are two characters. */
	char **words = calloc(strlen(text) / 2 + 2, sizeof(*words));
	size_t count = 0;

	if (!words)
		return NULL;
	for (text += strspn(text, CONFIG_WORDS_BLANKS); *text;
	     text += strspn(text, CONFIG_WORDS_BLANKS)) {
		size_t len = strcspn(text, CONFIG_WORDS_BLANKS);

		words[count] = strndup(text, len);
		if (!words[count++]) {
			config_words_free(words);
			return NULL;
		}
		text += len;
	}
	return words;
}

void config_words_free(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}
