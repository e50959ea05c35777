/* SPDX-License-Identifier: MIT */
#include "runner/pulse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/test.h"

#define EVERY_MS 5

static struct capture capture;

struct world {
	struct folder folder;
	struct loop *loop;
	struct loop_timer *timeout;
	struct outbound *outbound;
	struct pulse *pulse;
	/* What need() does. */
	enum pulse_need need;
	int asked, until; /* so often, then the loop ends */
	int beats;	  /* heartbeats between two questions */
	int silences;
};

static const char *heartbeat(struct world *w)
{
	return folder_file(&w->folder, ".heartbeat");
}

/* Was it touched since the last call? Ages it for the next one. */
static bool has_beaten(struct world *w)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct stat st;

	if (stat(heartbeat(w), &st) < 0)
		return false;
	assert_int_equal(st.st_size, 0);
	assert_int_equal(utimensat(AT_FDCWD, heartbeat(w), old, 0), 0);
	return st.st_mtime != 1000;
}

static enum pulse_need need(void *userdata)
{
	struct world *w = userdata;

	w->beats += has_beaten(w);
	if (++w->asked == w->until)
		loop_stop(w->loop, 0);
	return w->need;
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
	char path[sizeof(w->folder.file)];

	*w = (struct world){ .need = PULSE_AGENT };
	folder_make(&w->folder);
	strcpy(path, folder_file(&w->folder, "outbound.db"));
	assert_int_equal(
		outbound_open(path, folder_file(&w->folder, "inbound.db"), &w->outbound, NULL), 0);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	assert_int_equal(loop_timer_new(w->loop, on_timeout, w, &w->timeout), 0);
	loop_timer_arm(w->timeout, 10000);
	assert_int_equal(pulse_new(w->loop, w->outbound, heartbeat(w), need, w, &w->pulse), 0);
	pulse_set_pace(w->pulse, EVERY_MS, 60000);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	pulse_free(w->pulse);
	outbound_close(w->outbound);
	loop_timer_free(w->timeout);
	loop_free(w->loop);
	folder_remove(&w->folder);
	return 0;
}

/* Runs until need() was asked so often; how many heartbeats there were between. */
static int run(struct world *w, int until)
{
	w->asked = w->beats = 0;
	w->until = until;
	assert_int_equal(loop_run(w->loop, NULL), 0);
	return w->beats;
}

static void test_a_claim_beats_at_once(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(stat(heartbeat(w), &st), -1);
	pulse_start(w->pulse);
	assert_int_equal(stat(heartbeat(w), &st), 0);
	assert_true(has_beaten(w));
	assert_false(has_beaten(w));
	pulse_start(w->pulse);
	assert_true(has_beaten(w));
}

static void test_it_goes_on_by_itself(void **state)
{
	struct world *w = *state;

	pulse_start(w->pulse);
	assert_int_equal(run(w, 4), 4);
}

/* Never touched when idle: it would show the user that somebody is typing. */
static void test_idle_ends_it(void **state)
{
	struct world *w = *state;

	pulse_start(w->pulse);
	assert_true(has_beaten(w));
	assert_int_equal(run(w, 2), 1);
	w->need = PULSE_IDLE;
	loop_timer_arm(w->timeout, 10 * EVERY_MS);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	assert_int_equal(w->asked, 3);
}

static void test_a_wedged_agent_is_not_vouched_for(void **state)
{
	static const char warning[] = "agent-runner: warning: no sign of life from the agent for 0 "
				      "s: the heartbeat stops\n";
	struct world *w = *state;

	pulse_set_pace(w->pulse, EVERY_MS, 0);
	capture_start(&capture, STDERR_FILENO);
	pulse_start(w->pulse);
	/* The first is that of pulse_start(). */
	assert_int_equal(run(w, 4), 1);
	assert_string_equal(capture_stop(&capture), warning);
}

static void on_silence(void *userdata, int64_t silent_ms)
{
	struct world *w = userdata;

	assert_in_range(silent_ms, 30, 5000);
	w->silences++;
}

