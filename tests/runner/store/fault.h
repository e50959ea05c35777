#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A disk that fails on order: an SQLite VFS before the real one which counts everything that
 * changes a file, and at the chosen one of them fails, or ends the process. Waiting for a lock
 * costs no time, and is added up.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"

enum fault_action {
	FAULT_NONE,
	FAULT_FULL,  /* SQLITE_FULL, as for ENOSPC, or SQLITE_IOERR where only that can be said */
	FAULT_ERROR, /* SQLITE_IOERR */
	FAULT_KILL,  /* the process ends before it */
	FAULT_TEAR,  /* the process ends when half of a write is done */
	FAULT_KEEP,  /* a lock is not given up: of these calls it counts no others */
	FAULT_KEEP_ALL, /* none is */
};

#define FAULT_KILLED 42 /* exit status */

static struct {
	sqlite3_vfs *real;
	enum fault_action action;
	int countdown; /* 1: the next one */
	int waited_us;
} fault;

struct fault_file {
	sqlite3_file base;
	sqlite3_file *real; /* stands behind this struct */
};

static inline sqlite3_file *fault_real(sqlite3_file *file)
{
	return ((struct fault_file *)(void *)file)->real;
}

/* Is it this one? */
static inline bool fault_strikes(bool is_write)
{
	if (fault.action == FAULT_NONE || fault.action >= FAULT_KEEP || --fault.countdown != 0)
		return false;
	if (fault.action == FAULT_KILL || (fault.action == FAULT_TEAR && !is_write))
		_exit(FAULT_KILLED);
	return true;
}

static inline int fault_close(sqlite3_file *file)
{
	return fault_real(file)->pMethods->xClose(fault_real(file));
}

static inline int fault_read(sqlite3_file *file, void *bytes, int n, sqlite3_int64 offset)
{
	return fault_real(file)->pMethods->xRead(fault_real(file), bytes, n, offset);
}

static inline int fault_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
	sqlite3_file *real = fault_real(file);

	if (!fault_strikes(true))
		return real->pMethods->xWrite(real, bytes, n, offset);
	if (fault.action == FAULT_TEAR) {
		(void)real->pMethods->xWrite(real, bytes, n / 2, offset);
		_exit(FAULT_KILLED);
	}
	return fault.action == FAULT_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static inline int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (fault_strikes(false))
		return SQLITE_IOERR_TRUNCATE;
	return fault_real(file)->pMethods->xTruncate(fault_real(file), size);
}

static inline int fault_sync(sqlite3_file *file, int flags)
{
	(void)flags;
	(void)file;
	/* The kernel lives on, so what was written stays: the sync itself is left out. */
	return fault_strikes(false) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static inline int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return fault_real(file)->pMethods->xFileSize(fault_real(file), size);
}

static inline int fault_lock(sqlite3_file *file, int level)
{
	return fault_real(file)->pMethods->xLock(fault_real(file), level);
}

static inline int fault_unlock(sqlite3_file *file, int level)
{
	if (fault.action == FAULT_KEEP_ALL ||
	    (fault.action == FAULT_KEEP && --fault.countdown == 0))
		return level == SQLITE_LOCK_SHARED ? SQLITE_IOERR_RDLOCK : SQLITE_IOERR_UNLOCK;
	return fault_real(file)->pMethods->xUnlock(fault_real(file), level);
}

static inline int fault_check(sqlite3_file *file, int *result)
{
	return fault_real(file)->pMethods->xCheckReservedLock(fault_real(file), result);
}

static inline int fault_control(sqlite3_file *file, int what, void *value)
{
	return fault_real(file)->pMethods->xFileControl(fault_real(file), what, value);
}

static inline int fault_sector(sqlite3_file *file)
{
	return fault_real(file)->pMethods->xSectorSize(fault_real(file));
}

static inline int fault_device(sqlite3_file *file)
{
	/* No batches of atomic writes, no shortcuts: what a network mount would say. */
	(void)file;
	return 0;
}

static inline int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
			     int *out)
{
	static const sqlite3_io_methods methods = {
		.iVersion = 1, /* no memory maps */
		.xClose = fault_close,
		.xRead = fault_read,
		.xWrite = fault_write,
		.xTruncate = fault_truncate,
		.xSync = fault_sync,
		.xFileSize = fault_size,
		.xLock = fault_lock,
		.xUnlock = fault_unlock,
		.xCheckReservedLock = fault_check,
		.xFileControl = fault_control,
		.xSectorSize = fault_sector,
		.xDeviceCharacteristics = fault_device,
	};
	struct fault_file *own = (struct fault_file *)(void *)file;
	int r;

	(void)vfs;
	own->real = (sqlite3_file *)(void *)(own + 1);
	r = fault.real->xOpen(fault.real, name, own->real, flags, out);
	own->base.pMethods = own->real->pMethods ? &methods : NULL;
	return r;
}

static inline int fault_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs;
	(void)sync;
	return fault_strikes(false) ? SQLITE_IOERR_DELETE
				    : fault.real->xDelete(fault.real, name, 0);
}

static inline int fault_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	fault.waited_us += us;
	return us;
}

/* Stands before the default VFS from now on. */
static inline void fault_install(void)
{
	static sqlite3_vfs vfs;

	fault.real = sqlite3_vfs_find(NULL);
	vfs = *fault.real;
	vfs.zName = "fault";
	vfs.szOsFile += (int)sizeof(struct fault_file);
	vfs.xOpen = fault_open;
	vfs.xDelete = fault_delete;
	vfs.xSleep = fault_sleep;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* Strikes at the n-th change of a file from now on. */
static inline void fault_order(enum fault_action action, int n)
{
	fault.action = action;
	fault.countdown = n;
}
