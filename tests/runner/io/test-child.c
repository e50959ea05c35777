/* SPDX-License-Identifier: MIT */
#include "runner/io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "tests/racer.h"
#include "tests/test.h"

struct world {
	struct loop *loop;
	struct children *children;
	struct child *child;
	struct loop_timer *timer;
	struct strbuf lines; /* joined with | */
	size_t overlong, output;
	int status;
	bool free_on_line;
	bool stop_on_closed;
};

static void on_line(void *userdata, const char *line, size_t len)
{
	struct world *w = userdata;

	if (w->free_on_line) {
		child_free(steal_ptr(w->child));
		loop_stop(w->loop, 9);
		return;
	}
	strbuf_append(&w->lines, line, len);
	strbuf_putc(&w->lines, '|');
}

static void on_overlong(void *userdata, size_t len)
{
	struct world *w = userdata;

	w->overlong = len;
}

static void on_output(void *userdata, size_t n)
{
	struct world *w = userdata;

	w->output += n;
}

static void on_closed(void *userdata)
{
	struct world *w = userdata;

	if (w->stop_on_closed)
		loop_stop(w->loop, 7);
}

static void on_exited(void *userdata, int status)
{
	struct world *w = userdata;

	w->status = status;
	loop_stop(w->loop, 0);
}

static void on_timeout(void *userdata)
{
	struct world *w = userdata;

	loop_stop(w->loop, -ETIMEDOUT);
}

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .status = -1 };
	assert_int_equal(loop_new(&world.loop, NULL), 0);
	assert_int_equal(children_new(world.loop, NULL, NULL, &world.children, NULL), 0);
	assert_int_equal(loop_timer_new(world.loop, on_timeout, &world, &world.timer), 0);
	loop_timer_arm(world.timer, 10000);
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	child_free(w->child);
	children_free(w->children);
	loop_timer_free(w->timer);
	loop_free(w->loop);
	strbuf_deinit(&w->lines);
	return 0;
}

static void start_spec(struct world *w, const struct child_spec *spec)
{
	static const struct child_events events = {
		.line = on_line,
		.output = on_output,
		.overlong = on_overlong,
		.closed = on_closed,
		.exited = on_exited,
	};
	struct err err;

	assert_int_equal(child_start(w->children, spec, &events, w, &w->child, &err), 0);
}

static void start(struct world *w, const char *script)
{
	const char *const argv[] = { "sh", "-c", script, NULL };

	start_spec(w, &(struct child_spec){ .argv = argv, .line_max = 100, .has_stdin = true });
}

static void test_lines_and_status(void **state)
{
	struct world *w = *state;

	start(w, "echo one; echo two; echo oops >&2; printf tail; exit 3");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "one|two|");
	assert_true(WIFEXITED(w->status) && WEXITSTATUS(w->status) == 3);
	assert_string_equal(child_stderr_tail(w->child), "oops");
}

static void test_stdin_is_echoed(void **state)
{
	struct world *w = *state;

	start(w, "cat");
	assert_int_equal(child_write(w->child, "hello\n", 6), 0);
	child_close_stdin(w->child);
	assert_int_equal(child_write(w->child, "x", 1), -EPIPE);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "hello|");
}

/* More than a pipe holds, to a child that reads late. */
static void test_large_write(void **state)
{
	struct world *w = *state;
	char bytes[10000];

	memset(bytes, 'z', sizeof(bytes));
	start(w, "sleep 0.05; wc -c | tr -d ' '");
	for (int i = 0; i < 100; i++)
		assert_int_equal(child_write(w->child, bytes, sizeof(bytes)), 0);
	child_close_stdin(w->child);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "1000000|");
}

static void test_child_that_never_reads(void **state)
{
	struct world *w = *state;
	char bytes[10000];

	memset(bytes, 'z', sizeof(bytes));
	start(w, "exec <&-; sleep 0.05; echo done");
	for (int i = 0; i < 100; i++)
		(void)child_write(w->child, bytes, sizeof(bytes));
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "done|");
}

/* Its own requests may be what is answered: what waits for it must have an end. */
static void test_child_that_asks_and_never_reads(void **state)
{
	static const char bytes[1024 * 1024];
	struct world *w = *state;

	start(w, "exec sleep 100");
	for (int i = 0; i < CHILD_OUTGOING_MAX / (int)sizeof(bytes); i++)
		assert_int_equal(child_write(w->child, bytes, sizeof(bytes)), 0);
	assert_int_equal(child_write(w->child, "x", 1), -ENOBUFS);
}

