/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "tests/capture.h"
#include "tests/runner/store/inbound.h"

#define ACKS_MAX 2048

/* A caller whose rows say by their kind what it makes of them. */
struct world {
	char acked[ACKS_MAX][16];
	size_t acked_count;
	int ack_error;
	size_t asked; /* how many rows were picked */
};

static int is_acked(void *userdata, const char *id)
{
	const struct world *world = userdata;

	if (world->ack_error)
		return world->ack_error;
	for (size_t i = 0; i < world->acked_count; i++)
		if (strcmp(world->acked[i], id) == 0)
			return 1;
	return 0;
}

static void ack(struct world *world, const char *id)
{
	assert_true(world->acked_count < ACKS_MAX);
	(void)snprintf(world->acked[world->acked_count++], sizeof(world->acked[0]), "%s", id);
}

static enum inbound_pick pick(void *userdata, struct inbound_row *row)
{
	struct world *world = userdata;

	world->asked++;
	if (strcmp(row->kind, "only") == 0)
		return INBOUND_TAKE_ONLY;
	if (strcmp(row->kind, "aside") == 0)
		return INBOUND_ASIDE;
	if (strcmp(row->kind, "system") == 0)
		return INBOUND_ASIDE;
	return strcmp(row->kind, "leave") == 0 ? INBOUND_LEAVE : INBOUND_TAKE;
}

/* Of an id that says so. */
static int is_begun(void *userdata, const char *id)
{
	(void)userdata;
	return strncmp(id, "begun", strlen("begun")) == 0;
}

static void read_batch(struct world *world, size_t limit, bool first, struct inbound_batch *batch)
{
	const struct inbound_choice choice = {
		.first_look = first,
		.limit = limit,
		.userdata = world,
		.is_acked = is_acked,
		.is_begun = is_begun,
		.pick = pick,
	};
	struct inbound *inbound = look();

	world->asked = 0;
	assert_int_equal(inbound_batch_read(inbound, &choice, batch, NULL), 0);
	inbound_close(inbound);
}

static void append_ids(struct strbuf *text, const struct inbound_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		strbuf_printf(text, "%s%s", i ? " " : "", rows[i].id);
}

/* A batch as "rows / aside / passed over", with + behind it if there is more. */
static void assert_batch(struct world *world, size_t limit, const char *expected)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct inbound_batch batch;

	read_batch(world, limit, false, &batch);
	append_ids(&text, batch.rows, batch.count);
	strbuf_puts(&text, " / ");
	append_ids(&text, batch.aside, batch.aside_count);
	strbuf_puts(&text, " / ");
	for (size_t i = 0; i < batch.passed_over_count; i++)
		strbuf_printf(&text, "%s%s", i ? " " : "", batch.passed_over[i]);
	strbuf_puts(&text, batch.more ? " +" : "");
	assert_string_equal(text.data, expected);
	inbound_batch_deinit(&batch);
}

/*
 * Adds rows a, b, c, … by one letter each: w wakes, c is context, a is put aside, l is left, o is
 * alone, s is of kind system.
 */
static void add(const char *letters)
{
	cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;

	strbuf_puts(&sql, "BEGIN;");
	for (size_t i = 0; letters[i]; i++) {
		static const char *const kinds[] = {
			['w'] = "chat",	 ['c'] = "chat", ['a'] = "aside",
			['l'] = "leave", ['o'] = "only", ['s'] = "system"
		};

		strbuf_printf(&sql,
			      "INSERT INTO messages_in (id, seq, kind, timestamp, content,"
			      " \"trigger\") VALUES ('%c', %zu, '%s', '', 'text %zu', %d);",
			      (char)('a' + i), 2 * i, kinds[(unsigned char)letters[i]], i,
			      letters[i] != 'c');
	}
	strbuf_puts(&sql, "COMMIT");
	run("DELETE FROM messages_in");
	run(sql.data);
}

