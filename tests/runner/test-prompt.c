/* SPDX-License-Identifier: MIT */
#include "runner/prompt.h"

#include "tests/capture.h"
#include "tests/runner/exchange.h"

#define HELLO(from)                                                                \
	"<message from=\"" from "\" sender=\"Ann\" time=\"Jan 2, 2026, 3:04 AM\">" \
	"hello</message>"

static struct capture capture;

struct world {
	struct exchange x;
	struct inbound_destinations destinations;
	struct prompt_options options;
	struct notes notes;
	struct strbuf recalled;
	struct group *group;
};

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .notes = NOTES_EMPTY, .recalled = STRBUF_EMPTY };
	exchange_setup(&w->x);
	w->destinations = exchange_destinations(&w->x);
	w->options = (struct prompt_options){
		.outbox = w->x.outbox,
		.destinations = &w->destinations,
		.timezone = "UTC",
		.workspace = w->x.folder.path,
	};
	capture_start(&capture, STDERR_FILENO);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	(void)capture_stop(&capture);
	group_free(w->group);
	notes_deinit(&w->notes);
	strbuf_deinit(&w->recalled);
	inbound_destinations_deinit(&w->destinations);
	exchange_teardown(&w->x);
	return 0;
}

/* A group of these messages; of a kind that nobody knows if its id begins with ?. */
static void receive(struct world *w, const char *const *ids, size_t count)
{
	struct inbound_row *rows = calloc(count, sizeof(*rows));

	for (size_t i = 0; i < count; i++) {
		rows[i] = exchange_row(ids[i], "a", "hello");
		if (ids[i][0] != '?')
			continue;
		free(rows[i].kind);
		rows[i].kind = strdup("gossip");
	}
	w->group = group_new(rows, count, NULL, 0);
	assert_non_null(w->group);
}

static void compose(struct world *w)
{
	prompt_compose(&w->options, w->group, &w->notes, &w->recalled, NULL);
	assert_true(outbox_commit(w->x.outbox));
}

static void test_the_parts_in_order(void **state)
{
	struct world *w = *state;

	notes_add(&w->notes, "<system>note</system>", NULL);
	strbuf_puts(&w->recalled, "<system>again</system>\n");
	receive(w, (const char *const[]){ "m1" }, 1);
	compose(w);
	assert_string_equal(w->group->text, "<system>note</system>\n<system>again</system>\n"
					    "<context timezone=\"UTC\" />\n" HELLO("ann"));
	assert_int_equal(w->group->len, strlen(w->group->text));
	/* What is recalled is looked up again if need be; the note is not. */
	assert_int_equal(w->group->note_len, strlen("<system>note</system>\n"));
	assert_int_equal(w->notes.text.len, 0);
	assert_false(w->group->is_command);
	assert_string_equal(exchange_acks(&w->x), "");
}

static void test_a_row_without_words_leaves(void **state)
{
	struct world *w = *state;

	receive(w, (const char *const[]){ "?", "m1" }, 2);
	compose(w);
	assert_int_equal(w->group->count, 1);
	assert_string_equal(w->group->rows[0].id, "m1");
	assert_string_equal(w->group->text, "<context timezone=\"UTC\" />\n" HELLO("ann"));
	assert_string_equal(exchange_acks(&w->x), "?|failed\n");
	assert_string_equal(exchange_sent(&w->x),
			    "?|a|thread-a|I could not read your message, so it was left out.\n");
}

/* Then the notes wait for the next one. */
static void test_no_row_is_left(void **state)
{
	struct world *w = *state;

	notes_add(&w->notes, "<system>note</system>", NULL);
	receive(w, (const char *const[]){ "?" }, 1);
	compose(w);
	assert_int_equal(w->group->count, 0);
	assert_int_equal(w->group->note_len, 0);
	assert_int_equal(w->notes.text.len, strlen("<system>note</system>\n"));
}

static void test_a_text_that_is_given(void **state)
{
	struct world *w = *state;

	notes_add(&w->notes, "<system>note</system>", NULL);
	receive(w, (const char *const[]){ "m1" }, 1);
	strbuf_puts(&w->recalled, "<system>again</system>\n");
	prompt_use_text(&w->options, w->group, &w->recalled, "/compact", true);
	assert_string_equal(w->group->text, "/compact");
	assert_int_equal(w->group->len, strlen("/compact"));
	assert_true(w->group->is_command);
	/* It has no room for notes. */
	assert_int_equal(w->notes.text.len, strlen("<system>note</system>\n"));
	group_free(w->group);
	receive(w, (const char *const[]){ "m2" }, 1);
	prompt_use_text(&w->options, w->group, &w->recalled, "<system>late</system>", false);
	assert_string_equal(w->group->text, "<system>again</system>\n<system>late</system>");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_parts_in_order),
		CASE(test_a_row_without_words_leaves),
		CASE(test_no_row_is_left),
		CASE(test_a_text_that_is_given),
	};

	return cmocka_run_group_tests_name("runner/prompt", tests, NULL, NULL);
}
