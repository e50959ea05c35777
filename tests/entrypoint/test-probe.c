/* SPDX-License-Identifier: MIT */
#include "entrypoint/probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tests/test.h"

static int tell_who(void *data, struct err *err)
{
	int *calls = data;

	(*calls)++;
	return err_set(err, 7, "uid %u gid %u groups %d", geteuid(), getegid(), getgroups(0, NULL));
}

static void test_as_ourselves(void **state)
{
	struct privileges_user user = { .uid = geteuid(), .gid = getegid() };
	struct err err;
	int calls = 0;

	(void)state;
	assert_int_equal(probe_run(NULL, tell_who, &calls, &err), 7);
	assert_int_equal(probe_run(&user, tell_who, &calls, &err), 7);
	/* No child: the counter is ours. */
	assert_int_equal(calls, 2);
}

/* Only root can be somebody else; for others it changes nothing, and says the truth about them. */
static void test_as_somebody_else(void **state)
{
	struct privileges_user user = { .uid = 4321, .gid = 4322, .groups = { 5 }, .n_groups = 1 };
	struct err err = { .text = "" };
	int calls = 0, dumpable = prctl(PR_GET_DUMPABLE);
	char wanted[64];

	(void)state;
	assert_int_equal(probe_run(&user, tell_who, &calls, &err), 7);
	assert_int_equal(prctl(PR_GET_DUMPABLE), dumpable);
	if (geteuid() == 0) {
		assert_string_equal(err.text, "uid 4321 gid 4322 groups 1");
	} else {
		(void)snprintf(wanted, sizeof(wanted), "uid %u gid %u", geteuid(), getegid());
		assert_non_null(strstr(err.text, wanted));
	}
	assert_int_equal(geteuid(), getuid());
}

static int die(void *data, struct err *err)
{
	(void)data;
	(void)err;
	if (geteuid() == 4321)
		raise(SIGKILL);
	return 1;
}

static void test_a_child_that_dies(void **state)
{
	struct privileges_user user = { .uid = 4321, .gid = 4321 };
	struct err err = { .text = "" };
	void (*old)(int) = signal(SIGCHLD, SIG_IGN);
	int r = probe_run(&user, die, NULL, &err), calls = 0;

	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(r, -ECHILD);
		assert_string_equal(err.text, "the probe for uid 4321 ended without an answer: "
					      "No child processes");
	} else {
		assert_int_equal(r, 1);
	}
	/* And with SIGCHLD ignored an answer is still an answer. */
	assert_int_equal(probe_run(&user, tell_who, &calls, &err), 7);
	signal(SIGCHLD, old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_ourselves),
		cmocka_unit_test(test_as_somebody_else),
		cmocka_unit_test(test_a_child_that_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
