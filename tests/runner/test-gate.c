/* SPDX-License-Identifier: MIT */
#include "runner/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/io/json.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct capture capture;

struct world {
	struct folder folder;
	struct loop *loop;
	struct loop_timer *timeout;
	struct children *children;
	struct gate *gate;
	struct strbuf outcomes; /* "id wake data;" */
	size_t left;		/* outcomes until the loop ends */
	bool free_gate;
	const char *add_next;
};

/* A row as inbound.c makes it; content is that of a task with this script (NULL: none). */
static struct inbound_row task(const char *id, const char *script)
{
	cleanup_json json_t *content = json_pack("{s:s, s:s*}", "prompt", "p", "script", script);
	struct strbuf text = STRBUF_EMPTY;
	struct inbound_row row = { .seq = 2, .wakes = true };

	assert_non_null(content);
	assert_int_equal(json_append_compact(&text, content), 0);
	row.id = strdup(id);
	row.kind = strdup("task");
	row.content_len = text.len;
	row.content = strbuf_steal(&text);
	return row;
}

static void add(struct world *w, const char *id, const char *script)
{
	struct inbound_row row = task(id, script);

	assert_int_equal(gate_add(w->gate, &row), 0);
	assert_null(row.id);
	assert_true(gate_is_busy(w->gate));
}

static void on_done(void *userdata, struct inbound_row *row, bool wake, const json_t *data)
{
	struct world *w = userdata;

	strbuf_printf(&w->outcomes, "%s %s ", row->id, wake ? "yes" : "no");
	if (data)
		json_append_compact(&w->outcomes, data);
	strbuf_putc(&w->outcomes, ';');
	inbound_row_deinit(row);
	if (w->add_next)
		add(w, steal_ptr(w->add_next), "echo '{\"wakeAgent\": false}'");
	if (w->free_gate)
		gate_free(steal_ptr(w->gate));
	if (--w->left == 0)
		loop_stop(w->loop, 0);
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .left = 1 };
	folder_make(&w->folder);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(children_new(w->loop, NULL, NULL, &w->children, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_timeout, w, &w->timeout), 0);
	loop_timer_arm(w->timeout, 10000);
	assert_int_equal(gate_new(w->loop, w->children, w->folder.path, on_done, w, &w->gate), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	gate_free(w->gate);
	children_free(w->children);
	loop_timer_free(w->timeout);
	loop_free(w->loop);
	strbuf_deinit(&w->outcomes);
	folder_remove(&w->folder);
	return 0;
}

static const char *run(struct world *w, size_t outcomes)
{
	w->left = outcomes;
	assert_int_equal(loop_run(w->loop, NULL), 0);
	return w->outcomes.data;
}

static void test_the_script_decides(void **state)
{
	struct world *w = *state;

	assert_false(gate_is_busy(w->gate));
	add(w, "t-1", "echo noise; echo '{\"wakeAgent\": true, \"data\": {\"a\": [1]}}'");
	assert_string_equal(run(w, 1), "t-1 yes {\"a\":[1]};");
	assert_false(gate_is_busy(w->gate));
	add(w, "t-2", "echo '{\"wakeAgent\": false, \"data\": 5}'");
	assert_string_equal(run(w, 1), "t-1 yes {\"a\":[1]};t-2 no 5;");
	assert_false(gate_is_busy(w->gate));
}

/* One at a time, in order: the second sees what the first left. */
static void test_one_at_a_time(void **state)
{
	struct world *w = *state;

	add(w, "first", "echo '\"from the first\"' >file; echo '{\"wakeAgent\": true}'");
	assert_true(gate_holds(w->gate, "first"));
	add(w, "second", "echo \"{\\\"wakeAgent\\\": true, \\\"data\\\": $(cat file)}\"");
	add(w, "third", "echo \"{\\\"wakeAgent\\\": false, \\\"data\\\": \\\"$0\\\"}\"");
	assert_string_equal(run(w, 3),
			    "first yes ;second yes \"from the first\";third no \"third\";");
	assert_false(gate_holds(w->gate, "first"));
	assert_false(gate_is_busy(w->gate));
}

static void test_a_failure_costs_no_other_task(void **state)
{
	struct world *w = *state;

	capture_start(&capture, STDERR_FILENO);
	add(w, "t-1", "echo oops >&2; exit 3");
	add(w, "t-2", NULL);
	add(w, "t-3", "echo '{\"wakeAgent\": true}'");
	(void)run(w, 3);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: task t-1: exit status 3: oops: the agent is "
			    "not woken\n"
			    "agent-runner: warning: task t-2: it has no script: the agent is not "
			    "woken\n");
	assert_string_equal(w->outcomes.data, "t-1 no ;t-2 no ;t-3 yes ;");
}

static void test_the_callback_may_add(void **state)
{
	struct world *w = *state;

	w->add_next = "t-2";
	add(w, "t-1", "echo '{\"wakeAgent\": true}'");
	assert_string_equal(run(w, 2), "t-1 yes ;t-2 no ;");
	assert_false(gate_is_busy(w->gate));
}

static void test_the_callback_may_free_the_gate(void **state)
{
	struct world *w = *state;

	w->free_gate = true;
	add(w, "t-1", "echo '{\"wakeAgent\": true, \"data\": \"d\"}'");
	add(w, "t-2", "echo '{\"wakeAgent\": true}'");
	assert_string_equal(run(w, 1), "t-1 yes \"d\";");
	/* The second is not raised. */
	loop_timer_arm(w->timeout, 50);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	assert_string_equal(w->outcomes.data, "t-1 yes \"d\";");
}

static void on_pipe(void *userdata, uint32_t events)
{
	struct world *w = userdata;

	(void)events;
	loop_stop(w->loop, 0);
}

/* The script holds the only writing end of a FIFO: its end is the script's end. */
static void test_free_kills_what_runs(void **state)
{
	struct world *w = *state;
	struct loop_source *source;
	char byte;
	int fd;

	assert_int_equal(mkfifo(folder_file(&w->folder, "fifo"), 0600), 0);
	fd = open(folder_file(&w->folder, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(loop_add_fd(w->loop, fd, EPOLLIN, on_pipe, w, &source), 0);
	add(w, "t-1", "trap '' TERM; exec 9>fifo; echo x >&9; sleep 100; sleep 100");
	add(w, "t-2", "echo '{\"wakeAgent\": true}'");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	gate_free(steal_ptr(w->gate));
	do
		assert_int_equal(loop_run(w->loop, NULL), 0);
	while (read(fd, &byte, 1) > 0);
	loop_source_free(source);
	close(fd);
	assert_int_equal(w->outcomes.len, 0);
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	gate_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_script_decides),
		CASE(test_one_at_a_time),
		CASE(test_a_failure_costs_no_other_task),
		CASE(test_the_callback_may_add),
		CASE(test_the_callback_may_free_the_gate),
		CASE(test_free_kills_what_runs),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
