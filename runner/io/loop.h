#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The one event loop: descriptors (epoll), timers, signals (signalfd). One thread; a callback may
 * free any source or timer, its own included. No timer armed and nothing ready means no wake-up.
 *
 * A round is one look at the descriptors and at most one timer, the most overdue, and of those due
 * at the same time the one that was armed first. So work that is done a part at a time, by a timer of
 * 0 ms, keeps signals and descriptors waiting for no more than a part, however many do it at once.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "common/err.h"

struct loop;
struct loop_source;
struct loop_timer;

typedef void loop_fd_fn(void *userdata, uint32_t events);
typedef void loop_timer_fn(void *userdata);
typedef void loop_signal_fn(void *userdata, const struct signalfd_siginfo *info);

/* 0 or -errno. The caller frees the loop after everything that lives on it. */
int loop_new(struct loop **ret_loop, struct err *err);
void loop_free(struct loop *loop);

/*
 * Runs until loop_stop(), at once if that was called before; returns the code given there, or
 * -errno if epoll itself fails. May be called again.
 */
int loop_run(struct loop *loop, struct err *err);
void loop_stop(struct loop *loop, int code);

/* Watches fd, which stays the caller's and must outlive the source. events: EPOLLIN, EPOLLOUT. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *userdata,
		struct loop_source **ret_source);
int loop_source_set_events(struct loop_source *source, uint32_t events);
void loop_source_free(struct loop_source *source);

/*
 * A timer belongs to its creator, is created disarmed and fires once after it is armed, in a
 * later round than the one that armed it. Arming one that is armed gives it the new delay; to ask
 * for one at once that is due already changes nothing.
 */
int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata,
		   struct loop_timer **ret_timer);
void loop_timer_arm(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_disarm(struct loop_timer *timer);
bool loop_timer_is_armed(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Blocks signo and hands it to fn. One handler a signal; the mask stays blocked afterwards. */
int loop_add_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *userdata,
		    struct err *err);
