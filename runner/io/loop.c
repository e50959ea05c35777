/* SPDX-License-Identifier: MIT */
#include "runner/io/loop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/table.h"

#define LOOP_EVENTS_MAX	 16
#define LOOP_SIGNALS_MAX 65 /* 1 to 64, as the kernel numbers them */

struct loop_source {
	struct loop *loop;
	int fd;
	loop_fd_fn *fn; /* NULL once freed: events already fetched for it are dropped */
	void *userdata;
	struct loop_source *next_dead;
};

struct loop_timer {
	struct loop *loop;
	loop_timer_fn *fn;
	void *userdata;
	int64_t deadline_ms;	 /* monotonic; -1: disarmed */
	uint64_t order;		 /* which of all armings it was */
	struct loop_timer *next; /* while it is armed */
};

struct loop {
	int epoll_fd;
	int signal_fd;
	struct loop_source *signal_source;
	sigset_t signals;
	struct {
		loop_signal_fn *fn;
		void *userdata;
	} handlers[LOOP_SIGNALS_MAX];
	struct loop_timer *timers; /* the armed ones, by deadline, then by order */
	struct loop_source *dead;  /* freed during this round, to be released at its end */
	uint64_t armings;	   /* of all timers, ever */
	uint64_t before;	   /* how many those were when this round began */
	bool stopping;
	int code;
};

int loop_new(struct loop **ret_loop, struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return err_sys(err, -ENOMEM, "cannot make the event loop");
	loop->signal_fd = -1;
	sigemptyset(&loop->signals);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = err_sys(err, -errno, "cannot make the event loop");

		free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

static void loop_bury(struct loop *loop)
{
	while (loop->dead) {
		struct loop_source *source = loop->dead;

		loop->dead = source->next_dead;
		free(source);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	loop_source_free(loop->signal_source);
	loop_bury(loop);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	close(loop->epoll_fd);
	free(loop);
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *userdata,
		struct loop_source **ret_source)
{
	struct loop_source *source = calloc(1, sizeof(*source));
	struct epoll_event event = { .events = events, .data.ptr = source };

	if (!source)
		return -ENOMEM;
	*source = (struct loop_source){ .loop = loop, .fd = fd, .fn = fn, .userdata = userdata };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;

		free(source);
		return r;
	}
	*ret_source = source;
	return 0;
}

int loop_source_set_events(struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno
											: 0;
}

void loop_source_free(struct loop_source *source)
{
	if (!source)
		return;
	(void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fn = NULL;
	source->next_dead = source->loop->dead;
	source->loop->dead = source;
}

int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata,
		   struct loop_timer **ret_timer)
{
	struct loop_timer *timer = malloc(sizeof(*timer));

	if (!timer)
		return -ENOMEM;
	*timer = (struct loop_timer){
		.loop = loop,
		.fn = fn,
		.userdata = userdata,
		.deadline_ms = -1,
	};
	*ret_timer = timer;
	return 0;
}

/*
 * Sorted, so that a poll of a loop that has nothing to do meets no timer but its own: what has not
 * been touched for a second has left the processor's caches.
 */
static void loop_timer_link(struct loop_timer *timer)
{
	struct loop_timer **link = &timer->loop->timers;

	while (*link && (*link)->deadline_ms <= timer->deadline_ms)
		link = &(*link)->next;
	timer->next = *link;
	*link = timer;
}

void loop_timer_arm(struct loop_timer *timer, int64_t delay_ms)
{
	int64_t now = clock_monotonic_ms();

	/* It keeps its place: otherwise many who ask for it by turns would put it off for ever. */
	if (delay_ms <= 0 && timer->deadline_ms >= 0 && timer->deadline_ms <= now)
		return;
	loop_timer_disarm(timer);
	timer->deadline_ms = now + (delay_ms > 0 ? delay_ms : 0);
	timer->order = ++timer->loop->armings;
	loop_timer_link(timer);
}

void loop_timer_disarm(struct loop_timer *timer)
{
	struct loop_timer **link = &timer->loop->timers;

	if (timer->deadline_ms < 0)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->deadline_ms = -1;
}

bool loop_timer_is_armed(const struct loop_timer *timer)
{
	return timer->deadline_ms >= 0;
}

void loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return;
	loop_timer_disarm(timer);
	free(timer);
}

static void loop_on_signal(void *userdata, uint32_t events)
{
	struct loop *loop = userdata;
	struct signalfd_siginfo info;

	(void)events;
	while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo < LOOP_SIGNALS_MAX && loop->handlers[info.ssi_signo].fn)
			loop->handlers[info.ssi_signo].fn(loop->handlers[info.ssi_signo].userdata,
							  &info);
}

int loop_add_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *userdata,
		    struct err *err)
{
	int fd, r;

	sigaddset(&loop->signals, signo);
	if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0)
		return err_sys(err, -errno, "cannot block signal %d", signo);
	fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(err, -errno, "cannot receive signal %d", signo);
	loop->handlers[signo].fn = fn;
	loop->handlers[signo].userdata = userdata;
	if (loop->signal_source)
		return 0;
	loop->signal_fd = fd;
	r = loop_add_fd(loop, fd, EPOLLIN, loop_on_signal, loop, &loop->signal_source);
	return r < 0 ? err_sys(err, r, "cannot receive signal %d", signo) : 0;
}

/* Milliseconds until the next deadline; -1: none, sleep until something happens. */
static int loop_timeout(const struct loop *loop)
{
	int64_t wait;

	if (!loop->timers)
		return -1;
	wait = loop->timers->deadline_ms - clock_monotonic_ms();
	if (wait < 0)
		return 0;
	return wait > INT_MAX ? INT_MAX : (int)wait;
}

/*
 * One that was armed in this round waits for the next, so that a timer which arms itself with no
 * delay cannot keep the descriptors from their turn.
 */
static struct loop_timer *loop_due_timer(const struct loop *loop)
{
	int64_t now = clock_monotonic_ms();

	for (struct loop_timer *t = loop->timers; t && t->deadline_ms <= now; t = t->next)
		if (t->order <= loop->before)
			return t;
	return NULL;
}

int loop_run(struct loop *loop, struct err *err)
{
	struct epoll_event events[LOOP_EVENTS_MAX];
	struct loop_timer *timer;

	while (!loop->stopping) {
		int n = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_MAX, loop_timeout(loop));

		if (n < 0 && errno != EINTR)
			return err_sys(err, -errno, "cannot wait for events");
		loop->before = loop->armings;
		for (int i = 0; i < n && !loop->stopping; i++) {
			struct loop_source *source = events[i].data.ptr;

			if (source->fn)
				source->fn(source->userdata, events[i].events);
		}
		/* One only: the next may have a long time to go, and somebody may have come meanwhile. */
		timer = loop->stopping ? NULL : loop_due_timer(loop);
		if (timer) {
			loop_timer_disarm(timer);
			timer->fn(timer->userdata);
		}
		loop_bury(loop);
	}
	loop->stopping = false;
	return loop->code;
}

void loop_stop(struct loop *loop, int code)
{
	loop->stopping = true;
	loop->code = code;
}
