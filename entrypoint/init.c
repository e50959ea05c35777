/* SPDX-License-Identifier: MIT */
#include "entrypoint/init.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/exit-code.h"
#include "common/log.h"
#include "common/pages.h"
#include "common/table.h"
#include "entrypoint/family.h"
#include "entrypoint/reap.h"
#include "entrypoint/signals.h"
#include "entrypoint/spawn.h"
#include "entrypoint/terminal.h"

/* Whoever still waits then waits for long: what its start needed is given back. */
#define INIT_SETTLE_MS 1000
/* So many signals are taken before processes are reaped, and timers run. */
#define INIT_SIGNALS_MAX    64
#define INIT_INPUT_NOTE_MS  10000
#define INIT_ENDING_NOTE_MS 1000
#define INIT_CRASHES_MAX    5
#define INIT_CRASHES_MS	    60000
#define INIT_BACKOFF_MS	    100
/* What outlives a main child that ended by itself: nobody else limits it. */
#define INIT_LEFTOVERS_MS 800
/* After SIGKILL, for the kernel to do it. One that hangs in the kernel is not waited for. */
#define INIT_KILL_MS 100
/* Of processes that are not our children nobody tells us the end. Only while we end. */
#define INIT_LOOK_MS 10
/* A call failed that should not: the next look does not depend on a signal that may be lost. */
#define INIT_RETRY_MS 50
/* In one go: a fork bomb must not keep us from our signals. */
#define INIT_REAP_MAX 4096

enum init_phase {
	INIT_INPUT,   /* stdin is awaited, nothing runs yet */
	INIT_RUNNING, /* the main child runs, or there is none by design */
	INIT_BACKOFF, /* it crashed, and will be started again */
	INIT_ENDING,  /* it is gone for good, what is left got SIGTERM */
	INIT_KILLING, /* what is left got SIGKILL */
	INIT_DONE,
};

enum init_timer {
	INIT_TIMER_NOTE,    /* say what is waited for */
	INIT_TIMER_RESTART, /* start the job again */
	INIT_TIMER_KILL,    /* SIGKILL */
	INIT_TIMER_GIVE_UP, /* leave the rest to the kernel */
	INIT_TIMER_LOOK,    /* only wake up */
	INIT_TIMER_SETTLE,  /* the start is over */
	INIT_TIMERS,
};

struct init {
	const struct init_spec *spec;
	const struct init_job *job;
	enum init_phase phase;
	pid_t self;
	pid_t child; /* the main child; 0: none runs */
	int signal_fd;
	bool has_terminal; /* a controlling one, where we may be in the background */
	int terminal;	   /* the stream that we could hand over; -1: none */
	bool terminal_given;
	bool stopping;	    /* SIGTERM or SIGINT came */
	bool was_killed;    /* the crash was a SIGKILL, which nobody of ours sent */
	bool more_dead;	    /* no signal will tell of those that are left to be reaped */
	uint64_t forwarded; /* signals passed on to this child, as bits */
	int code;
	int crashes;			    /* within the time that counts */
	int64_t crash_ms[INIT_CRASHES_MAX]; /* when, oldest first */
	int64_t deadline_ms[INIT_TIMERS];   /* monotonic; <0: not armed */
};

static void init_arm(struct init *init, enum init_timer timer, int64_t delay_ms)
{
	init->deadline_ms[timer] = clock_monotonic_ms() + delay_ms;
}

static void init_disarm(struct init *init, enum init_timer timer)
{
	init->deadline_ms[timer] = -1;
}

/* The end */

static void init_kill(struct init *init)
{
	init_disarm(init, INIT_TIMER_KILL);
	init->phase = INIT_KILLING;
	family_kill_all(init->child);
	init_arm(init, INIT_TIMER_GIVE_UP, INIT_KILL_MS);
}