/* Once each time; well before the next beat, if that is what it takes. */
static void test_silence_is_told(void **state)
{
	struct world *w = *state;

	pulse_set_pace(w->pulse, 60000, 60000);
	pulse_set_silence(w->pulse, 30, on_silence);
	capture_start(&capture, STDERR_FILENO);
	pulse_start(w->pulse);
	run(w, 1);
	/* After the question. */
	assert_int_equal(w->silences, 1);
	pulse_set_pace(w->pulse, EVERY_MS, 30);
	pulse_alive(w->pulse);
	pulse_start(w->pulse);
	run(w, 20);
	assert_int_equal(w->silences, 2);
	(void)capture_stop(&capture);
}

static enum pulse_need need_with_more(void *userdata)
{
	struct world *w = userdata;
	enum pulse_need answer = need(w);

	pulse_start(w->pulse);
	return answer;
}

/* More messages are no sign of life of the agent: else it would hang as long as they come. */
static void test_what_joins_is_no_sign_of_life(void **state)
{
	struct world *w = *state;

	pulse_free(w->pulse);
	assert_int_equal(
		pulse_new(w->loop, w->outbound, heartbeat(w), need_with_more, w, &w->pulse), 0);
	pulse_set_pace(w->pulse, EVERY_MS, 60000);
	pulse_set_silence(w->pulse, 30, on_silence);
	capture_start(&capture, STDERR_FILENO);
	pulse_start(w->pulse);
	run(w, 20);
	assert_int_equal(w->silences, 1);
	(void)capture_stop(&capture);
}

static enum pulse_need need_with_life(void *userdata)
{
	struct world *w = userdata;
	enum pulse_need answer = need(w);

	pulse_alive(w->pulse);
	return answer;
}

static void test_signs_of_life_keep_it_going(void **state)
{
	struct world *w = *state;

	pulse_free(w->pulse);
	assert_int_equal(
		pulse_new(w->loop, w->outbound, heartbeat(w), need_with_life, w, &w->pulse), 0);
	/* Shorter than the time between two beats. */
	pulse_set_pace(w->pulse, 100, 90);
	pulse_start(w->pulse);
	assert_int_equal(run(w, 2), 2);
}

static void test_waiting_on_purpose_is_no_trouble(void **state)
{
	struct world *w = *state;

	w->need = PULSE_WAITING;
	pulse_set_pace(w->pulse, 100, 90);
	pulse_start(w->pulse);
	assert_int_equal(run(w, 2), 2);
}

static void test_a_tool_has_its_declared_time(void **state)
{
	struct world *w = *state;

	pulse_set_pace(w->pulse, EVERY_MS, 0);
	pulse_tool_start(w->pulse, "toolu_1", "Bash", 60000);
	pulse_start(w->pulse);
	assert_int_equal(run(w, 4), 4);
	pulse_tool_end(w->pulse, "toolu_1");
	capture_start(&capture, STDERR_FILENO);
	/* That which followed the last question above. */
	assert_int_equal(run(w, 4), 1);
	assert_non_null(strstr(capture_stop(&capture), "no sign of life"));
}

static void test_a_file_that_cannot_be_touched(void **state)
{
	struct world *w = *state;
	char expected[512], path[300];
	const char *said;

	pulse_free(w->pulse);
	snprintf(path, sizeof(path), "%s/later/.heartbeat", w->folder.path);
	assert_int_equal(pulse_new(w->loop, w->outbound, path, need, w, &w->pulse), 0);
	pulse_set_pace(w->pulse, EVERY_MS, 60000);
	capture_start(&capture, STDERR_FILENO);
	pulse_start(w->pulse);
	(void)run(w, 3);
	said = capture_stop(&capture);
	snprintf(expected, sizeof(expected),
		 "agent-runner: warning: cannot touch %s: No such file or directory: the host may "
		 "take this container for dead\n",
		 path);
	assert_string_equal(said, expected);
	folder_mkdir(&w->folder, "later");
	(void)run(w, 1);
	assert_int_equal(access(path, F_OK), 0);
}

