/* SPDX-License-Identifier: MIT */
#include "runner/notes.h"

#include <stdlib.h>

#include "tests/test.h"

struct world {
	struct notes notes;
	struct group *group;
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .notes = NOTES_EMPTY, .group = group_new(NULL, 0, NULL, 0) };
	assert_non_null(world.group);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	notes_deinit(&w->notes);
	group_free(w->group);
	return 0;
}

static void add(struct world *w, const char *text, const char *value)
{
	notes_add(&w->notes, text, value ? &(const struct outbound_state){ "told", value } : NULL);
}

/* As a prompt is made: the notes are its beginning. */
static void give(struct world *w)
{
	free(w->group->text);
	assert_true(asprintf(&w->group->text, "%s<messages>",
			     w->notes.text.len ? w->notes.text.data : "") > 0);
	notes_give(&w->notes, w->group);
}

static void assert_notes(const struct world *w, const char *text, const char *value)
{
	assert_int_equal(w->notes.text.len, strlen(text));
	if (*text)
		assert_string_equal(w->notes.text.data, text);
	if (value)
		assert_string_equal(w->notes.mark.value, value);
	else
		assert_null(w->notes.mark.key);
}

static void test_lines_are_collected(void **state)
{
	struct world *w = *state;

	assert_notes(w, "", NULL);
	add(w, "one", NULL);
	add(w, "two", "2");
	add(w, NULL, "3");
	assert_notes(w, "one\ntwo\n", "3");
	give(w);
	assert_notes(w, "", NULL);
	assert_int_equal(w->group->note_len, strlen("one\ntwo\n"));
	assert_string_equal(w->group->mark.value, "3");
}

static void test_what_was_not_heard_is_told_again(void **state)
{
	struct notes untold = NOTES_EMPTY;
	struct world *w = *state;

	add(w, "one", "1");
	give(w);
	add(w, "two", NULL);
	notes_untell(&untold, w->group);
	notes_put_back(&w->notes, &untold);
	assert_notes(w, "one\ntwo\n", "1");
	assert_int_equal(untold.text.len, 0);
	assert_null(untold.mark.key);
}

/* A newer mark says that the older lines were told, too. */
static void test_the_newer_mark_counts(void **state)
{
	struct notes untold = NOTES_EMPTY;
	struct world *w = *state;

	add(w, "one", "1");
	give(w);
	add(w, "two", "2");
	notes_untell(&untold, w->group);
	notes_put_back(&w->notes, &untold);
	assert_notes(w, "one\ntwo\n", "2");
}

static void test_nothing_to_tell_again(void **state)
{
	struct notes untold = NOTES_EMPTY;
	struct world *w = *state;

	give(w);
	add(w, "two", "2");
	notes_untell(&untold, w->group);
	notes_put_back(&w->notes, &untold);
	assert_notes(w, "two\n", "2");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_lines_are_collected),
		CASE(test_what_was_not_heard_is_told_again),
		CASE(test_the_newer_mark_counts),
		CASE(test_nothing_to_tell_again),
	};

	return cmocka_run_group_tests_name("runner/notes", tests, NULL, NULL);
}