/* There is no main child any more and will be none: code is how we exit, once all have gone. */
static void init_end(struct init *init, int code)
{
	init->code = code;
	init->child = 0;
	init_disarm(init, INIT_TIMER_NOTE);
	init_disarm(init, INIT_TIMER_RESTART);
	if (init->phase == INIT_KILLING)
		return;
	init->phase = INIT_ENDING;
	family_signal_all(SIGTERM);
	/* One that is stopped would sleep through it. */
	family_signal_all(SIGCONT);
	if (init->deadline_ms[INIT_TIMER_KILL] >= 0)
		return;
	if (init->spec->grace_ms >= 0)
		init_arm(init, INIT_TIMER_KILL, init->spec->grace_ms);
	else if (!init->stopping)
		init_arm(init, INIT_TIMER_KILL, INIT_LEFTOVERS_MS);
	else
		init_arm(init, INIT_TIMER_NOTE, INIT_ENDING_NOTE_MS);
}

/* Starting */

/* How long until the next start, or -1: too many crashes within too short a time. */
static int64_t init_backoff(struct init *init)
{
	int64_t now = clock_monotonic_ms();
	int old = 0;

	while (old < init->crashes && now - init->crash_ms[old] >= INIT_CRASHES_MS)
		old++;
	init->crashes -= old;
	memmove(init->crash_ms, init->crash_ms + old,
		(size_t)init->crashes * sizeof(init->crash_ms[0]));
	init->crash_ms[init->crashes++] = now;
	if (init->crashes == INIT_CRASHES_MAX)
		return -1;
	return (int64_t)INIT_BACKOFF_MS << (init->crashes - 1);
}

/* What happened is said in how; code: with what we exit if it was once too often. */
static void init_crashed(struct init *init, const char *how, int code)
{
	int64_t delay = init_backoff(init);

	init->child = 0;
	if (delay < 0) {
		log_error("%s %s: %d times within a minute, giving up", init->job->what, how,
			  INIT_CRASHES_MAX);
		init_end(init, code);
		return;
	}
	log_error("%s %s: starting it again in %d ms", init->job->what, how, (int)delay);
	/* What it left behind would work in the same folder as its successor. */
	family_kill_descendants(0);
	init->phase = INIT_BACKOFF;
	init_arm(init, INIT_TIMER_RESTART, delay);
}

static void init_start(struct init *init)
{
	struct spawn_spec spec = {
		.name = init->job->name,
		.terminal = init->job->gets_terminal ? init->terminal : -1,
		.executes = init->job->executes,
		.run = init->job->run,
		.userdata = init->spec->userdata,
	};
	struct err err;
	pid_t pid = 0;
	int r;

	init_disarm(init, INIT_TIMER_NOTE);
	init_disarm(init, INIT_TIMER_RESTART);
	if (init->job->run) {
		r = spawn_child(&spec, &pid, &err);
		if (r < 0) {
			log_warning("%s", err.text);
			init_crashed(init, "cannot be started", EXIT_CODE_TEMPORARY);
			return;
		}
	}
	init->phase = INIT_RUNNING;
	init->child = pid;
	init->forwarded = 0;
	init->terminal_given = spec.terminal >= 0;
	if (pid > 0)
		log_debug("%s runs as process %d", init->job->what, (int)pid);
}

static void init_begin(struct init *init)
{
	if (!init->job->awaits_input) {
		init_start(init);
		return;
	}
	/* Not before there is something to do: until then nothing but us takes memory. */
	init->phase = INIT_INPUT;
	init_arm(init, INIT_TIMER_NOTE, INIT_INPUT_NOTE_MS);
}

/* The terminal */

static void init_take_terminal(struct init *init)
{
	if (init->terminal_given)
		(void)terminal_take(init->terminal);
	init->terminal_given = false;
}

/* After we were continued: in the foreground, the terminal is the child's again. */
static void init_give_terminal(struct init *init)
{
	int fd = init->job->gets_terminal && init->child > 0 ? terminal_find() : -1;

	if (fd < 0)
		return;
	init->terminal = fd;
	init->terminal_given = terminal_give(fd, init->child) == 0;
}

