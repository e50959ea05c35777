/* SPDX-License-Identifier: MIT */
#include "runner/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/mend.h"
#include "schema/outbound.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/forked.h"
#include "tests/sqlite.h"
#include "tests/test.h"

#define FUSE_TYPE    0x65735546
#define NFS_TYPE     0x6969
#define UNKNOWN_TYPE 0x12345678
#define EXT4_TYPE    0xef53

struct world {
	struct folder folder;
	char path[128], heartbeat[128];
	struct lease *lease;
	int lock_error; /* what the kernel says to a lock; 0: what it thinks */
	long magic;	/* the file system it claims to be; 0: what it is */
	int locks;	/* how often it was asked for */
	bool closes;	/* the folder is closed when it is locked */
	const char *
		replaced; /* appears under outbound.db's name when it is locked for the first time */
};

static struct world world;

/* The linker leads the calls of lease.c here. */

int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, void *argument);
int __real_fstatfs64(int fd, struct statfs *fs);
int __wrap_fstatfs64(int fd, struct statfs *fs);

int __wrap_fcntl64(int fd, int cmd, void *argument)
{
	if (cmd != F_OFD_SETLK)
		return __real_fcntl64(fd, cmd, argument);
	world.locks++;
	if (world.closes)
		(void)chmod(world.folder.path, 0);
	if (world.replaced)
		(void)rename(steal_ptr(world.replaced), world.path);
	if (world.lock_error == 0)
		return __real_fcntl64(fd, cmd, argument);
	errno = world.lock_error;
	if (world.lock_error == EINTR)
		world.lock_error = 0;
	return -1;
}

int __wrap_fstatfs64(int fd, struct statfs *fs)
{
	int r = __real_fstatfs64(fd, fs);

	if (world.magic)
		fs->f_type = world.magic;
	return r;
}

