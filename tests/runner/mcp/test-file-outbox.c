/* SPDX-License-Identifier: MIT */
#include "runner/mcp/file-outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "common/table.h"
#include "tests/folder.h"

#define TEN   "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static void test_names(void **state)
{
	static const struct {
		const char *given, *name;
	} rows[] = {
		{ "report.pdf", "report.pdf" },
		{ ".bashrc", ".bashrc" },
		{ "...", "..." },
		{ "a b\xc2\xa0\xc3\xa9 \xf0\x9f\x98\x80 (1).tar.gz", NULL },
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "a.pdf", FIFTY FIFTY FIFTY FIFTY FIFTY "a.pdf" },
		/* 256 bytes and more: what stands before the extension goes. */
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "ab.pdf", FIFTY FIFTY FIFTY FIFTY FIFTY "a.pdf" },
		{ FIFTY FIFTY FIFTY FIFTY FIFTY TEN ".pdf", FIFTY FIFTY FIFTY FIFTY FIFTY "0.pdf" },
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "0123456", FIFTY FIFTY FIFTY FIFTY FIFTY "01234" },
		/* Never in the midst of a character. */
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "\xc3\xa9\xc3\xa9.md",
		  FIFTY FIFTY FIFTY FIFTY FIFTY "\xc3\xa9.md" },
		{ FIFTY FIFTY FIFTY FIFTY FIFTY "a\xf0\x9f\x98\x80.md",
		  FIFTY FIFTY FIFTY FIFTY FIFTY "a.md" },
		/* So long an ending is no extension. */
		{ "a." FIFTY FIFTY FIFTY FIFTY FIFTY TEN,
		  "a." FIFTY FIFTY FIFTY FIFTY FIFTY "012" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[FILE_OUTBOX_NAME_SIZE] = "";

		assert_int_equal(file_outbox_name(rows[i].given, name, NULL), 0);
		assert_string_equal(name, rows[i].name ? rows[i].name : rows[i].given);
	}
}

static void test_no_names(void **state)
{
	static const struct {
		const char *given, *problem;
	} rows[] = {
		{ "", "\"\" cannot be the name of a file that is sent: it is empty." },
		{ ".", "\".\" cannot be the name of a file that is sent: it stands for a folder." },
		{ "..",
		  "\"..\" cannot be the name of a file that is sent: it stands for a folder." },
		{ "../a",
		  "\"../a\" cannot be the name of a file that is sent: it contains / or \\." },
		{ "/", "\"/\" cannot be the name of a file that is sent: it contains / or \\." },
		{ "..\\a",
		  "\"..\\\\a\" cannot be the name of a file that is sent: it contains / or \\." },
		{ "a\nb",
		  "\"a\\nb\" cannot be the name of a file that is sent: it contains control "
		  "characters." },
		{ "a\x7f",
		  "\"a\\x7f\" cannot be the name of a file that is sent: it contains control "
		  "characters." },
		{ "\xc2\x85",
		  "\"\\xc2\\x85\" cannot be the name of a file that is sent: it contains control "
		  "characters." },
		{ ".copy-0123456789abcdef",
		  "\".copy-0123456789abcdef\" cannot be the name of a file that is sent: "
		  "unfinished copies are called so." },
		{ "a\xff",
		  "\"a\\xff\" cannot be the name of a file that is sent: it is not UTF-8." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[FILE_OUTBOX_NAME_SIZE] = "";
		struct err err = { "" };

		assert_int_equal(file_outbox_name(rows[i].given, name, &err), -EINVAL);
		assert_string_equal(err.text, rows[i].problem);
		assert_string_equal(name, "");
	}
}

static struct folder folder;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&folder);
	return 0;
}

static void assert_there(const char *name, bool is_there)
{
	assert_int_equal(access(folder_file(&folder, name), F_OK) == 0, is_there);
}

static void test_make_and_remove(void **state)
{
	struct file_outbox outbox = FILE_OUTBOX_NONE, second = FILE_OUTBOX_NONE;

	(void)state;
	assert_int_equal(file_outbox_make(folder.path, "msg-1", &outbox, NULL), 0);
	assert_there("outbox/msg-1", true);
	folder_write(&folder, "outbox/msg-1/a", "x");
	assert_int_equal(faccessat(outbox.folder, "a", F_OK, 0), 0);
	assert_int_equal(file_outbox_make(folder.path, "msg-2", &second, NULL), 0);
	file_outbox_remove(&outbox, "a");
	assert_there("outbox/msg-1", false);
	assert_there("outbox/msg-2", true);
	file_outbox_close(&outbox);
	file_outbox_close(&outbox);
	file_outbox_remove(&outbox, "a");
	/* What else lies there is not ours. */
	folder_write(&folder, "outbox/msg-2/b", "x");
	file_outbox_remove(&second, "a");
	assert_there("outbox/msg-2/b", true);
	file_outbox_close(&second);
}

static void test_another_of_this_name(void **state)
{
	struct file_outbox outbox = FILE_OUTBOX_NONE;
	struct err err;

	(void)state;
	folder_mkdir(&folder, "outbox");
	folder_mkdir(&folder, "outbox/msg-1");
	assert_int_equal(file_outbox_make(folder.path, "msg-1", &outbox, &err), -EEXIST);
	assert_string_equal(err.text, "cannot make the folder msg-1: File exists");
	assert_there("outbox/msg-1", true);
	assert_int_equal(outbox.folder, -1);
}

