/* SPDX-License-Identifier: MIT */
#include "entrypoint/landlock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/forked.h"

static void test_rights_by_version(void **state)
{
	(void)state;
	assert_int_equal(landlock_rights(0), 0);
	assert_int_equal(landlock_rights(1), 0x1fff);
	assert_int_equal(landlock_rights(2), 0x3fff);
	assert_int_equal(landlock_rights(3), 0x7fff);
	assert_int_equal(landlock_rights(4), 0x7fff);
	assert_int_equal(landlock_rights(5), 0xffff);
	/* What came later is left alone. */
	assert_int_equal(landlock_rights(99), 0xffff);
}

/* A ruleset of this version in force, which allows to read below /usr and nothing else. */
static int confine(int version, uint64_t tcp)
{
	const struct landlock_spec spec = { .version = version, .tcp = tcp };
	int ruleset = landlock_open(&spec, NULL), usr = open("/usr", O_PATH | O_CLOEXEC), r;

	if (ruleset < 0 || usr < 0)
		return -1;
	if (!(fcntl(ruleset, F_GETFD) & FD_CLOEXEC))
		return -1;
	r = landlock_allow_file(ruleset, usr, LANDLOCK_READ_FILE | LANDLOCK_READ_DIR);
	if (r == 0 && tcp)
		r = landlock_allow_port(ruleset, 4321, tcp);
	if (r == 0)
		r = prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
	if (r == 0)
		r = landlock_enforce(ruleset, NULL);
	close(ruleset);
	close(usr);
	return r;
}

static int check_files(int version)
{
	CHECK(confine(version, 0) == 0);
	CHECK(open("/usr", O_RDONLY | O_CLOEXEC) >= 0);
	CHECK(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	CHECK(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) < 0 && errno == EACCES);
	return 0;
}

static int enforce_oldest(void)
{
	return check_files(1);
}

static int enforce_newest(void)
{
	return check_files(landlock_version());
}

static int enforce_each(void)
{
	for (int version = 1; version <= landlock_version() && version <= 15; version++)
		CHECK(confine(version, 0) == 0);
	return 0;
}

static int refuse_the_seventeenth(void)
{
	const struct landlock_spec spec = { .version = 1 };
	struct err err = { .text = "" };
	int ruleset;

	for (int i = 0; i < 16; i++)
		CHECK(confine(1, 0) == 0);
	ruleset = landlock_open(&spec, &err);
	CHECK(ruleset >= 0);
	CHECK(landlock_enforce(ruleset, &err) == -E2BIG);
	CHECK(strcmp(err.text, "Landlock: Argument list too long") == 0);
	return 0;
}

/* Without no_new_privs, and without the capability, the kernel refuses. */
static int refuse_with_new_privileges(void)
{
	const struct landlock_spec spec = { .version = 1 };
	int ruleset;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1)
		return 0;
	if (geteuid() == 0)
		CHECK(setresuid(4321, 4321, 4321) == 0);
	ruleset = landlock_open(&spec, NULL);
	CHECK(ruleset >= 0);
	CHECK(landlock_enforce(ruleset, NULL) == -EPERM);
	return 0;
}

static int check_signals(void)
{
	pid_t child;

	CHECK(kill(getppid(), 0) == 0);
	CHECK(confine(landlock_version(), 0) == 0);
	CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
	child = fork();
	if (child == 0) {
		(void)pause();
		_exit(1);
	}
	CHECK(kill(child, SIGKILL) == 0);
	return 0;
}

static int connect_to(uint16_t port)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	r = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

static int check_ports(void)
{
	CHECK(confine(landlock_version(), LANDLOCK_CONNECT_TCP) == 0);
	/* Nobody listens there, but it may try. */
	CHECK(connect_to(4321) == -ECONNREFUSED);
	CHECK(connect_to(4322) == -EACCES);
	return 0;
}

static int check_abstract_sockets(void)
{
	const struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "\0agent-test" };
	int theirs = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ours = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(bind(theirs, (const struct sockaddr *)&name, sizeof(name)) == 0);
	CHECK(listen(theirs, 1) == 0);
	CHECK(confine(landlock_version(), 0) == 0);
	CHECK(connect(ours, (const struct sockaddr *)&name, sizeof(name)) < 0 && errno == EPERM);
	return 0;
}

static void test_files(void **state)
{
	(void)state;
	if (landlock_version() == 0)
		test_skip("this kernel has no Landlock");
	assert_int_equal(forked(enforce_oldest), 0);
	assert_int_equal(forked(enforce_newest), 0);
	assert_int_equal(forked(enforce_each), 0);
}

static void test_refusals(void **state)
{
	(void)state;
	if (landlock_version() == 0)
		test_skip("this kernel has no Landlock");
	assert_int_equal(forked(refuse_the_seventeenth), 0);
	assert_int_equal(forked(refuse_with_new_privileges), 0);
}

static void test_scopes_and_ports(void **state)
{
	(void)state;
	if (landlock_version() < LANDLOCK_VERSION_SCOPES)
		test_skip("this kernel's Landlock has no scopes");
	assert_int_equal(forked(check_signals), 0);
	assert_int_equal(forked(check_ports), 0);
	assert_int_equal(forked(check_abstract_sockets), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights_by_version),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_scopes_and_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