static void test_child_that_closes_stdout(void **state)
{
	struct world *w = *state;

	w->stop_on_closed = true;
	start(w, "echo last; exec >&-; exec sleep 100");
	assert_int_equal(loop_run(w->loop, NULL), 7);
	assert_string_equal(w->lines.data, "last|");
	assert_int_equal(w->status, -1);
}

static void test_child_that_closes_stdin(void **state)
{
	static const char bytes[1024 * 1024];
	struct world *w = *state;

	w->stop_on_closed = true;
	start(w, "exec <&-; exec sleep 100");
	assert_int_equal(child_write(w->child, bytes, sizeof(bytes)), 0);
	assert_int_equal(loop_run(w->loop, NULL), 7);
	assert_int_equal(child_write(w->child, "x", 1), -EPIPE);
}

static void test_overlong_line(void **state)
{
	struct world *w = *state;

	start(w, "printf '%0200d\\nshort\\n' 0");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->overlong, 200);
	assert_int_equal(w->output, 207);
	assert_string_equal(w->lines.data, "short|");
}

static void test_missing_program(void **state)
{
	struct world *w = *state;
	const char *const argv[] = { "/nonexistent/agent", NULL };

	start_spec(w, &(struct child_spec){ .argv = argv, .line_max = 100 });
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(WEXITSTATUS(w->status), 127);
	assert_non_null(strstr(child_stderr_tail(w->child), "/nonexistent/agent"));
}

static void test_environment_and_folder(void **state)
{
	struct world *w = *state;
	const char *const argv[] = { "sh", "-c", "echo $A-${B-unset}-$C; pwd", NULL };
	const char *const env[] = { "A=new", "B", "C=added=x", NULL };

	setenv("A", "old", 1);
	setenv("B", "old", 1);
	start_spec(w, &(struct child_spec){
			      .argv = argv, .env = env, .cwd = "/usr", .line_max = 100 });
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "new-unset-added=x|/usr|");
}

static void test_signals_are_reset(void **state)
{
	struct world *w = *state;

	start(w, "grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "0000000000000000|0000000000000000|");
}

static void test_callback_frees_child(void **state)
{
	struct world *w = *state;

	w->free_on_line = true;
	start(w, "echo one; echo two; sleep 100");
	assert_int_equal(loop_run(w->loop, NULL), 9);
	assert_null(w->child);
}

static void test_stdout_held_by_a_grandchild_holds_nothing_up(void **state)
{
	struct world *w = *state;
	int64_t limit_ms;

	start(w, "setsid sleep 100 & echo started");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "started|");
	/* It goes with the last child, though on a busy machine it may still be about to die. */
	limit_ms = clock_monotonic_ms() + 10000;
	while (waitpid(-1, NULL, WNOHANG) != -1) {
		assert_true(clock_monotonic_ms() < limit_ms);
		usleep(1000);
	}
}

/* While another child runs it may be this one's. */
static void test_orphans_live_as_long_as_a_child(void **state)
{
	const char *const argv[] = { "sleep", "100", NULL };
	const struct child_spec spec = { .argv = argv, .line_max = 100 };
	const struct child_events events = { .line = on_line, .exited = on_exited };
	struct world *w = *state;
	struct child *other;

	assert_int_equal(child_start(w->children, &spec, &events, w, &other, NULL), 0);
	start(w, "setsid sleep 100 & echo started");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(children_kill_orphans(w->children), 1);
	assert_int_equal(kill(child_pid(other), 0), 0);
	child_free(other);
}

static void test_stderr_flood_keeps_the_tail(void **state)
{
	struct world *w = *state;

	start(w, "seq 1 20000 >&2; echo last >&2");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_true(strlen(child_stderr_tail(w->child)) < CHILD_STDERR_TAIL);
	assert_non_null(strstr(child_stderr_tail(w->child), "20000\nlast"));
}

static void test_signal_reaches_the_group(void **state)
{
	struct world *w = *state;

	start(w, "sleep 100; echo not reached");
	child_signal(w->child, SIGTERM);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_true(WIFSIGNALED(w->status) && WTERMSIG(w->status) == SIGTERM);
}

/* This program, started as a child: it has its parent trace it, which asks nobody. */
static int be_traced(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	(void)raise(SIGWINCH);
	(void)printf("went on\n");
	return 5;
}

static void test_child_that_makes_us_its_tracer(void **state)
{
	const char *const argv[] = { "/proc/self/exe", "be-traced", NULL };
	struct world *w = *state;

	start_spec(w, &(struct child_spec){ .argv = argv, .line_max = 100 });
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "went on|");
	assert_true(WIFEXITED(w->status) && WEXITSTATUS(w->status) == 5);
}