static int setup(void **state)
{
	(void)state;
	world = (struct world){ .lease = NULL };
	folder_make(&world.folder);
	strcpy(world.path, folder_file(&world.folder, "outbound.db"));
	strcpy(world.heartbeat, folder_file(&world.folder, ".heartbeat"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lease_free(world.lease);
	folder_remove(&world.folder);
	return 0;
}

static int take(struct lease **ret_lease, struct err *err)
{
	const struct lease_options options = {
		.workspace = "/workspace",
		.outbound_path = world.path,
		.heartbeat_path = world.heartbeat,
		.lock_ms = 10,
		.fresh_ms = LEASE_FRESH_MS,
		.watch_ms = 50,
	};

	return lease_take(&options, ret_lease, err);
}

static void assert_taken(bool is_certain)
{
	struct err err = { "" };

	if (take(&world.lease, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(lease_is_certain(world.lease), is_certain);
}

static void assert_busy(void)
{
	struct lease *lease = NULL;
	struct err err = { "" };

	assert_int_equal(take(&lease, &err), -EBUSY);
	assert_null(lease);
	assert_string_equal(err.text, "another agent-runner works on /workspace: stop it, or give "
				      "this one a folder of its own");
}

static void make_outbound(const char *more)
{
	sqlite_run(world.path, schema_outbound);
	sqlite_run(world.path, more);
}

#define CLAIM "INSERT INTO processing_ack VALUES ('a', 'processing', datetime('now'))"
#define DONE  "INSERT INTO processing_ack VALUES ('a', 'completed', datetime('now'))"

/* A heartbeat so many milliseconds ago. */
static void beat(int64_t age_ms)
{
	int64_t ms = clock_realtime_ms() - age_ms;
	const struct timeval times[2] = {
		{ ms / 1000, (ms % 1000) * 1000 },
		{ ms / 1000, (ms % 1000) * 1000 },
	};

	folder_write(&world.folder, ".heartbeat", "");
	assert_int_equal(utimes(world.heartbeat, times), 0);
}

/* The lock */

static void test_one_at_a_time(void **state)
{
	(void)state;
	make_outbound(CLAIM);
	beat(0);
	assert_taken(true);
	assert_busy();
	assert_true(world.locks > 2);
	lease_free(steal_ptr(world.lease));
	/* A claim and a heartbeat don't matter where the lock tells. */
	assert_taken(true);
}

static void test_a_missing_file_comes_to_be(void **state)
{
	struct stat st;

	(void)state;
	assert_taken(true);
	assert_int_equal(stat(world.path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_busy();
}

static void test_sqlite_is_not_in_its_way(void **state)
{
	(void)state;
	make_outbound(DONE);
	assert_taken(true);
	/* It locks, writes, and closes the file: ours stays. */
	sqlite_run(world.path, "BEGIN EXCLUSIVE; DELETE FROM processing_ack; COMMIT");
	assert_busy();
}

static void test_a_child_does_not_inherit_it(void **state)
{
	pid_t pid;

	(void)state;
	assert_taken(true);
	pid = fork();
	if (pid == 0) {
		(void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
		_exit(1);
	}
	lease_free(steal_ptr(world.lease));
	/* Until its exec it has it, too. */
	while (take(&world.lease, NULL) == -EBUSY)
		;
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_the_kernel_drops_it_with_the_process(void **state)
{
	int pipes[2];
	pid_t pid;
	char byte;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		(void)!write(pipes[1], take(&world.lease, NULL) == 0 ? "1" : "0", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(byte, '1');
	assert_busy();
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_taken(true);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_a_file_replaced_meanwhile(void **state)
{
	char other[128];

	(void)state;
	make_outbound(DONE);
	strcpy(other, folder_file(&world.folder, "other.db"));
	sqlite_run(other, schema_outbound);
	world.replaced = other;
	assert_taken(true);
	assert_int_equal(world.locks, 2);
	assert_busy();
}

/* One whom a mode keeps out, and who owns the folder. */
static int become_user(void)
{
	if (geteuid() != 0)
		return 0;
	return chown(world.path, 65534, 65534) == 0 && chown(world.folder.path, 65534, 65534) == 0
		       ? setreuid(65534, 65534)
		       : -1;
}

static int take_as_user(struct lease **ret_lease)
{
	struct mend mend = { .seen = { 0 } };
	const struct lease_options options = {
		.workspace = world.folder.path,
		.outbound_path = world.path,
		.heartbeat_path = world.heartbeat,
		.mend = &mend,
		.lock_ms = 50,
		.fresh_ms = 1000,
		.watch_ms = 50,
	};

	return lease_take(&options, ret_lease, NULL);
}

/* What an agent did to it that is not gone yet. */
static int take_what_is_closed(void)
{
	struct lease *lease;

	CHECK(become_user() == 0);
	CHECK(chmod(world.path, 0) == 0 && chmod(world.folder.path, 0) == 0);
	CHECK(take_as_user(&lease) == 0);
	CHECK(lease_error(lease) == 0 && lease_is_certain(lease));
	lease_free(lease);
	return 0;
}

static int take_what_is_closing(void)
{
	struct lease *lease;

	CHECK(become_user() == 0);
	CHECK(take_as_user(&lease) == 0);
	CHECK(world.locks == 1 && lease_error(lease) == 0 && !lease_is_certain(lease));
	lease_free(lease);
	return 0;
}

static void test_a_closed_file(void **state)
{
	(void)state;
	make_outbound(DONE);
	world.magic = EXT4_TYPE;
	assert_int_equal(forked(take_what_is_closed), 0);
}

/* It is there, and under its name there may be another: locked, and yet not certain. */
static void test_a_file_that_is_closed_meanwhile(void **state)
{
	(void)state;
	make_outbound(DONE);
	world.magic = EXT4_TYPE;
	world.closes = true;
	assert_int_equal(forked(take_what_is_closing), 0);
}

static void test_what_cannot_be_opened_is_for_others_to_say(void **state)
{
	(void)state;
	folder_mkdir(&world.folder, "outbound.db");
	assert_taken(false);
	assert_int_equal(world.locks, 0);
	assert_true(lease_error(world.lease) < 0);
}

static void test_an_interrupted_call(void **state)
{
	(void)state;
	world.lock_error = EINTR;
	assert_taken(true);
	assert_int_equal(world.locks, 2);
}

/* Without a lock */

static void test_no_lock_and_no_claim(void **state)
{
	static const int errors[] = { ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL, EPERM };

	(void)state;
	make_outbound(DONE);
	beat(0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		world.lock_error = errors[i];
		assert_taken(false);
		lease_free(steal_ptr(world.lease));
	}
	assert_int_equal(unlink(world.path), 0);
	assert_taken(false);
}

static void test_a_heartbeat_that_stands_still(void **state)
{
	static struct capture capture;
	int64_t before;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	world.lock_error = ENOLCK;
	make_outbound(CLAIM);
	beat(1000);
	before = clock_monotonic_ms();
	assert_taken(false);
	assert_true(clock_monotonic_ms() - before >= 50);
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: messages are claimed, and the heartbeat is "
			    "fresh: waiting whether it goes on\n");
}

static void test_an_old_heartbeat_is_not_waited_for(void **state)
{
	static struct capture capture;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	world.lock_error = ENOLCK;
	make_outbound(CLAIM);
	assert_taken(false);
	lease_free(steal_ptr(world.lease));
	beat(LEASE_FRESH_MS + 1000);
	assert_taken(false);
	assert_string_equal(capture_stop(&capture), "");
}

/* Somebody beats every few milliseconds, by a clock that may be another. */
static void assert_beating_is_seen(int64_t age_ms)
{
	pid_t pid;

	beat(age_ms);
	pid = fork();
	if (pid == 0)
		for (;;) {
			const struct timespec span = { 0, 5000000 };

			beat(age_ms);
			(void)nanosleep(&span, NULL);
		}
	assert_busy();
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_a_heartbeat_that_goes_on(void **state)
{
	static struct capture capture;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	make_outbound(CLAIM);
	world.lock_error = ENOLCK;
	assert_beating_is_seen(0);
	assert_beating_is_seen(-60000);
	/* A lock that another machine does not see tells nothing. */
	world.lock_error = 0;
	world.magic = FUSE_TYPE;
	assert_beating_is_seen(0);
	world.magic = NFS_TYPE;
	assert_beating_is_seen(0);
	(void)capture_stop(&capture);
}

static void test_a_shared_file_system(void **state)
{
	static const struct {
		long type;
		bool is_certain;
	} rows[] = {
		{ FUSE_TYPE, false }, { NFS_TYPE, false },  { UNKNOWN_TYPE, false },
		{ EXT4_TYPE, true },  { 0x9123683e, true }, { (int)0xf2f52010, true },
	};

	(void)state;
	make_outbound(DONE);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world.magic = rows[i].type;
		assert_taken(rows[i].is_certain);
		/* A lock that is seen counts everywhere. */
		assert_busy();
		lease_free(steal_ptr(world.lease));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_missing_file_comes_to_be, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sqlite_is_not_in_its_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_child_does_not_inherit_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_kernel_drops_it_with_the_process, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_file_replaced_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_closed_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_closed_meanwhile, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_opened_is_for_others_to_say,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_interrupted_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_lock_and_no_claim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_heartbeat_that_stands_still, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_an_old_heartbeat_is_not_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_heartbeat_that_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_shared_file_system, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
