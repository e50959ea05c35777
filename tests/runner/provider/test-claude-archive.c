/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-archive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

struct world {
	char base[64];
	char folder[96]; /* of archives */
	struct loop *loop;
	struct loop_timer *timer;
	struct claude_archive *archive;
};

static void on_timer(void *userdata)
{
	struct world *w = userdata;

	/* Looks again and again, until the archive is there. */
	if (access(w->folder, F_OK) == 0)
		loop_stop(w->loop, 0);
	else
		loop_timer_arm(w->timer, 5);
}

static void make_folder(const struct world *w, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s%s", w->base, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int setup(void **state)
{
	static struct world world;
	char path[160];
	FILE *file;

	world = (struct world){ .archive = NULL };
	strcpy(world.base, "/tmp/test-claude-archive-XXXXXX");
	assert_non_null(mkdtemp(world.base));
	make_folder(&world, "/.claude");
	make_folder(&world, "/.claude/projects");
	make_folder(&world, "/.claude/projects/p");
	snprintf(path, sizeof(path), "%s/.claude/projects/p/a-1.jsonl", world.base);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs("{\"type\":\"user\",\"message\":{\"content\":\"hello\"}}\n", file);
	fclose(file);
	snprintf(world.folder, sizeof(world.folder), "%s/conversations", world.base);
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(loop_timer_new(world.loop, on_timer, &world, &world.timer), 0);
	unsetenv("CLAUDE_CONFIG_DIR");
	setenv("HOME", world.base, 1);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	claude_archive_free(w->archive);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	snprintf(command, sizeof(command), "rm -r %s", w->base);
	assert_int_equal(system(command), 0);
	return 0;
}

static void make(struct world *w, const char *folder)
{
	const struct provider_query query = { .loop = w->loop, .archive_dir = folder };

	assert_int_equal(claude_archive_new(&query, &w->archive), 0);
}

static void test_archived_a_moment_later(void **state)
{
	struct world *w = *state;

	make(w, w->folder);
	claude_archive_soon(w->archive, "a-1");
	assert_int_equal(access(w->folder, F_OK), -1);
	loop_timer_arm(w->timer, 5);
	assert_int_equal(loop_run(w->loop, NULL), 0);
}

static void test_archived_at_the_end_at_the_latest(void **state)
{
	struct world *w = *state;

	make(w, w->folder);
	claude_archive_finish(w->archive);
	assert_int_equal(access(w->folder, F_OK), -1);
	claude_archive_soon(w->archive, "a-1");
	claude_archive_finish(w->archive);
	assert_int_equal(access(w->folder, F_OK), 0);
}

static void test_config_folder_from_the_environment(void **state)
{
	struct world *w = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/.claude", w->base);
	setenv("CLAUDE_CONFIG_DIR", path, 1);
	setenv("HOME", "/nonexistent", 1);
	make(w, w->folder);
	claude_archive_soon(w->archive, "a-1");
	claude_archive_finish(w->archive);
	assert_int_equal(access(w->folder, F_OK), 0);
}

static void test_nowhere_to_archive_to(void **state)
{
	struct world *w = *state;

	make(w, NULL);
	claude_archive_soon(w->archive, "a-1");
	claude_archive_finish(w->archive);
	assert_int_equal(access(w->folder, F_OK), -1);
}

static void test_no_transcript_is_no_failure(void **state)
{
	struct world *w = *state;

	make(w, w->folder);
	claude_archive_soon(w->archive, "b-2");
	claude_archive_finish(w->archive);
	claude_archive_soon(w->archive, "not an id");
	claude_archive_finish(w->archive);
	assert_int_equal(access(w->folder, F_OK), -1);
	claude_archive_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_archived_a_moment_later),
		TEST(test_archived_at_the_end_at_the_latest),
		TEST(test_config_folder_from_the_environment),
		TEST(test_nowhere_to_archive_to),
		TEST(test_no_transcript_is_no_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