static void test_rule(void **state)
{
	static struct {
		const char *rows;
		size_t limit;
		const char *batch;
	} const rows[] = {
		{ "", 10, " /  / " },
		{ "w", 10, "a /  / " },
		/* context alone wakes nobody */
		{ "ccc", 10, " /  / " },
		{ "ccw", 10, "a b c /  / " },
		/* what comes behind the last chosen row waits */
		{ "cwc", 10, "a b /  / " },
		{ "wcwcc", 10, "a b c /  / " },
		/* the oldest that wake come first, and fill the batch */
		{ "www", 2, "a b /  /  +" },
		{ "www", 3, "a b c /  / " },
		{ "wwwc", 3, "a b c /  / " },
		{ "cwcwcw", 2, "b d /  / a c +" },
		/* room left goes to the newest context before the last chosen row */
		{ "ccccw", 3, "c d e /  / a b" },
		{ "ccccw", 1, "e /  / a b c d" },
		{ "ccwccwcc", 4, "c d e f /  / a b" },
		{ "cwcwc", 3, "b c d /  / a" },
		/* answers to tools come before everything, and bring no context */
		{ "ssw", 10, "c / a b / " },
		{ "sss", 10, " / a b c / " },
		{ "wws", 1, "a / c /  +" },
		{ "cws", 10, "a b / c / " },
		{ "ccs", 10, " / c / " },
		{ "os", 10, "a / b / " },
		{ "was", 10, "a / c b / " },
		/* beside the batch: counts for nothing, brings no context */
		{ "awa", 10, "b / a c / " },
		{ "cac", 10, " / b / " },
		{ "aaaw", 1, "d / a b c / " },
		{ "waw", 1, "a /  /  +" },
		{ "caw", 1, "c / b / a" },
		/* left until later */
		{ "l", 10, " /  /  +" },
		{ "wlc", 10, "a /  /  +" },
		{ "clw", 10, "a c /  /  +" },
		/* alone: no context, and nothing behind it */
		{ "o", 10, "a /  / " },
		{ "ccocw", 10, "c /  /  +" },
		{ "occ", 10, "a /  / " },
		{ "owww", 10, "a /  /  +" },
		{ "oaa", 10, "a /  /  +" },
		{ "aow", 10, "b / a /  +" },
	};
	static struct world world;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		add(rows[i].rows);
		assert_batch(&world, rows[i].limit, rows[i].batch);
	}
}

static void test_acknowledged_rows_are_no_more(void **state)
{
	static struct world world;

	(void)state;
	world = (struct world){ .acked_count = 0 };
	add("cwcw");
	ack(&world, "b");
	assert_batch(&world, 10, "a c d /  / ");
	ack(&world, "d");
	assert_batch(&world, 10, " /  / ");
	ack(&world, "a");
	add("cwcww");
	assert_batch(&world, 10, "c e /  / ");
}

static void test_full_batch_reads_no_further(void **state)
{
	struct inbound_batch batch;
	static struct world world;

	(void)state;
	world = (struct world){ .acked_count = 0 };
	add("wwwwwwwwwwww");
	read_batch(&world, 2, false, &batch);
	assert_int_equal(world.asked, 2);
	inbound_batch_deinit(&batch);
}

