/* SPDX-License-Identifier: MIT */
#include "runner/store/db-file.h"

#include <string.h>
#include <unistd.h>

#include "tests/folder.h"
#include "tests/sqlite.h"
#include "tests/test.h"

static struct folder folder;
static sqlite3_vfs vfs;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	sqlite_run(folder_file(&folder, "a.db"), "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
	vfs = *sqlite3_vfs_find(NULL);
	vfs.pNext = NULL;
	vfs.zName = "test";
	db_file_use(&vfs);
	assert_int_equal(sqlite3_vfs_register(&vfs, 0), SQLITE_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)sqlite3_vfs_unregister(&vfs);
	folder_remove(&folder);
	return 0;
}

static sqlite3 *open_file(sqlite3_file **ret_file)
{
	sqlite3 *handle;

	assert_int_equal(sqlite3_open_v2(folder_file(&folder, "a.db"), &handle,
					 SQLITE_OPEN_READONLY, "test"),
			 SQLITE_OK);
	assert_int_equal(sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, ret_file),
			 SQLITE_OK);
	return handle;
}

/* The only column of the only row. */
static int value(sqlite3_stmt *s)
{
	int n;

	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	n = sqlite3_column_int(s, 0);
	assert_int_equal(sqlite3_reset(s), SQLITE_OK);
	return n;
}

/* The statement reads what is there under the name now, through a file of its own. */
static void test_reopen(void **state)
{
	sqlite3_file *file;
	sqlite3 *handle = open_file(&file);
	sqlite3_stmt *s;
	char path[256];

	(void)state;
	strcpy(path, folder_file(&folder, "a.db"));
	assert_int_equal(sqlite3_prepare_v2(handle, "SELECT a FROM t", -1, &s, NULL), SQLITE_OK);
	assert_int_equal(value(s), 1);
	db_file_rest(file);
	sqlite_run(folder_file(&folder, "b.db"),
		   "CREATE TABLE t (a); INSERT INTO t VALUES (2);"
		   "INSERT INTO t VALUES (3); DELETE FROM t WHERE a > 2");
	assert_int_equal(rename(folder_file(&folder, "b.db"), path), 0);
	assert_int_equal(db_file_reopen(file), SQLITE_OK);
	assert_int_equal(value(s), 2);
	/* Of a file that is open, too. */
	sqlite_run(path, "UPDATE t SET a = 4");
	assert_int_equal(db_file_reopen(file), SQLITE_OK);
	assert_int_equal(value(s), 4);
	sqlite3_finalize(s);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

static void test_closed(void **state)
{
	sqlite3_file *file;
	sqlite3 *handle = open_file(&file);
	sqlite3_int64 size;
	int reserved;
	char byte;

	(void)state;
	assert_int_equal(file->pMethods->xRead(file, &byte, 1, 0), SQLITE_OK);
	assert_int_equal(byte, 'S');
	assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_OK);
	assert_true(file->pMethods->xSectorSize(file) > 0);
	db_file_rest(file);
	db_file_rest(file);
	assert_int_equal(file->pMethods->xRead(file, &byte, 1, 0), SQLITE_IOERR_READ);
	assert_int_equal(file->pMethods->xFileSize(file, &size), SQLITE_IOERR_FSTAT);
	assert_int_equal(file->pMethods->xLock(file, SQLITE_LOCK_SHARED), SQLITE_IOERR_LOCK);
	assert_int_equal(file->pMethods->xUnlock(file, SQLITE_LOCK_NONE), SQLITE_OK);
	assert_int_equal(file->pMethods->xCheckReservedLock(file, &reserved),
			 SQLITE_IOERR_CHECKRESERVEDLOCK);
	assert_int_equal(file->pMethods->xFileControl(file, SQLITE_FCNTL_HAS_MOVED, &reserved),
			 SQLITE_NOTFOUND);
	assert_int_equal(file->pMethods->xSectorSize(file), 0);
	assert_int_equal(file->pMethods->xDeviceCharacteristics(file), 0);
	assert_int_equal(sqlite3_exec(handle, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_IOERR);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
}

/* It is missing: the connection can be closed, and no more. */
static void test_missing(void **state)
{
	sqlite3_file *file;
	sqlite3 *handle = open_file(&file);

	(void)state;
	assert_int_equal(unlink(folder_file(&folder, "a.db")), 0);
	assert_int_equal(db_file_reopen(file) & 0xff, SQLITE_CANTOPEN);
	assert_int_equal(sqlite3_exec(handle, "SELECT * FROM t", NULL, NULL, NULL), SQLITE_IOERR);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
	assert_int_equal(sqlite3_open_v2(folder_file(&folder, "a.db"), &handle,
					 SQLITE_OPEN_READONLY, "test"),
			 SQLITE_CANTOPEN);
	sqlite3_close(handle);
}

static void test_is_for_reading(void **state)
{
	sqlite3_file *file;
	sqlite3 *handle = open_file(&file);

	(void)state;
	assert_int_equal(file->pMethods->xWrite(file, "x", 1, 0), SQLITE_READONLY);
	assert_int_equal(file->pMethods->xTruncate(file, 0), SQLITE_READONLY);
	assert_int_equal(file->pMethods->xSync(file, SQLITE_SYNC_FULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(handle), SQLITE_OK);
	assert_string_equal(sqlite_query(folder_file(&folder, "a.db"), "SELECT a FROM t",
					 &(struct sqlite_result){ "" }),
			    "1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_is_for_reading, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