static void test_links_are_not_followed(void **state)
{
	struct file_outbox outbox = FILE_OUTBOX_NONE;
	struct err err;

	(void)state;
	folder_mkdir(&folder, "elsewhere");
	assert_int_equal(symlink("elsewhere", folder_file(&folder, "outbox")), 0);
	assert_int_equal(file_outbox_make(folder.path, "msg-1", &outbox, &err), -ENOTDIR);
	assert_string_equal(err.text, "cannot use the folder outbox: Not a directory");
	assert_there("elsewhere/msg-1", false);
	assert_int_equal(unlink(folder_file(&folder, "outbox")), 0);
	folder_mkdir(&folder, "outbox");
	assert_int_equal(symlink("../elsewhere", folder_file(&folder, "outbox/msg-1")), 0);
	assert_int_equal(file_outbox_make(folder.path, "msg-1", &outbox, &err), -EEXIST);
	assert_int_equal(file_outbox_make("/nonexistent", "msg-1", &outbox, &err), -ENOENT);
	assert_string_equal(err.text,
			    "cannot use the folder /nonexistent: No such file or directory");
}

#define LEFT "/.copy-0123456789abcdef"

static void test_sweep(void **state)
{
	static const char *const folders[] = { "elsewhere", "outbox", "outbox/msg-1",
					       "outbox/msg-2", "outbox/msg-3" };

	(void)state;
	assert_int_equal(file_outbox_sweep("/nonexistent", NULL), 0);
	assert_int_equal(file_outbox_sweep(folder.path, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		folder_mkdir(&folder, folders[i]);
	folder_write(&folder, "outbox/msg-1" LEFT, "x");
	folder_write(&folder, "outbox/msg-2" LEFT, "x");
	folder_write(&folder, "outbox/msg-2/report.pdf", "x");
	folder_write(&folder, "outbox" LEFT, "x");
	folder_write(&folder, "elsewhere" LEFT, "x");
	assert_int_equal(symlink("../elsewhere", folder_file(&folder, "outbox/msg-4")), 0);
	assert_int_equal(file_outbox_sweep(folder.path, NULL), 2);
	assert_there("outbox/msg-1", false);
	assert_there("outbox/msg-2" LEFT, false);
	assert_there("outbox/msg-2/report.pdf", true);
	/* An empty folder may be one in which a copy begins, and what lies elsewhere is not ours. */
	assert_there("outbox/msg-3", true);
	assert_there("outbox" LEFT, true);
	assert_there("elsewhere" LEFT, true);
	assert_int_equal(file_outbox_sweep(folder.path, NULL), 0);
}

static int has_row(void *userdata, const char *id)
{
	(void)userdata;
	return strstr(id, "known") ? 1 : strstr(id, "locked") ? -EAGAIN : 0;
}

/* A kill came between a copy and its row. */
static void test_sweep_of_what_no_row_names(void **state)
{
	static const struct file_outbox_rows rows = { 2000, has_row, NULL };
	static const struct {
		const char *id;
		bool stays;
	} cases[] = {
		{ "msg-1999-aknown", true },  { "msg-1999-alocked", true },
		{ "msg-1999-locked", true },  { "msg-1999-abcdef", false },
		{ "msg-2000-abcdef", true },  { "msg-1999-abcdefg", true },
		{ "msg--abcdef", true },      { "msg-1999999999999999-abcdef", true },
		{ "task-1999-abcdef", true }, { "other", true },
	};

	(void)state;
	folder_mkdir(&folder, "outbox");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "outbox/%s", cases[i].id);
		folder_mkdir(&folder, name);
		strcat(name, "/report.pdf");
		folder_write(&folder, name, "x");
	}
	folder_mkdir(&folder, "outbox/msg-1000-abcdef");
	folder_mkdir(&folder, "outbox/msg-1001-abcdef");
	folder_mkdir(&folder, "outbox/msg-1001-abcdef/folder");
	assert_int_equal(file_outbox_sweep(folder.path, &rows), 1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "outbox/%s", cases[i].id);
		assert_there(name, cases[i].stays);
	}
	assert_there("outbox/msg-1000-abcdef", false);
	assert_there("outbox/msg-1001-abcdef/folder", true);
}

static void test_sweep_follows_no_link(void **state)
{
	(void)state;
	folder_mkdir(&folder, "elsewhere");
	folder_mkdir(&folder, "elsewhere/msg-1");
	folder_write(&folder, "elsewhere/msg-1" LEFT, "x");
	assert_int_equal(symlink("elsewhere", folder_file(&folder, "outbox")), 0);
	assert_int_equal(file_outbox_sweep(folder.path, NULL), 0);
	assert_there("elsewhere/msg-1" LEFT, true);
}

static void test_sweep_ends(void **state)
{
	char name[64];

	(void)state;
	folder_mkdir(&folder, "outbox");
	for (int i = 0; i < FILE_OUTBOX_SWEEP_MAX + 10; i++) {
		(void)snprintf(name, sizeof(name), "outbox/msg-%d", i);
		folder_mkdir(&folder, name);
		strcat(name, LEFT);
		folder_write(&folder, name, "");
	}
	assert_in_range(file_outbox_sweep(folder.path, NULL), FILE_OUTBOX_SWEEP_MAX - 2,
			FILE_OUTBOX_SWEEP_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test_setup_teardown(test_make_and_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_of_this_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_are_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep_of_what_no_row_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep_follows_no_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
