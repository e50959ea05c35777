/* SPDX-License-Identifier: MIT */
#include "runner/tenure.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/inbound.h"
#include "tests/capture.h"
#include "tests/database.h"
#include "tests/folder.h"
#include "tests/forked.h"
#include "tests/sqlite.h"
#include "tests/test.h"

static struct folder folder;
static struct capture capture;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	folder_mkdir(&folder, "agent");
	database_exec(folder_file(&folder, "inbound.db"), schema_inbound);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static void on_taken(void *userdata)
{
	(*(int *)userdata)++;
}

static void test_names(void **state)
{
	struct tenure *t;

	(void)state;
	assert_int_equal(tenure_new("/somewhere", &t), 0);
	assert_string_equal(tenure_path(t, TENURE_INBOUND), "/somewhere/inbound.db");
	assert_string_equal(tenure_path(t, TENURE_OUTBOUND), "/somewhere/outbound.db");
	assert_string_equal(tenure_path(t, TENURE_HEARTBEAT), "/somewhere/.heartbeat");
	assert_string_equal(tenure_path(t, TENURE_CONFIG), "/somewhere/agent/container.json");
	assert_null(tenure_outbound(t));
	tenure_free(t);
	tenure_free(NULL);
}

/* In another process: a lock does not keep its own owner out. */
static int begin_elsewhere(void)
{
	struct tenure *t;
	struct err err = { "" };
	int taken = 0, r;

	CHECK(tenure_new(folder.path, &t) == 0);
	r = tenure_begin(t, on_taken, &taken, &err);
	CHECK(r == 0 || r == -EBUSY);
	CHECK((r == 0) == (tenure_outbound(t) != NULL));
	tenure_free(t);
	return r == 0 ? 0 : 1;
}

static void test_one_at_a_time(void **state)
{
	struct err err = { "" };
	struct tenure *t;
	int taken = 0;

	(void)state;
	assert_int_equal(tenure_new(folder.path, &t), 0);
	assert_int_equal(tenure_begin(t, on_taken, &taken, &err), 0);
	assert_non_null(tenure_outbound(t));
	assert_int_equal(forked(begin_elsewhere), 1);
	tenure_end(t);
	assert_null(tenure_outbound(t));
	assert_int_equal(forked(begin_elsewhere), 0);
	/* The same one again. */
	assert_int_equal(tenure_begin(t, on_taken, &taken, &err), 0);
	assert_int_equal(taken, 0);
	tenure_free(t);
}

static void test_lost(void **state)
{
	struct err err = { "" };
	struct tenure *t;
	int taken = 0;

	(void)state;
	assert_int_equal(tenure_new(folder.path, &t), 0);
	assert_int_equal(tenure_begin(t, on_taken, &taken, &err), 0);
	assert_null(tenure_lost(t));
	assert_int_equal(unlink(tenure_path(t, TENURE_OUTBOUND)), 0);
	assert_string_equal(tenure_lost(t), "it was deleted or replaced");
	tenure_free(t);
}

static void test_closed_files_are_opened_again(void **state)
{
	const char *path = folder_file(&folder, "inbound.db");
	struct tenure *t;
	struct stat st;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(tenure_new(folder.path, &t), 0);
	assert_int_equal(chmod(path, 0), 0);
	/* It has just been looked after. */
	tenure_mend(t, 60 * 1000);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0);
	tenure_mend(t, 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0400, 0400);
	tenure_free(t);
	assert_non_null(strstr(capture_stop(&capture), "inbound.db"));
}

/* A lock that does not go is waited for, but not by one who is to end. */
static void test_told_to_end(void **state)
{
	struct err err = { "" };
	sigset_t term, before;
	struct tenure *t;
	sqlite3 *holder;
	int taken = 0, signo;

	(void)state;
	assert_int_equal(tenure_new(folder.path, &t), 0);
	assert_int_equal(tenure_begin(t, on_taken, &taken, &err), 0);
	tenure_end(t);
	assert_int_equal(sqlite3_open(tenure_path(t, TENURE_OUTBOUND), &holder), SQLITE_OK);
	assert_int_equal(sqlite3_exec(holder, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &term, &before), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_int_equal(tenure_begin(t, on_taken, &taken, &err), -EINTR);
	assert_string_equal(err.text, "ended before it could start");
	assert_int_equal(sigwait(&term, &signo), 0);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(sqlite3_close(holder), SQLITE_OK);
	tenure_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_files_are_opened_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_told_to_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
