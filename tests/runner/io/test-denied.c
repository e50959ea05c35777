/* SPDX-License-Identifier: MIT */
#include "runner/io/denied.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "tests/capture.h"
#include "tests/test.h"

/* A process under a filter, and the loop that hears of its calls. */
struct world {
	struct loop *loop;
	struct denied *denied;
	struct denied_source *source;
	struct loop_timer *timer;
	struct loop_source *watch;
	pid_t pid;
	int result[2]; /* what the process found out */
	int found;
};

static const char *name_of(uint32_t arch, int number)
{
	(void)arch;
	return number == SYS_acct ? "acct" : NULL;
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static void on_result(void *userdata, uint32_t events)
{
	struct world *w = userdata;
	int found;

	(void)events;
	if (read(w->result[0], &found, sizeof(found)) == (ssize_t)sizeof(found))
		w->found = found;
	loop_stop(w->loop, 0);
}

static int setup(void **state)
{
	static struct world world;
	struct err err;

	world = (struct world){ .pid = -1, .found = -1 };
	assert_int_equal(loop_new(&world.loop, &err), 0);
	if (denied_new(world.loop, name_of, &world.denied, &err) < 0)
		return -1;
	assert_int_equal(loop_timer_new(world.loop, on_timeout, &world, &world.timer), 0);
	assert_int_equal(pipe2(world.result, O_CLOEXEC), 0);
	assert_int_equal(
		loop_add_fd(world.loop, world.result[0], EPOLLIN, on_result, &world, &world.watch),
		0);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->pid > 0) {
		(void)kill(w->pid, SIGKILL);
		(void)waitpid(w->pid, NULL, 0);
	}
	denied_source_free(w->source);
	denied_free(w->denied);
	loop_source_free(w->watch);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	close(w->result[0]);
	close(w->result[1]);
	return 0;
}

/* acct(2) and swapoff(2) are asked about; both fail harmlessly in any case. */
static int install(void)
{
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapoff, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(rows) / sizeof(rows[0]), rows };

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

static void hand_over(int socket, int listener)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &listener, sizeof(listener));
	(void)!sendmsg(socket, &message, 0);
}

/* Runs fn under the filter in a process of its own; what it returns is found by the loop. */
static void start(struct world *w, int (*fn)(void))
{
	int fd = -1, found;

	assert_int_equal(denied_watch(w->denied, &w->source, &fd), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	w->pid = fork();
	if (w->pid == 0) {
		int listener;

		/* As exec does: it must not hold the loop's end itself. */
		for (int i = STDERR_FILENO + 1; i < 64; i++)
			if (i != fd && i != w->result[1])
				close(i);
		listener = install();
		hand_over(fd, listener);
		close(listener);
		close(fd);
		found = fn();
		(void)!write(w->result[1], &found, sizeof(found));
		_exit(0);
	}
	close(fd);
}

static int run(struct world *w, int64_t patience_ms)
{
	struct err err;

	loop_timer_arm(w->timer, patience_ms);
	return loop_run(w->loop, &err);
}

static int ask_both(void)
{
	for (int i = 0; i < 3; i++)
		if (syscall(SYS_acct, "/nowhere") != -1 || errno != EPERM)
			return 1;
	if (syscall(SYS_swapoff, "/nowhere") != -1)
		return 2;
	return errno;
}

static void test_a_call_is_denied_named_and_counted(void **state)
{
	static struct capture capture;
	struct world *w = *state;
	const char *text;
	int r;

	start(w, ask_both);
	capture_start(&capture, STDERR_FILENO);
	r = run(w, 5000);
	denied_report(w->denied);
	denied_report(w->denied);
	text = capture_stop(&capture);
	assert_int_equal(r, 0);
	assert_int_equal(w->found, EPERM);
	assert_string_equal(
		text,
		"agent-runner: warning: the agent tried acct(2): denied (protection SECCOMP)\n"
		"agent-runner: warning: the agent tried unknown(2): denied (protection SECCOMP)\n"
		"agent-runner: calls denied to the agent: acct 3, unknown 1\n");
}

static int ask(void)
{
	(void)syscall(SYS_acct, "/nowhere");
	return errno;
}

/* Whoever waits for an answer hears it, too. */
static void test_once_nobody_listens_the_kernel_answers(void **state)
{
	struct world *w = *state;

	start(w, ask);
	/* Until the listener is here: the call that waits then is not answered. */
	usleep(50 * 1000);
	denied_source_free(steal_ptr(w->source));
	assert_int_equal(run(w, 5000), 0);
	assert_int_equal(w->found, ENOSYS);
}

static int ask_after_one_was_killed(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(ask());
	/* Time for it to ask. Nobody answers yet. */
	usleep(50 * 1000);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return ask();
}

static void test_one_that_is_killed_while_it_asks(void **state)
{
	struct world *w = *state;

	start(w, ask_after_one_was_killed);
	usleep(150 * 1000);
	assert_int_equal(run(w, 5000), 0);
	assert_int_equal(w->found, EPERM);
}

static int exit_at_once(void)
{
	_exit(0);
}

/* Neither a filter without processes nor a socket without a sender wakes the loop for ever. */
static void test_when_all_are_gone_there_is_quiet(void **state)
{
	struct world *w = *state;
	int64_t before;
	struct timespec cpu;

	start(w, exit_at_once);
	assert_int_equal(run(w, 200), -ETIMEDOUT);
	assert_int_equal(waitpid(w->pid, NULL, 0), w->pid);
	w->pid = -1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	before = cpu.tv_sec * 1000 + cpu.tv_nsec / 1000000;
	assert_int_equal(run(w, 200), -ETIMEDOUT);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	assert_true(cpu.tv_sec * 1000 + cpu.tv_nsec / 1000000 - before < 100);
}

static void test_a_child_without_a_filter(void **state)
{
	struct world *w = *state;
	int fd = -1;

	assert_int_equal(denied_watch(w->denied, &w->source, &fd), 0);
	close(fd);
	assert_int_equal(run(w, 100), -ETIMEDOUT);
}

static int ask_often(void)
{
	for (int i = 0; i < 10 * DENIED_BURST; i++)
		if (syscall(SYS_acct, "/nowhere") != -1 || errno != EPERM)
			return 1;
	return 0;
}

/* One who asks all the time is slowed down. */
static void test_a_flood(void **state)
{
	struct world *w = *state;
	int64_t start_ms = clock_monotonic_ms();

	start(w, ask_often);
	assert_int_equal(run(w, 20000), 0);
	assert_int_equal(w->found, 0);
	assert_true(clock_monotonic_ms() - start_ms >= 9 * DENIED_PAUSE_MS);
}

#define test_in_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_world(test_a_call_is_denied_named_and_counted),
		test_in_world(test_once_nobody_listens_the_kernel_answers),
		test_in_world(test_one_that_is_killed_while_it_asks),
		test_in_world(test_when_all_are_gone_there_is_quiet),
		test_in_world(test_a_child_without_a_filter),
		test_in_world(test_a_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
