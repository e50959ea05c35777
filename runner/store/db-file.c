/* SPDX-License-Identifier: MIT */
#include "runner/store/db-file.h"

#include <stddef.h>

struct db_file {
	sqlite3_file base;
	sqlite3_vfs *vfs;
	const char *path; /* SQLite's, which keeps it while the file is in use */
	int flags;
	sqlite3_file *real; /* in the memory behind this; without methods while it is closed */
};

_Static_assert(sizeof(struct db_file) % sizeof(sqlite3_int64) == 0,
	       "the file behind it is aligned");

static struct db_file *db_file(sqlite3_file *file)
{
	return (struct db_file *)file;
}

/* NULL: it is closed. */
static sqlite3_file *db_file_real(sqlite3_file *file)
{
	sqlite3_file *real = db_file(file)->real;

	return real->pMethods ? real : NULL;
}

/* The methods, in the order of sqlite3_io_methods */

static int db_file_close(sqlite3_file *file)
{
	db_file_rest(file);
	return SQLITE_OK;
}

static int db_file_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xRead(real, data, size, offset) : SQLITE_IOERR_READ;
}

static int db_file_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	(void)file;
	(void)data;
	(void)size;
	(void)offset;
	return SQLITE_READONLY;
}

static int db_file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	(void)file;
	(void)size;
	return SQLITE_READONLY;
}

static int db_file_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static int db_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xFileSize(real, ret_size) : SQLITE_IOERR_FSTAT;
}

static int db_file_lock(sqlite3_file *file, int level)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xLock(real, level) : SQLITE_IOERR_LOCK;
}

/* A connection that ends gives up its locks, whatever it holds. */
static int db_file_unlock(sqlite3_file *file, int level)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xUnlock(real, level) : SQLITE_OK;
}

static int db_file_check_reserved(sqlite3_file *file, int *ret_reserved)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xCheckReservedLock(real, ret_reserved)
		    : SQLITE_IOERR_CHECKRESERVEDLOCK;
}

static int db_file_control(sqlite3_file *file, int operation, void *argument)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xFileControl(real, operation, argument) : SQLITE_NOTFOUND;
}

static int db_file_sector_size(sqlite3_file *file)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xSectorSize(real) : 0;
}

static int db_file_characteristics(sqlite3_file *file)
{
	sqlite3_file *real = db_file_real(file);

	return real ? real->pMethods->xDeviceCharacteristics(real) : 0;
}

static const sqlite3_io_methods db_file_methods = {
	.iVersion = 1,
	.xClose = db_file_close,
	.xRead = db_file_read,
	.xWrite = db_file_write,
	.xTruncate = db_file_truncate,
	.xSync = db_file_sync,
	.xFileSize = db_file_size,
	.xLock = db_file_lock,
	.xUnlock = db_file_unlock,
	.xCheckReservedLock = db_file_check_reserved,
	.xFileControl = db_file_control,
	.xSectorSize = db_file_sector_size,
	.xDeviceCharacteristics = db_file_characteristics,
};

/* Opening */

static int db_file_open_real(struct db_file *file, int *ret_flags)
{
	int r = sqlite3_vfs_find(NULL)->xOpen(file->vfs, file->path, file->real, file->flags,
					      ret_flags);

	/* SQLite may set them of a file that did not open, which is to be closed then. */
	if (r != SQLITE_OK)
		db_file_rest(&file->base);
	return r;
}

static int db_file_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
			int *ret_flags)
{
	struct db_file *ours = db_file(file);
	int r;

	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return sqlite3_vfs_find(NULL)->xOpen(vfs, path, file, flags, ret_flags);
	*ours = (struct db_file){
		.vfs = vfs,
		.path = path,
		.flags = flags,
		.real = (sqlite3_file *)(ours + 1),
	};
	ours->real->pMethods = NULL;
	r = db_file_open_real(ours, ret_flags);
	if (r == SQLITE_OK)
		ours->base.pMethods = &db_file_methods;
	return r;
}

void db_file_use(sqlite3_vfs *vfs)
{
	vfs->szOsFile += (int)sizeof(struct db_file);
	vfs->xOpen = db_file_open;
}

void db_file_rest(sqlite3_file *file)
{
	sqlite3_file *real = db_file_real(file);

	if (real)
		(void)real->pMethods->xClose(real);
	db_file(file)->real->pMethods = NULL;
}

int db_file_reopen(sqlite3_file *file)
{
	db_file_rest(file);
	return db_file_open_real(db_file(file), NULL);
}