/* Rows that are read have what they hold; and the order is right where seq is null. */
static void test_rows(void **state)
{
	struct inbound_batch batch;
	static struct world world;

	(void)state;
	world = (struct world){ .acked_count = 0 };
	run("INSERT INTO messages_in (rowid, id, seq, kind, timestamp, content, \"trigger\") VALUES"
	    " (9, 'i', NULL, 'chat', '', 'nine', 1), (8, 'h', NULL, 'chat', '', 'eight', 0),"
	    " (7, 'g', 40, 'chat', '', 'seven', 0), (6, 'f', 60, 'chat', '', NULLIF('', 'x'), 1),"
	    " (5, 'e', -2, 'chat', '', 'five', 0), (4, 'd', NULL, 'chat', '', 'four', 0)");
	assert_batch(&world, 10, "e g f d h i /  / ");
	assert_batch(&world, 4, "f d h i /  / e g");
	read_batch(&world, 10, false, &batch);
	assert_string_equal(batch.rows[0].content, "five");
	assert_false(batch.rows[0].wakes);
	assert_string_equal(batch.rows[2].content, "");
	assert_true(batch.rows[2].wakes);
	assert_int_equal(batch.rows[2].seq, 60);
	assert_int_equal(batch.rows[5].seq, -1);
	assert_int_equal(batch.next_due_ms, -1);
	inbound_batch_deinit(&batch);
	inbound_batch_deinit(&batch);
}

static void test_on_wake(void **state)
{
	struct inbound_batch batch;
	static struct world world;

	(void)state;
	world = (struct world){ .acked_count = 0 };
	run("INSERT INTO messages_in (id, kind, timestamp, content, on_wake, process_after)"
	    " VALUES ('a', 'task', '', '', 1, NULL), ('b', 'task', '', '', 0, '2900-01-01')");
	read_batch(&world, 10, false, &batch);
	assert_int_equal(batch.count, 0);
	assert_int_equal(batch.next_due_ms, 29348006400000);
	inbound_batch_deinit(&batch);
	read_batch(&world, 10, true, &batch);
	assert_int_equal(batch.count, 1);
	assert_string_equal(batch.rows[0].id, "a");
	inbound_batch_deinit(&batch);
}

static void test_odd_times_are_told(void **state)
{
	static struct capture capture;
	static struct world world;

	(void)state;
	world = (struct world){ .acked_count = 0 };
	run("INSERT INTO messages_in (id, kind, timestamp, content, process_after, \"trigger\")"
	    " VALUES ('a', 'chat', '', '', 'abc', 0), ('b', 'leave', '', '', 'abc', 1),"
	    " ('c', 'aside', '', '', '', 1), ('d', 'chat', '', '', '1770000000', 1),"
	    " ('e', 'chat', '', '', '2020-01-01', 1), ('f', 'chat', '', '', 'abc', 0)");
	capture_start(&capture, STDERR_FILENO);
	assert_batch(&world, 10, "a d e / c /  +");
#define ODD(id)                              \
	"agent-runner: warning: message " id \
	": process_after is no time that SQLite understands: it is due now\n"
	assert_string_equal(capture_stop(&capture), ODD("c") ODD("d") ODD("a"));
}

static void test_acknowledgements_that_cannot_be_read(void **state)
{
	static struct world world;
	const struct inbound_choice choice = { .limit = 1,
					       .userdata = &world,
					       .is_acked = is_acked,
					       .is_begun = is_begun,
					       .pick = pick };
	struct inbound_batch batch;
	struct inbound *inbound;
	struct err err;

	(void)state;
	world = (struct world){ .ack_error = -EAGAIN };
	add("cw");
	inbound = look();
	assert_int_equal(inbound_batch_read(inbound, &choice, &batch, &err), -EAGAIN);
	assert_string_equal(err.text, "cannot read the acknowledgement of a: Resource temporarily "
				      "unavailable");
	inbound_close(inbound);
}

/* All that is pending, and what became of it. Row i has the id i and the seq 2 * i. */
struct pending {
	struct {
		bool wakes;
		bool done;
	} rows[1001]; /* from 1 */
	size_t count;
	size_t waiting;	  /* rows that wake and are not done */
	size_t last_wake; /* the last one that was taken */
};

static void write_pending(const struct pending *p)
{
	cleanup_strbuf struct strbuf sql = STRBUF_EMPTY;

	strbuf_puts(&sql, "BEGIN; DELETE FROM messages_in;");
	for (size_t i = 1; i <= p->count; i++)
		strbuf_printf(&sql,
			      "INSERT INTO messages_in (id, seq, kind, timestamp, content,"
			      " \"trigger\") VALUES ('%zu', %zu, 'chat', '', '', %d);",
			      i, 2 * i, p->rows[i].wakes);
	strbuf_puts(&sql, "COMMIT");
	run(sql.data);
}

