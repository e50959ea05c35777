/* SPDX-License-Identifier: MIT */
#include "entrypoint/init.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit-code.h"
#include "entrypoint/signals.h"
#include "tests/capture.h"
#include "tests/forked.h"

/* What the processes of a test tell each other. */
static struct {
	volatile int starts;
	volatile int other_starts;
	volatile int rooms, starts_before_room;
	volatile pid_t init;
	volatile int64_t started_ms;
	volatile int64_t ended_ms;
} * shared;

/* Its end is the end of every process that a test made. */
static int alive[2];

/* Runs a job as init in a process of its own. */
static struct init_spec spec;

static int run_init(void)
{
	struct err err = { "" };
	int r;

	shared->init = getpid();
	if (signals_take() < 0)
		return 254;
	shared->started_ms = clock_monotonic_ms();
	r = init_run(&spec, &err);
	shared->ended_ms = clock_monotonic_ms();
	return r < 0 ? 253 : r;
}

static void reset(void)
{
	memset((void *)(uintptr_t)shared, 0, sizeof(*shared));
}

/* After reset(): a helper may be waiting for init already. */
static int run_prepared(const struct init_job *job, int64_t grace_ms)
{
	char byte;
	int code;

	spec = (struct init_spec){ .job = job, .grace_ms = grace_ms };
	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	code = forked(run_init);
	close(alive[1]);
	/* Waits for whatever init might have left behind: the test would hang, and that be seen. */
	assert_int_equal(read(alive[0], &byte, 1), 0);
	close(alive[0]);
	return code;
}

static int run(const struct init_job *job, int64_t grace_ms)
{
	reset();
	return run_prepared(job, grace_ms);
}

static int64_t run_ms(void)
{
	return shared->ended_ms - shared->started_ms;
}

/* Codes */

static int job_exit(void *userdata)
{
	(void)userdata;
	return 42;
}

static int job_die(void *userdata)
{
	(void)userdata;
	return raise(SIGKILL);
}

static void test_codes(void **state)
{
	static const struct init_job exits = { .what = "the job", .run = job_exit };
	static const struct init_job dies = { .what = "the job", .run = job_die };

	(void)state;
	assert_int_equal(run(&exits, -1), 42);
	assert_int_equal(run(&dies, -1), 137);
}

/* Being asked to end */

static void __attribute__((noreturn)) wait_for_ever(void)
{
	for (;;)
		(void)pause();
}

static int job_ask(void *userdata)
{
	(void)userdata;
	(void)kill(getppid(), SIGTERM);
	wait_for_ever();
}

static int job_ask_in_vain(void *userdata)
{
	(void)signal(SIGTERM, SIG_IGN);
	return job_ask(userdata);
}

static void test_end(void **state)
{
	static const struct init_job asks = { .what = "the job", .run = job_ask };
	static const struct init_job begins = {
		.what = "the job",
		.run = job_ask,
		.restarts = true,
	};
	static const struct init_job in_vain = { .what = "the job", .run = job_ask_in_vain };
	static struct capture capture;
	int code;

	(void)state;
	assert_int_equal(run(&asks, -1), 143);
	/* A loop that was ended before it could handle the signal. */
	assert_int_equal(run(&begins, -1), 0);
	capture_start(&capture, STDERR_FILENO);
	code = run(&in_vain, 50);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: the job did not end in time: killing it\n");
	assert_int_equal(code, 137);
	assert_in_range(run_ms(), 50, 2000);
}

static int job_leave_orphans(void *userdata)
{
	int ready[2];
	char byte;

	(void)userdata;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			if (i > 0)
				(void)signal(SIGTERM, SIG_IGN);
			if (i > 1)
				(void)setsid();
			(void)!write(ready[1], "x", 1);
			wait_for_ever();
		}
	for (int i = 0; i < 3; i++)
		(void)!read(ready[0], &byte, 1);
	return 5;
}