/* The main child was stopped by its terminal. */
static void init_on_suspend(struct init *init, int signo)
{
	/* It is in the background with us: whoever brings us to the front sends SIGCONT. */
	if (!init->terminal_given && signo > 0 && signo != SIGTSTP)
		terminal_suspend(signo);
	/* Ctrl-Z on a terminal that we handed over. */
	if (!init->terminal_given || signo != SIGTSTP)
		return;
	init_take_terminal(init);
	terminal_suspend(signo);
	init_give_terminal(init);
	(void)kill(-init->child, SIGCONT);
}

/* Children */

/* A signal that we passed on is what somebody wanted; any other is a crash, and so is code 70. */
static bool init_is_crash(const struct init *init, const struct reap *end)
{
	if (!init->job->restarts || init->stopping)
		return false;
	if (end->signo)
		return !(init->forwarded >> (end->signo - 1) & 1);
	return end->code == EXIT_CODE_INTERNAL;
}

/* With the next job, unless the end was asked for. */
static void init_go_on(struct init *init)
{
	bool was_prepared = init->job->prepares;

	init->child = 0;
	if (was_prepared)
		family_kill_descendants(0);
	init->job = init->job->next;
	if (!init->stopping)
		init_begin(init);
	else
		/* What it made ready for did not run, and that is no success of it. */
		init_end(init, was_prepared && init->job->run ? EXIT_CODE_SIGNAL_BASE + SIGTERM
							      : EXIT_CODE_OK);
}

static void init_on_main_end(struct init *init, const struct reap *end)
{
	bool is_early;
	char how[64];

	init_take_terminal(init);
	if (init->phase != INIT_RUNNING) {
		/* It had to be killed. */
		init_end(init, end->code);
		return;
	}
	if (init_is_crash(init, end)) {
		if (end->signo)
			(void)snprintf(how, sizeof(how), "crashed with signal %d", end->signo);
		else
			(void)snprintf(how, sizeof(how), "failed with code %d", end->code);
		init->was_killed = end->signo == SIGKILL;
		init_crashed(init, how, EXIT_CODE_INTERNAL);
		return;
	}
	if (end->code == INIT_NEXT && init->job->next) {
		init_go_on(init);
		return;
	}
	log_debug("%s ended with code %d", init->job->what, end->code);
	/* The loop handles the signal: this one had not begun, and ended as it was asked to. */
	is_early = init->job->restarts && init->stopping && signals_kind(end->signo) == SIGNALS_END;
	init_end(init, is_early ? EXIT_CODE_OK : end->code);
}

/* Reaps everybody who is dead now. */
static void init_reap(struct init *init)
{
	struct reap end;
	int reaped = 0, r;

	while (reaped < INIT_REAP_MAX && (r = reap_next(&end)) > 0) {
		reaped++;
		if (r != REAP_ALIVE && end.pid == init->child)
			init_on_main_end(init, &end);
	}
	init->more_dead = reaped == INIT_REAP_MAX;
	/* Whoever was being made while we looked for victims has become our child by now. */
	if (reaped > 0 && r >= 0 && init->phase == INIT_KILLING)
		family_kill_all(init->child);
	else if (reaped > 0 && r >= 0 && init->phase == INIT_BACKOFF)
		family_kill_descendants(0);
	if (r == -ECHILD) {
		/* Others are killed when we exit; those of "docker exec" may have a moment, too. */
		if (init->phase >= INIT_ENDING && !family_has_others())
			init->phase = INIT_DONE;
		else if (init->phase >= INIT_ENDING)
			init_arm(init, INIT_TIMER_LOOK, INIT_LOOK_MS);
	} else if (r < 0) {
		log_warning("cannot look for dead children: %s", strerror(-r));
		init_arm(init, INIT_TIMER_LOOK, INIT_RETRY_MS);
	}
	if (init->has_terminal && init->job->gets_terminal && init->child > 0)
		init_on_suspend(init, reap_suspension(init->child));
}

/* Signals */