static const char *published(struct world *w)
{
	return database_query(folder_file(&w->folder, "outbound.db"),
			      "SELECT current_tool, tool_declared_timeout_ms, tool_started_at"
			      " IS NOT NULL FROM container_state");
}

static void test_tools_are_published(void **state)
{
	struct world *w = *state;

	assert_string_equal(published(w), "");
	pulse_tool_start(w->pulse, "a", "Read", -1);
	assert_string_equal(published(w), "Read|NULL|1\n");
	pulse_tool_start(w->pulse, "b", "Bash", 120000);
	assert_string_equal(published(w), "Bash|120000|1\n");
	pulse_tool_start(w->pulse, "c", "Bash", 1000);
	assert_string_equal(published(w), "Bash|120000|1\n");
	pulse_tool_end(w->pulse, "b");
	assert_string_equal(published(w), "Bash|1000|1\n");
	pulse_tool_end(w->pulse, "c");
	pulse_tool_end(w->pulse, "a");
	assert_string_equal(published(w), "NULL|NULL|0\n");
	pulse_tool_start(w->pulse, "", "Grep", -1);
	assert_string_equal(published(w), "Grep|NULL|1\n");
	pulse_no_tools(w->pulse);
	assert_string_equal(published(w), "NULL|NULL|0\n");
}

static void exec(struct world *w, const char *sql)
{
	database_exec(folder_file(&w->folder, "outbound.db"), sql);
}

/* Even when nothing is claimed any more: a stale row makes the host wait for too long. */
static void test_what_could_not_be_published_is_tried_again(void **state)
{
	struct world *w = *state;

	pulse_tool_start(w->pulse, "a", "Bash", 600000);
	exec(w, "ALTER TABLE container_state RENAME TO hidden");
	w->need = PULSE_IDLE;
	capture_start(&capture, STDERR_FILENO);
	pulse_no_tools(w->pulse);
	(void)run(w, 3);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: cannot write outbound.db: "
			    "no such table: container_state (SQLite 1)\n");
	exec(w, "ALTER TABLE hidden RENAME TO container_state");
	assert_string_equal(published(w), "Bash|600000|1\n");
	(void)run(w, 1);
	assert_string_equal(published(w), "NULL|NULL|0\n");
	/* Then there is nothing left to do. */
	loop_timer_arm(w->timeout, 10 * EVERY_MS);
	w->asked = 0;
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	assert_int_equal(w->asked, 0);
}

/* The end of the process cannot wait for the next beat: whoever asks again has it tried at once. */
static void test_what_could_not_be_published_is_tried_when_asked(void **state)
{
	struct world *w = *state;

	pulse_tool_start(w->pulse, "a", "Bash", 600000);
	exec(w, "ALTER TABLE container_state RENAME TO hidden");
	capture_start(&capture, STDERR_FILENO);
	pulse_no_tools(w->pulse);
	(void)capture_stop(&capture);
	exec(w, "ALTER TABLE hidden RENAME TO container_state");
	pulse_no_tools(w->pulse);
	assert_string_equal(published(w), "NULL|NULL|0\n");
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	pulse_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_claim_beats_at_once),
		CASE(test_it_goes_on_by_itself),
		CASE(test_idle_ends_it),
		CASE(test_a_wedged_agent_is_not_vouched_for),
		CASE(test_silence_is_told),
		CASE(test_what_joins_is_no_sign_of_life),
		CASE(test_signs_of_life_keep_it_going),
		CASE(test_waiting_on_purpose_is_no_trouble),
		CASE(test_a_tool_has_its_declared_time),
		CASE(test_a_file_that_cannot_be_touched),
		CASE(test_tools_are_published),
		CASE(test_what_could_not_be_published_is_tried_again),
		CASE(test_what_could_not_be_published_is_tried_when_asked),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
