#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Has inbound.db changed? Two answers that complete each other: inotify, which wakes at once where
 * it works, and a look at the file's change counter, which works everywhere and costs one open and
 * one read however large the file is. Of a file that rests its time says as much, for one call.
 * Never runs SQL, waits for nothing.
 */
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct watch;

/*
 * Watches path, which may be missing. use_inotify false: polling only. A system without inotify is
 * no error: watch_fd() is -1 then, and the log says so.
 */
int watch_new(const char *path, bool use_inotify, struct watch **ret_watch, struct err *err);
void watch_free(struct watch *watch);

/* Readable when something happened around the file; -1: no inotify. Owned by watch. */
int watch_fd(const struct watch *watch);

/*
 * Takes what waits at watch_fd(). True: worth a look. False: it concerned other files, or a
 * transaction that is still being written (its end brings another event).
 */
bool watch_drain(struct watch *watch);

/* True if the file changed since the last watch_mark(), or there is no mark. */
bool watch_changed(struct watch *watch);

/* Remembers the file as it is now. To be called before the look, so that nothing slips between. */
void watch_mark(struct watch *watch);

/*
 * The same, as the last watch_changed() saw it, which spares a second reading. What was written since
 * shows as a change.
 */
void watch_mark_seen(struct watch *watch);

/*
 * Two commits within one tick of the file system's clock have the same time. So a file rests when it
 * was read so long after its mark, and was still as marked: longer than any such tick (2 s on FAT).
 */
#define WATCH_SETTLE_MS 2500
/* For tests. */
void watch_set_settle_ms(struct watch *watch, int64_t settle_ms);

/* Forgets the mark: the last look failed and has to be repeated. */
void watch_unmark(struct watch *watch);

enum watch_header {
	WATCH_DATABASE,
	WATCH_MISSING,
	WATCH_EMPTY,
	WATCH_CLOSED, /* it may not be opened, at present perhaps; errno says why */
	WATCH_WAL,    /* the header says write-ahead log */
	WATCH_ALIEN,  /* not an SQLite file, truncated, unreadable */
};

/* What the first bytes of the file say. */
enum watch_header watch_header(const char *path);