#define ORPHANS 1500

/* This program, started as a child: leaves many dead behind at once. */
static int leave_dead(void)
{
	for (int i = 0; i < ORPHANS; i++)
		if (fork() == 0)
			_exit(0);
	/* So that all of them are. */
	(void)usleep(200000);
	return 0;
}

/* A child may put its parent on one processor, and into the background. */
static void test_child_that_changes_how_we_are_scheduled(void **state)
{
	const struct sched_param param = { .sched_priority = 0 };
	struct world *w = *state;
	cpu_set_t before, one, now;
	size_t cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	start(w, "read line");
	/* As it would by our process ID. */
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &param), 0);
	child_close_stdin(w->child);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	/* The end of the loop's round, in which all that died is seen to. */
	assert_int_equal(sched_getaffinity(0, sizeof(now), &now), 0);
	assert_true(CPU_EQUAL(&now, &before));
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	/* The next one inherits nothing of it either. */
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &param), 0);
	child_free(steal_ptr(w->child));
	start(w, "cut -d' ' -f41 /proc/self/stat; read line");
	child_close_stdin(w->child);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_string_equal(w->lines.data, "0|");
}

static void test_many_dead_are_reaped(void **state)
{
	const char *const argv[] = { "/proc/self/exe", "leave-dead", NULL };
	struct world *w = *state;
	siginfo_t info;

	start_spec(w, &(struct child_spec){ .argv = argv, .line_max = 100 });
	assert_int_equal(loop_run(w->loop, NULL), 0);
	loop_timer_arm(w->timer, 500);
	assert_int_equal(loop_run(w->loop, NULL), -ETIMEDOUT);
	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), -1);
	assert_int_equal(errno, ECHILD);
}

#define RACER_LINES 6

/* This program, started as a child: leaves behind what does not want to be killed. */
static int be_raced(void)
{
	racer_start_all(RACER_LINES);
	/* Time to be many. */
	(void)usleep(50000);
	return 0;
}

/* Starts that, and waits for its end. Returns the end of a pipe that all of them hold. */
static int start_race(struct world *w)
{
	const char *const argv[] = { "/proc/self/exe", "be-raced", NULL };
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	start_spec(w, &(struct child_spec){ .argv = argv, .line_max = 100 });
	close(ends[1]);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	return ends[0];
}

static bool all_are_gone(int alive)
{
	char byte;

	return read(alive, &byte, 1) == 0;
}

static void on_all_gone(void *userdata, uint32_t events)
{
	struct world *w = userdata;

	(void)events;
	loop_stop(w->loop, 5);
}

static void test_nothing_outruns_the_kill(void **state)
{
	struct world *w = *state;
	struct loop_source *source;
	int alive = start_race(w);

	assert_int_equal(loop_add_fd(w->loop, alive, EPOLLIN, on_all_gone, w, &source), 0);
	(void)children_kill_orphans(w->children);
	/* Each death of a line's parent tells that there is a line. */
	loop_timer_arm(w->timer, 10000);
	assert_int_equal(loop_run(w->loop, NULL), 5);
	assert_true(all_are_gone(alive));
	loop_source_free(source);
	close(alive);
}

static void test_the_end_is_certain(void **state)
{
	struct world *w = *state;
	int alive = start_race(w);
	int64_t before = clock_monotonic_ms();

	children_end(w->children);
	w->child = NULL;
	assert_true(all_are_gone(alive));
	assert_true(clock_monotonic_ms() - before < 2 * CHILDREN_END_MS);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	close(alive);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines_and_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stdin_is_echoed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_that_never_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_that_asks_and_never_reads, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_child_that_closes_stdout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_that_closes_stdin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlong_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment_and_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_are_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callback_frees_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stdout_held_by_a_grandchild_holds_nothing_up,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphans_live_as_long_as_a_child, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_stderr_flood_keeps_the_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal_reaches_the_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_that_makes_us_its_tracer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_child_that_changes_how_we_are_scheduled, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_many_dead_are_reaped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_outruns_the_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end_is_certain, setup, teardown),
	};

	if (argc > 1 && strcmp(argv[1], "leave-dead") == 0)
		return leave_dead();
	if (argc > 1 && strcmp(argv[1], "be-raced") == 0)
		return be_raced();
	if (argc > 1 && strcmp(argv[1], "be-traced") == 0)
		return be_traced();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