static void init_forward(struct init *init, const siginfo_t *info)
{
	int r = -ESRCH;

	if (init->child == 0) {
		log_debug("nobody is there for signal %d", info->si_signo);
		return;
	}
	init->forwarded |= UINT64_C(1) << (info->si_signo - 1);
	/* A job's processes stop together, and go on together. */
	if (init->spec->to_group || (info->si_signo == SIGCONT && init->has_terminal))
		r = family_forward_group(info, init->child);
	if (r == -ESRCH)
		r = signals_forward(info, init->child);
	/* -ESRCH: dead, and reaped in a moment. */
	if (r < 0 && r != -ESRCH)
		log_warning("cannot pass signal %d on: %s", info->si_signo, strerror(-r));
}

/* From SIGTERM to SIGKILL; <0: no limit. */
static int64_t init_grace(const struct init *init)
{
	int64_t grace = init->spec->grace_ms;

	/* The time that a command may need is not that of what would only have led to it. */
	if (init->job->prepares && (grace < 0 || grace > INIT_LEFTOVERS_MS))
		return INIT_LEFTOVERS_MS;
	return grace;
}

static void init_stop(struct init *init, const siginfo_t *info)
{
	int64_t grace = init_grace(init);

	if (!init->stopping && grace >= 0 && init->phase < INIT_ENDING)
		init_arm(init, INIT_TIMER_KILL, grace);
	init->stopping = true;
	if (init->phase == INIT_ENDING) {
		family_signal_all(info->si_signo);
	} else if (init->phase < INIT_ENDING && init->child > 0) {
		init_forward(init, info);
		family_wake(init->child);
	} else if (init->phase < INIT_ENDING) {
		/* A container that had nothing to do but to wait for this did it well. */
		init_end(init,
			 init->job->run ? EXIT_CODE_SIGNAL_BASE + info->si_signo : EXIT_CODE_OK);
	}
}

static void init_on_signal(struct init *init, const siginfo_t *info)
{
	if (signals_is_own(info, init->self))
		return;
	switch (signals_kind(info->si_signo)) {
	case SIGNALS_CHILD:
		break; /* we reap at each wake-up */
	case SIGNALS_END:
		init_stop(init, info);
		break;
	case SIGNALS_SUSPEND:
		init_forward(init, info);
		init_take_terminal(init);
		/* As PID 1 the kernel ignores it; else the shell above sees that we stopped. */
		(void)kill(init->self, SIGSTOP);
		break;
	case SIGNALS_CONTINUE:
		init_give_terminal(init);
		init_forward(init, info);
		break;
	case SIGNALS_FORWARD:
		init_forward(init, info);
		break;
	}
}

/* Waits for one, and takes those that are there, but no flood of them. */
static void init_take_signals(struct init *init, int timeout_ms)
{
	siginfo_t info;
	int count = 0, r;

	while (count < INIT_SIGNALS_MAX && (r = signals_wait(timeout_ms, &info)) > 0) {
		init_on_signal(init, &info);
		timeout_ms = 0;
		count++;
	}
	if (count == INIT_SIGNALS_MAX && (r = signals_look_for_end(&info)) > 0)
		init_on_signal(init, &info);
	if (r < 0) {
		log_warning("cannot wait for signals: %s", strerror(-r));
		(void)poll(NULL, 0, INIT_RETRY_MS);
	}
}

/* Timers */

static void init_on_restart_timer(struct init *init)
{
	/* Now, not at the crash: what it left behind has been killed meanwhile. */
	if (init->was_killed && init->job->make_room)
		init->job->make_room(init->spec->userdata);
	init->was_killed = false;
	init_start(init);
}

static void init_on_note_timer(struct init *init)
{
	if (init->phase == INIT_INPUT)
		log_info("waiting for a JSON request on standard input, or its end");
	else
		log_info("waiting for processes that go on in spite of SIGTERM; --grace=SPAN "
			 "would limit that");
}

static void init_on_kill_timer(struct init *init)
{
	if (init->child > 0)
		log_warning("%s did not end in time: killing it", init->job->what);
	init_kill(init);
}

static void init_on_give_up_timer(struct init *init)
{
	log_warning("some processes cannot be killed");
	init->phase = INIT_DONE;
	if (init->child > 0)
		init->code = EXIT_CODE_SIGNAL_BASE + SIGKILL;
}