/* run() itself sees that nobody is left. */
static void test_leftovers(void **state)
{
	static const struct init_job leaves = { .what = "the job", .run = job_leave_orphans };

	(void)state;
	assert_int_equal(run(&leaves, 50), 5);
	assert_in_range(run_ms(), 50, 2000);
}

/* Without a main child */

static void test_keep_alive(void **state)
{
	static const struct init_job nothing = { .what = "nothing" };
	pid_t helper;

	(void)state;
	reset();
	helper = fork();
	if (helper == 0) {
		while (shared->init == 0)
			(void)usleep(1000);
		/* Nobody is there for it. */
		(void)kill(shared->init, SIGUSR1);
		(void)kill(shared->init, SIGINT);
		_exit(0);
	}
	assert_int_equal(run_prepared(&nothing, -1), 0);
	assert_int_equal(waitpid(helper, NULL, 0), helper);
}

/* Crashes */

static int job_crash_once(void *userdata)
{
	(void)userdata;
	if (shared->starts++ == 0)
		return raise(SIGSEGV);
	return 78;
}

static int job_fail_always(void *userdata)
{
	(void)userdata;
	shared->starts++;
	return EXIT_CODE_INTERNAL;
}

static int job_die_of_forwarded(void *userdata)
{
	(void)userdata;
	shared->starts++;
	(void)kill(getppid(), SIGHUP);
	wait_for_ever();
}

static int job_crash_with_orphan(void *userdata)
{
	(void)userdata;
	if (shared->starts++ > 0)
		return 0;
	(void)job_leave_orphans(NULL);
	return EXIT_CODE_INTERNAL;
}

static void test_restart(void **state)
{
	static const struct init_job crashes = {
		.what = "the job",
		.run = job_crash_once,
		.restarts = true,
	};
	static const struct init_job forwarded = {
		.what = "the job",
		.run = job_die_of_forwarded,
		.restarts = true,
	};
	static const struct init_job orphans = {
		.what = "the job",
		.run = job_crash_with_orphan,
		.restarts = true,
	};
	static struct capture capture;
	int code;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	code = run(&crashes, 800);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: error: the job crashed with signal 11: starting it "
			    "again in 100 ms\n");
	/* Another code than 70 is an answer, not a crash. */
	assert_int_equal(code, 78);
	assert_int_equal(shared->starts, 2);
	assert_true(run_ms() >= 100);

	/* What somebody sent through us is what he wanted. */
	assert_int_equal(run(&forwarded, 800), 128 + SIGHUP);
	assert_int_equal(shared->starts, 1);

	/* What the crashed one left is gone long before the grace period could end it. */
	assert_int_equal(run(&orphans, 60000), 0);
	assert_int_equal(shared->starts, 2);
}

static int job_be_killed_once(void *userdata)
{
	(void)userdata;
	if (shared->starts++ == 0)
		return raise(SIGKILL);
	return shared->starts == 2 ? EXIT_CODE_INTERNAL : 78;
}

static void make_room(void *userdata)
{
	(void)userdata;
	shared->starts_before_room = shared->starts;
	if (getpid() == shared->init)
		shared->rooms++;
}

/* After the kernel's SIGKILL, before the next start; not after another crash. */
static void test_room_for_the_next(void **state)
{
	static const struct init_job killed = {
		.what = "the job",
		.run = job_be_killed_once,
		.restarts = true,
		.make_room = make_room,
	};
	static struct capture capture;
	int code;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	code = run(&killed, 800);
	(void)capture_stop(&capture);
	assert_int_equal(code, 78);
	assert_int_equal(shared->starts, 3);
	assert_int_equal(shared->rooms, 1);
	assert_int_equal(shared->starts_before_room, 1);
}

