/* SPDX-License-Identifier: MIT */
#include "runner/shortage.h"

#include "common/cleanup.h"
#include "runner/memory.h"
#include "tests/capture.h"
#include "tests/test.h"

static struct {
	int64_t kills, limit;
	struct shortage *shortage;
	char text[SHORTAGE_TEXT];
	struct capture capture;
} world;

/* The linker leads the calls of shortage.c here. */

int64_t __wrap_memory_oom_kills(const struct memory *memory);
int64_t __wrap_memory_limit(const struct memory *memory);

int64_t __wrap_memory_oom_kills(const struct memory *memory)
{
	(void)memory;
	return world.kills;
}

int64_t __wrap_memory_limit(const struct memory *memory)
{
	(void)memory;
	return world.limit;
}

static int setup(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.kills = 5;
	world.limit = 256 * 1024 * 1024;
	world.shortage = shortage_new();
	assert_non_null(world.shortage);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shortage_free(world.shortage);
	shortage_free(NULL);
	return 0;
}

static void assert_struck(bool is_told, const char *log)
{
	bool told;

	capture_start(&world.capture, STDERR_FILENO);
	told = shortage_struck(world.shortage, world.text);
	assert_string_equal(capture_stop(&world.capture), log);
	assert_int_equal(told, is_told);
}

#define LOG(what) \
	"agent-runner: warning: memory ran out (limit 256 MB): the kernel killed " what "\n"

static void test_once_in_a_turn(void **state)
{
	(void)state;
	shortage_begin(world.shortage);
	assert_struck(false, "");
	world.kills = 6;
	assert_struck(true, LOG("1 process of the agent's"));
	assert_string_equal(world.text,
			    "Memory ran out in my container (limit 256 MB): the kernel "
			    "ended a program that I had started. I went on without it.");
	assert_struck(false, "");
	world.kills = 8;
	assert_struck(false, LOG("2 processes of the agent's"));
	/* What came between the turns is nobody's news. */
	world.kills = 9;
	shortage_begin(world.shortage);
	assert_struck(false, "");
	world.kills = 10;
	assert_struck(true, LOG("1 process of the agent's"));
}

static void test_without_a_limit(void **state)
{
	(void)state;
	world.limit = -1;
	shortage_begin(world.shortage);
	world.kills = 6;
	assert_struck(true, "agent-runner: warning: memory ran out: the kernel killed 1 process of "
			    "the agent's\n");
	assert_string_equal(world.text,
			    "Memory ran out in my container: the kernel ended a program "
			    "that I had started. I went on without it.");
}

static void test_the_end_of_the_agent(void **state)
{
	(void)state;
	shortage_begin(world.shortage);
	assert_false(shortage_ended_agent(world.shortage, "killed by signal 9", world.text));
	world.kills = 6;
	assert_true(shortage_ended_agent(world.shortage, "killed by signal 9", world.text));
	assert_string_equal(world.text, "memory ran out (limit 256 MB): killed by signal 9");
	assert_false(shortage_ended_agent(world.shortage, "killed by signal 9", world.text));
}

static void test_nothing_is_known(void **state)
{
	(void)state;
	/* Before the first turn. */
	assert_struck(false, "");
	assert_false(shortage_ended_agent(world.shortage, "", world.text));
	world.kills = -1;
	shortage_begin(world.shortage);
	assert_struck(false, "");
	world.kills = 7;
	assert_struck(false, "");
	/* It can be read no more. */
	shortage_begin(world.shortage);
	world.kills = -1;
	assert_struck(false, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once_in_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end_of_the_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_known, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
