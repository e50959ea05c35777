/* SPDX-License-Identifier: MIT */
#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/forked.h"

static void test_read_file(void **state)
{
	char path[] = "/tmp/test-fd-XXXXXX";
	cleanup_close int fd = mkstemp(path);
	cleanup_free char *text = NULL;
	struct err err;
	size_t len;

	(void)state;
	assert_int_equal(fd_write_all(fd, "ab\0c", 4), 0);
	assert_int_equal(fd_read_file(path, 4, &text, &len, &err), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(text, "ab\0c", 5);
	free(steal_ptr(text));
	assert_int_equal(fd_read_file(path, 3, &text, &len, &err), -EFBIG);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fd_read_regular(fd, "it", 3, &text, &len, &err), -EFBIG);
	assert_string_equal(err.text, "it: longer than 3 bytes");
	assert_non_null(strstr(err.text, "longer than 3 bytes"));
	unlink(path);
	assert_int_equal(fd_read_file(path, 3, &text, &len, &err), -ENOENT);
}

static void test_read_file_takes_regular_files_only(void **state)
{
	char dir[] = "/tmp/test-fd-XXXXXX", path[64];
	char *text = NULL;
	struct err err;
	size_t len;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(fd_read_file(dir, 10, &text, &len, &err), -EISDIR);
	(void)snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(fd_read_file(path, 10, &text, &len, &err), -EINVAL);
	unlink(path);
	/* To open it would make a terminal, or fail where there is none. */
	assert_int_equal(symlink("/dev/ptmx", path), 0);
	assert_int_equal(fd_read_file(path, 10, &text, &len, &err), -EINVAL);
	unlink(path);
	rmdir(dir);
}

static void test_flags(void **state)
{
	cleanup_close int fd = open("/dev/null", O_RDONLY);

	(void)state;
	fd_cloexec_from(fd);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fd_set_cloexec(fd, false), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(fd_set_nonblock(fd, true), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(-1, true), -EBADF);
}

#define MANY 300000

static int pass_many_through_a_non_blocking_pipe(void)
{
	cleanup_free char *text = calloc(1, MANY), *back = NULL;
	int ends[2];
	size_t len = 0;

	CHECK(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
	if (fork() == 0) {
		close(ends[0]);
		/* The reader finds nothing at first. */
		(void)poll(NULL, 0, 20);
		_exit(fd_write_all(ends[1], text, MANY) != 0);
	}
	close(ends[1]);
	CHECK(fd_read_all(ends[0], MANY, &back, &len, NULL) == 0);
	CHECK(len == MANY);
	return 0;
}

/* Whoever holds the other end of stdin or stdout decides about O_NONBLOCK, too. */
static void test_non_blocking_fds_are_waited_for(void **state)
{
	(void)state;
	assert_int_equal(forked(pass_many_through_a_non_blocking_pipe), 0);
}

static void test_standard_streams_are_filled(void **state)
{
	int saved = dup(STDIN_FILENO), fd;

	(void)state;
	close(STDIN_FILENO);
	assert_int_equal(fd_open_standard(), 0);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd > STDERR_FILENO);
	close(fd);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_file),
		cmocka_unit_test(test_read_file_takes_regular_files_only),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_non_blocking_fds_are_waited_for),
		cmocka_unit_test(test_standard_streams_are_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