/* Takes one batch, holds it against the rule, and acknowledges it. */
static void work_off(struct world *world, struct pending *p, size_t limit)
{
	struct inbound_batch batch;
	size_t previous = 0, first_context = 0;

	read_batch(world, limit, false, &batch);
	assert_true(batch.count <= limit);
	assert_int_equal(batch.count > 0, p->waiting > 0);
	for (size_t i = 0; i < batch.count; i++) {
		size_t number = strtoul(batch.rows[i].id, NULL, 10);

		assert_true(number > previous && !p->rows[number].done);
		previous = number;
		p->rows[number].done = true;
		ack(world, batch.rows[i].id);
		if (!p->rows[number].wakes) {
			first_context = first_context ? first_context : number;
			continue;
		}
		/* The oldest of those that wait, over all batches. */
		for (size_t older = p->last_wake + 1; older < number; older++)
			assert_false(p->rows[older].wakes);
		p->last_wake = number;
		p->waiting--;
	}
	/* Context is passed over only where there is no room, and the oldest first. */
	assert_true(batch.passed_over_count == 0 || batch.count == limit);
	for (size_t i = 0; i < batch.passed_over_count; i++) {
		size_t number = strtoul(batch.passed_over[i], NULL, 10);

		assert_false(p->rows[number].wakes || p->rows[number].done);
		assert_true(number < previous && (!first_context || number < first_context));
		p->rows[number].done = true;
		ack(world, batch.passed_over[i]);
	}
	/* What stands before the last row of the batch is done, and that row wakes. */
	for (size_t i = 1; i <= previous; i++)
		assert_true(p->rows[i].done);
	assert_true(previous == 0 || p->rows[previous].wakes);
	assert_int_equal(batch.more, p->waiting > 0);
	inbound_batch_deinit(&batch);
}

static void test_every_pattern(void **state)
{
	static struct world world;
	static struct pending p;

	(void)state;
	for (unsigned int pattern = 0; pattern < 256; pattern++) {
		world.acked_count = 0;
		p = (struct pending){ .count = 8 };
		for (unsigned int i = 0; i < 8; i++) {
			p.rows[i + 1].wakes = (pattern >> i & 1) != 0;
			p.waiting += p.rows[i + 1].wakes;
		}
		write_pending(&p);
		do
			work_off(&world, &p, 3);
		while (p.waiting > 0);
		work_off(&world, &p, 3);
	}
}

static void test_thousand_rows(void **state)
{
	static struct world world;
	static struct pending p;
	size_t batches = 0;

	(void)state;
	world.acked_count = 0;
	p = (struct pending){ .count = 1000 };
	for (size_t i = 1; i <= 1000; i++) {
		/* Eights of rows with the bits of 0, 1, 2, … 124. */
		p.rows[i].wakes = ((i / 8) >> (i % 8) & 1) != 0;
		p.waiting += p.rows[i].wakes;
	}
	assert_int_equal(p.waiting, 430);
	write_pending(&p);
	for (; p.waiting > 0; batches++)
		work_off(&world, &p, 10);
	/* All of them full. */
	assert_int_equal(batches, 43);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rule, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_acknowledged_rows_are_no_more, setup_schema,
						teardown),
		cmocka_unit_test_setup_teardown(test_full_batch_reads_no_further, setup_schema,
						teardown),
		cmocka_unit_test_setup_teardown(test_rows, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_on_wake, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_odd_times_are_told, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_acknowledgements_that_cannot_be_read,
						setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_every_pattern, setup_schema, teardown),
		cmocka_unit_test_setup_teardown(test_thousand_rows, setup_schema, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
