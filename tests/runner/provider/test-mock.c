/* SPDX-License-Identifier: MIT */
#include "runner/provider/mock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "tests/test.h"

struct world {
	struct loop *loop;
	struct loop_timer *timer;
	struct provider *provider;
	struct strbuf log;     /* what was raised, each followed by | */
	size_t results, until; /* the loop stops after this many */
	bool frees;	       /* with `exited`, as the agent does */
};

static void on_ready(void *userdata)
{
	struct world *w = userdata;

	strbuf_puts(&w->log, "ready|");
}

static void on_init(void *userdata, const char *continuation)
{
	struct world *w = userdata;

	/* A new one bears the time of its beginning. */
	strbuf_printf(&w->log, "init %.5s|", continuation);
}

static void on_nothing(void *userdata)
{
	(void)userdata;
}

static void on_result(void *userdata, const struct provider_result *result)
{
	struct world *w = userdata;

	assert_int_equal(strlen(result->text), result->text_len);
	strbuf_printf(&w->log, "result %s %" PRIu64 " %s%s|", provider_error_name(result->error),
		      result->answered, result->text, result->interrupted ? "interrupted" : "");
	if (++w->results == w->until)
		loop_stop(w->loop, 0);
}

static void on_exited(void *userdata, enum provider_error error, const char *detail)
{
	struct world *w = userdata;

	strbuf_printf(&w->log, "exited %s %s|", provider_error_name(error), detail);
	if (w->frees) {
		mock_provider.free(w->provider);
		w->provider = NULL;
	}
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

	unsetenv("AGENT_MOCK_DELAY_MS");
	unsetenv("AGENT_MOCK_RESULT");
	unsetenv("AGENT_MOCK_ERROR");
	world = (struct world){ .until = 1 };
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(loop_timer_new(world.loop, on_timeout, &world, &world.timer), 0);
	loop_timer_arm(world.timer, 10000);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	mock_provider.free(w->provider);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	strbuf_deinit(&w->log);
	return 0;
}

static int try_start(struct world *w, const char *instructions, const char *continuation,
		     struct err *err)
{
	static const struct provider_events events = {
		.ready = on_ready,
		.init = on_init,
		.result = on_result,
		.activity = on_nothing,
		.exited = on_exited,
	};
	const struct provider_query query = {
		.loop = w->loop,
		.instructions = instructions,
		.continuation = continuation,
	};

	return mock_provider.start(&query, &events, w, &w->provider, err);
}

static void start(struct world *w)
{
	assert_int_equal(try_start(w, "Write <message to=\"first\">…</message>.", "kept", NULL), 0);
}

static void push(struct world *w, uint64_t id, const char *text)
{
	assert_int_equal(mock_provider.push(w->provider, id, text, strlen(text), text[0] == '/'),
			 0);
}

static void expect(struct world *w, const char *log)
{
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->log.data, log);
}

static void test_echo(void **state)
{
	struct world *w = *state;

	start(w);
	push(w, 1,
	     "<context timezone=\"UTC\" />\n<message id=\"2\" from=\"ca&amp;sa\" sender=\"Ann\">"
	     "1 &lt; 2 &amp;&quot;&gt;</message>\n<message id=\"4\" from=\"b\" sender=\"x\">\n"
	     "  <quoted_message from=\"X\">old</quoted_message>\nnew</message>");
	expect(w, "ready|init kept|result ok 1 <message to=\"ca&amp;sa\">echo: 1 < 2 &\">"
		  "</message>\n<message to=\"b\">echo: new</message>\n|");
}

static void test_task_goes_to_the_first_destination(void **state)
{
	struct world *w = *state;

	start(w);
	push(w, 1,
	     "<task from=\"casa\" time=\"x\">\nScript output:\n{}\n\nInstructions:\nwater "
	     "them</task>");
	expect(w, "ready|init kept|result ok 1 <message to=\"first\">echo: water them"
		  "</message>\n|");
}

static void test_without_addresses_it_just_speaks(void **state)
{
	struct world *w = *state;

	assert_int_equal(try_start(w, NULL, NULL, NULL), 0);
	w->until = 2;
	push(w, 1, "<message id=\"2\" sender=\"Ann\">hi</message>");
	push(w, 2, "/cost now");
	expect(w, "ready|init mock-|result ok 1 echo: hi\n|init mock-|"
		  "result ok 2 echo: /cost now|");
}