static void init_on_look_timer(struct init *init)
{
	(void)init; /* being awake is enough */
}

static void init_on_settle_timer(struct init *init)
{
	(void)init;
	pages_release();
}

static void init_run_timers(struct init *init)
{
	static void (*const handlers[])(struct init * init) = {
		[INIT_TIMER_NOTE] = init_on_note_timer,
		[INIT_TIMER_RESTART] = init_on_restart_timer,
		[INIT_TIMER_KILL] = init_on_kill_timer,
		[INIT_TIMER_GIVE_UP] = init_on_give_up_timer,
		[INIT_TIMER_LOOK] = init_on_look_timer,
		[INIT_TIMER_SETTLE] = init_on_settle_timer,
	};
	TABLE_COVERS(handlers, INIT_TIMERS);
	int64_t now = clock_monotonic_ms();

	for (size_t i = 0; i < INIT_TIMERS; i++)
		if (init->deadline_ms[i] >= 0 && init->deadline_ms[i] <= now) {
			init->deadline_ms[i] = -1;
			handlers[i](init);
		}
}

/* Milliseconds until the next deadline; -1: none. */
static int init_timeout(const struct init *init)
{
	int64_t next = -1, wait;

	if (init->more_dead)
		return 0;
	for (size_t i = 0; i < INIT_TIMERS; i++)
		if (init->deadline_ms[i] >= 0 && (next < 0 || init->deadline_ms[i] < next))
			next = init->deadline_ms[i];
	if (next < 0)
		return -1;
	wait = next - clock_monotonic_ms();
	if (wait < 0)
		return 0;
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

/* The loop */

/* True: standard input can be read. False: a signal is there, or a timer is due. */
static bool init_await_input(struct init *init, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = init->signal_fd, .events = POLLIN },
	};
	int n = poll(fds, ARRAY_LEN(fds), timeout_ms);

	if (n < 0 && errno != EINTR) {
		log_warning("cannot wait: %s", strerror(errno));
		init_arm(init, INIT_TIMER_LOOK, INIT_RETRY_MS);
	}
	return n > 0 && fds[0].revents;
}

static void init_turn(struct init *init)
{
	bool awaits_input = init->phase == INIT_INPUT;
	int timeout_ms = init_timeout(init);
	bool has_input = awaits_input && init_await_input(init, timeout_ms);

	/* Signals first: what ended the child may be among them. After a failed wait, too. */
	init_take_signals(init, awaits_input ? 0 : timeout_ms);
	init_reap(init);
	/* Nobody is left for them: one that is due now would start the end anew. */
	if (init->phase == INIT_DONE)
		return;
	init_run_timers(init);
	if (has_input && init->phase == INIT_INPUT)
		init_start(init);
}

int init_run(const struct init_spec *spec, struct err *err)
{
	cleanup_close int signal_fd = -1;
	struct init init = {
		.spec = spec,
		.job = spec->job,
		.self = getpid(),
		.has_terminal = terminal_is_there(),
		.terminal = terminal_find(),
	};
	siginfo_t info;
	int r;

	(void)prctl(PR_SET_NAME, "agent-runner");
	for (size_t i = 0; i < INIT_TIMERS; i++)
		init.deadline_ms[i] = -1;
	if (init.self != 1 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		log_warning("cannot reap orphans: %s", strerror(errno));
	r = signals_open(&signal_fd);
	if (r < 0)
		return err_sys(err, r, "cannot receive signals");
	init.signal_fd = signal_fd;
	/* A profile that denies it would leave us deaf. */
	r = signals_wait(0, &info);
	if (r < 0)
		return err_sys(err, r, "cannot wait for signals");
	init_begin(&init);
	if (r > 0)
		init_on_signal(&init, &info);
	/* It is taken: what it told of has to be looked at without another. */
	init.more_dead = r > 0;
	init_arm(&init, INIT_TIMER_SETTLE, INIT_SETTLE_MS);
	while (init.phase != INIT_DONE)
		init_turn(&init);
	return init.code;
}
