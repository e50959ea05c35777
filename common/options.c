/* SPDX-License-Identifier: MIT */
#include "common/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Where the help column starts; a longer option gets a line of its own. */
#define OPTIONS_HELP_COLUMN 28

/* "--name" or "--name=value": the row of that name, and the value behind "=", else NULL. */
static const struct options_row *options_find_long(const struct options *options, const char *word,
						   const char **ret_value)
{
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < options->count; i++) {
		const struct options_row *row = &options->rows[i];

		if (strlen(row->name) == len && strncmp(row->name, word, len) == 0) {
			*ret_value = word[len] ? word + len + 1 : NULL;
			return row;
		}
	}
	return NULL;
}

static const struct options_row *options_find_letter(const struct options *options, char letter)
{
	for (size_t i = 0; i < options->count; i++)
		if (options->rows[i].letter == letter)
			return &options->rows[i];
	return NULL;
}

static int options_set(const struct options *options, const struct options_row *row, void *target,
		       const char *value, uint64_t *seen, struct err *err)
{
	if (!row->value)
		*(bool *)((char *)target + row->flag) = true;
	else if (row->set(target, value, err) < 0)
		return err_prefix(err, -EINVAL, "--%s", row->name);
	*seen |= UINT64_C(1) << (row - options->rows);
	return 0;
}

/* The words that are still to be read. */
struct options_words {
	char *const *argv;
	int argc;
	int index;
};

/* The value that a row needs: what stands behind it in its word, else the next word. */
static int options_value(const struct options_row *row, const char *attached,
			 struct options_words *words, const char **ret_value, struct err *err)
{
	*ret_value = attached;
	if (!row->value)
		return attached ? err_set(err, -EINVAL, "--%s: takes no value", row->name) : 0;
	if (attached)
		return 0;
	if (words->index == words->argc)
		return err_set(err, -EINVAL, "--%s: needs a value, %s", row->name, row->value);
	*ret_value = words->argv[words->index++];
	return 0;
}

static int options_read_long(const struct options *options, const char *word,
			     struct options_words *words, void *target, uint64_t *seen,
			     struct err *err)
{
	const char *value = NULL;
	const struct options_row *row = options_find_long(options, word + 2, &value);
	int r;

	if (!row)
		return err_set(err, -EINVAL, "%.*s: unknown option", (int)strcspn(word, "="), word);
	r = options_value(row, value, words, &value, err);
	return r < 0 ? r : options_set(options, row, target, value, seen, err);
}

/* "-abc": flags share a word, and a value may follow its letter without a blank. */
static int options_read_letters(const struct options *options, const char *word,
				struct options_words *words, void *target, uint64_t *seen,
				struct err *err)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const struct options_row *row = options_find_letter(options, *letter);
		const char *value = NULL;
		int r;

		if (!row)
			return err_set(err, -EINVAL, "-%c: unknown option", *letter);
		if (row->value) {
			r = options_value(row, letter[1] ? letter + 1 : NULL, words, &value, err);
			return r < 0 ? r : options_set(options, row, target, value, seen, err);
		}
		r = options_set(options, row, target, NULL, seen, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int options_parse(const struct options *options, int argc, char *const *argv, void *target,
		  int *index, uint64_t *seen, struct err *err)
{
	struct options_words words = { .argv = argv, .argc = argc, .index = *index };
	int r = 0;

	while (r == 0 && words.index < argc) {
		const char *word = argv[words.index];

		/* A lone "-" is a word: many programs take it for standard input. */
		if (word[0] != '-' || word[1] == '\0')
			break;
		words.index++;
		if (strcmp(word, "--") == 0)
			r = 1;
		else if (word[1] == '-')
			r = options_read_long(options, word, &words, target, seen, err);
		else
			r = options_read_letters(options, word, &words, target, seen, err);
	}
	*index = words.index;
	return r;
}

int options_parse_environment(const struct options *options, void *target, struct err *err)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct options_row *row = &options->rows[i];
		const char *value = row->variable ? getenv(row->variable) : NULL;
		int r;

		if (!value || !*value)
			continue;
		r = row->set(target, value, err);
		if (r < 0)
			return err_prefix(err, -EINVAL, "%s", row->variable);
	}
	return 0;
}

static void options_print_help(const char *help, FILE *out)
{
	size_t len = strcspn(help, "\n");

	(void)fprintf(out, "%.*s\n", (int)len, help);
	while (help[len]) {
		help += len + 1;
		len = strcspn(help, "\n");
		(void)fprintf(out, "%*s%.*s\n", OPTIONS_HELP_COLUMN, "", (int)len, help);
	}
}

void options_print(const struct options *options, FILE *out)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct options_row *row = &options->rows[i];
		char letter[] = "    ", word[80];
		int n;

		if (row->letter) {
			letter[0] = '-';
			letter[1] = row->letter;
			letter[2] = ',';
		}
		n = snprintf(word, sizeof(word), "  %s--%s%s%s", letter, row->name,
			     row->value ? "=" : "", row->value ? row->value : "");
		(void)fprintf(out, "%-*s", OPTIONS_HELP_COLUMN, word);
		if (n >= OPTIONS_HELP_COLUMN)
			(void)fprintf(out, "\n%*s", OPTIONS_HELP_COLUMN, "");
		options_print_help(row->help, out);
	}
}