static void test_literal_result(void **state)
{
	struct world *w = *state;

	setenv("AGENT_MOCK_RESULT", "as it is", 1);
	start(w);
	push(w, 1, "anything");
	expect(w, "ready|init kept|result ok 1 as it is|");
}

static void test_stop_does_not_wait_for_an_answer(void **state)
{
	struct world *w = *state;

	setenv("AGENT_MOCK_DELAY_MS", "5000", 1);
	start(w);
	mock_provider.interrupt(w->provider);
	push(w, 1, "slow");
	mock_provider.stop(w->provider, 10);
	expect(w, "exited ok ended as asked|");
}

static void test_interrupt_ends_the_running_turn(void **state)
{
	struct world *w = *state;

	start(w);
	push(w, 1, "one");
	expect(w, "ready|init kept|result ok 1 echo: one|");
	mock_provider.interrupt(w->provider);
	push(w, 2, "two");
	mock_provider.interrupt(w->provider);
	w->until = 2;
	expect(w, "ready|init kept|result ok 1 echo: one|init kept|result ok 2 interrupted|");
}

static void test_errors(void **state)
{
	static const struct {
		const char *name, *log;
	} rows[] = {
		{ "transient", "ready|init kept|result transient 1 AGENT_MOCK_ERROR|" },
		{ "quota", "ready|init kept|result quota 1 AGENT_MOCK_ERROR|" },
		{ "too_long", "ready|init kept|result too_long 1 AGENT_MOCK_ERROR|" },
		{ "crashed", "ready|init kept|exited crashed AGENT_MOCK_ERROR|" },
		{ "invalid_session", "ready|init kept|exited invalid_session AGENT_MOCK_ERROR|" },
		{ "ok", "ready|init kept|result ok 1 echo: one|" },
	};
	struct world *w = *state;

	w->frees = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		strbuf_reset(&w->log);
		w->results = 0;
		setenv("AGENT_MOCK_ERROR", rows[i].name, 1);
		start(w);
		push(w, 1, "one");
		expect(w, rows[i].log);
		mock_provider.free(w->provider);
		w->provider = NULL;
	}
}

/* In a fresh conversation these two have no cause. */
static void test_errors_of_an_old_conversation(void **state)
{
	static const char *const names[] = { "too_long", "invalid_session" };
	struct world *w = *state;

	for (size_t i = 0; i < 2; i++) {
		strbuf_reset(&w->log);
		w->results = 0;
		setenv("AGENT_MOCK_ERROR", names[i], 1);
		assert_int_equal(try_start(w, NULL, NULL, NULL), 0);
		push(w, 1, "one");
		expect(w, "ready|init mock-|result ok 1 echo: one|");
		mock_provider.free(w->provider);
		w->provider = NULL;
	}
}

static void test_bad_environment(void **state)
{
	struct world *w = *state;
	struct err err;

	setenv("AGENT_MOCK_DELAY_MS", "soon", 1);
	assert_int_equal(try_start(w, NULL, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "AGENT_MOCK_DELAY_MS must be 0 to 600000, found \"soon\"");
	unsetenv("AGENT_MOCK_DELAY_MS");
	setenv("AGENT_MOCK_ERROR", "tired", 1);
	assert_int_equal(try_start(w, NULL, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "AGENT_MOCK_ERROR: there is no error class \"tired\"");
	assert_null(w->provider);
}

static void test_rest_of_the_vtable(void **state)
{
	struct world *w = *state;
	struct err err;

	start(w);
	assert_true(mock_provider.has_command(w->provider, "/mock"));
	assert_false(mock_provider.has_command(w->provider, "/cost"));
	assert_false(mock_provider.is_busy(w->provider));
	assert_int_equal(mock_provider.probe(NULL, &err), 0);
	assert_string_equal(err.text, "mock: nothing is needed");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_echo),
		TEST(test_task_goes_to_the_first_destination),
		TEST(test_without_addresses_it_just_speaks),
		TEST(test_literal_result),
		TEST(test_stop_does_not_wait_for_an_answer),
		TEST(test_interrupt_ends_the_running_turn),
		TEST(test_errors),
		TEST(test_errors_of_an_old_conversation),
		TEST(test_bad_environment),
		TEST(test_rest_of_the_vtable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