static void test_giving_up(void **state)
{
	static const struct init_job fails = {
		.what = "the job",
		.run = job_fail_always,
		.restarts = true,
	};
	static struct capture capture;
	int code;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	code = run(&fails, 800);
	assert_string_equal(
		capture_stop(&capture),
		"agent-runner: error: the job failed with code 70: starting it again in 100 ms\n"
		"agent-runner: error: the job failed with code 70: starting it again in 200 ms\n"
		"agent-runner: error: the job failed with code 70: starting it again in 400 ms\n"
		"agent-runner: error: the job failed with code 70: starting it again in 800 ms\n"
		"agent-runner: error: the job failed with code 70: 5 times within a minute, "
		"giving up\n");
	assert_int_equal(code, EXIT_CODE_INTERNAL);
	assert_int_equal(shared->starts, 5);
}

/* Input */

static int job_read(void *userdata)
{
	char text[8] = "";

	(void)userdata;
	shared->starts++;
	return read(STDIN_FILENO, text, sizeof(text)) > 0 ? text[0] : INIT_NEXT;
}

static int job_other(void *userdata)
{
	(void)userdata;
	shared->other_starts++;
	return 9;
}

static const struct init_job other = { .what = "the other", .run = job_other };
static const struct init_job reads = {
	.what = "the job",
	.run = job_read,
	.awaits_input = true,
	.next = &other,
};

/* Stdin is a pipe into which a helper writes text (NULL: sends us SIGTERM), after a while. */
static int run_with_input(const char *text)
{
	int ends[2], saved = dup(STDIN_FILENO), code;
	pid_t helper;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	reset();
	helper = fork();
	if (helper == 0) {
		while (shared->init == 0)
			(void)usleep(1000);
		(void)usleep(20000);
		if (shared->starts > 0)
			_exit(1);
		if (!text)
			(void)kill(shared->init, SIGTERM);
		else
			(void)!write(ends[1], text, strlen(text));
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	code = run_prepared(&reads, 800);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
	assert_int_equal(waitpid(helper, &saved, 0), helper);
	/* It saw no process before there was input. */
	assert_int_equal(saved, 0);
	return code;
}

static void test_input(void **state)
{
	(void)state;
	assert_int_equal(run_with_input("A"), 'A');
	assert_int_equal(shared->other_starts, 0);
	assert_int_equal(run_with_input(""), 9);
	assert_int_equal(shared->starts, 1);
	assert_int_equal(shared->other_starts, 1);
	assert_int_equal(run_with_input(NULL), 143);
	assert_int_equal(shared->starts, 0);
}

/* What makes ready for another one */

static int job_prepare(void *userdata)
{
	(void)job_leave_orphans(userdata);
	return INIT_NEXT;
}

static int job_prepare_while_ended(void *userdata)
{
	sigset_t end;
	int signo;

	(void)userdata;
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &end, NULL);
	(void)kill(getppid(), SIGTERM);
	(void)sigwait(&end, &signo);
	return INIT_NEXT;
}

static void test_preparation(void **state)
{
	static const struct init_job nothing = { .what = "nothing" };
	struct init_job prepares = {
		.what = "the job",
		.run = job_prepare,
		.prepares = true,
		.next = &other,
	};
	static struct capture capture;
	int code;

	(void)state;
	/* What it left is gone before the next one runs: the end has not to wait for it. */
	assert_int_equal(run(&prepares, 60000), 9);
	assert_int_equal(shared->other_starts, 1);
	/* It fails: that is the end. */
	prepares.run = job_exit;
	assert_int_equal(run(&prepares, -1), 42);
	assert_int_equal(shared->other_starts, 0);
	/* Done, but nobody wants what follows any more. */
	prepares.run = job_prepare_while_ended;
	assert_int_equal(run(&prepares, -1), 143);
	assert_int_equal(shared->other_starts, 0);
	prepares.next = &nothing;
	assert_int_equal(run(&prepares, -1), 0);
	/* The time without limit is not its own. */
	prepares.run = job_ask_in_vain;
	capture_start(&capture, STDERR_FILENO);
	code = run(&prepares, -1);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: the job did not end in time: killing it\n");
	assert_int_equal(code, 137);
	assert_in_range(run_ms(), 800, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_leftovers),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_giving_up),
		cmocka_unit_test(test_room_for_the_next),
		cmocka_unit_test(test_giving_up),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_preparation),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return shared == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
