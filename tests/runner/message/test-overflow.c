/* SPDX-License-Identifier: MIT */
#include "runner/message/overflow.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "common/fd.h"
#include "common/table.h"
#include "tests/folder.h"

#define HELLO_FILE "text-a430d84680aabd0b.txt" /* FNV-1a of "hello" */

static int setup(void **state)
{
	struct folder *folder = malloc(sizeof(*folder));

	folder_make(folder);
	umask(022);
	*state = folder;
	return 0;
}

static int teardown(void **state)
{
	folder_remove(*state);
	free(*state);
	return 0;
}

/* Writes, and asserts that the path is that of name below the workspace. */
static void assert_written(struct folder *w, const char *id, const char *text, size_t len,
			   const char *name)
{
	cleanup_strbuf struct strbuf path = STRBUF_EMPTY;
	cleanup_free char *read = NULL;
	struct err err = { "" };
	size_t read_len;

	assert_int_equal(overflow_write(w->path, id, text, len, &path, &err), 0);
	assert_string_equal(err.text, "");
	assert_string_equal(path.data, folder_file(w, name));
	assert_int_equal(fd_read_file(path.data, len + 1, &read, &read_len, NULL), 0);
	assert_int_equal(read_len, len);
	assert_memory_equal(read, text, len);
}

static void assert_refused(struct folder *w, int expected, const char *expected_text)
{
	cleanup_strbuf struct strbuf path = STRBUF_EMPTY;
	struct err err = { "" };
	char text[512];

	assert_int_equal(overflow_write(w->path, "m1", "hello", 5, &path, &err), expected);
	assert_int_equal(path.len, 0);
	(void)snprintf(text, sizeof(text), "%s%s", w->path, expected_text);
	assert_string_equal(err.text, text);
}

static mode_t mode_of(struct folder *w, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(folder_file(w, name), &st), 0);
	return st.st_mode;
}

/* Names in the folder, without "." and "..". */
static size_t entries(struct folder *w, const char *name)
{
	cleanup_closedir DIR *dir = opendir(folder_file(w, name));
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count - 2;
}

static void test_a_file_beside_the_attachments(void **state)
{
	struct folder *w = *state;
	cleanup_strbuf struct strbuf path = STRBUF_EMPTY;

	assert_written(w, "m1", "hello", 5, "inbox/m1/" HELLO_FILE);
	assert_int_equal(mode_of(w, "inbox"), S_IFDIR | 0755);
	assert_int_equal(mode_of(w, "inbox/m1"), S_IFDIR | 0755);
	assert_int_equal(mode_of(w, "inbox/m1/" HELLO_FILE), S_IFREG | 0644);
	assert_int_equal(entries(w, "inbox"), 1);
	assert_int_equal(entries(w, "inbox/m1"), 1);
	/* The path is appended. */
	strbuf_puts(&path, "in ");
	assert_int_equal(overflow_write(w->path, "m1", "hello", 5, &path, NULL), 0);
	assert_memory_equal(path.data, "in /", 4);
}

static void test_any_bytes(void **state)
{
	struct folder *w = *state;
	cleanup_free char *text = calloc(1, 3000000);

	assert_written(w, "m1", "", 0, "inbox/m1/text-cbf29ce484222325.txt");
	assert_written(w, "m1", "a", 1, "inbox/m1/text-af63dc4c8601ec8c.txt");
	assert_written(w, "m1", "\xff\0\n", 3, "inbox/m1/text-f920ff1be4162da0.txt");
	assert_written(w, "m1", text, 3000000, "inbox/m1/text-67a9784a73a64a25.txt");
}

static void test_once_more_changes_nothing(void **state)
{
	struct folder *w = *state;

	folder_mkdir(w, "inbox");
	folder_mkdir(w, "inbox/m1");
	folder_write(w, "inbox/m1/photo.jpg", "jpeg");
	for (int i = 0; i < 2; i++)
		assert_written(w, "m1", "hello", 5, "inbox/m1/" HELLO_FILE);
	assert_int_equal(entries(w, "inbox/m1"), 2);
	assert_int_equal(mode_of(w, "inbox/m1/photo.jpg"), S_IFREG | 0644);
}

static void test_one_is_left_from_a_crash(void **state)
{
	struct folder *w = *state;

	folder_mkdir(w, "inbox");
	folder_mkdir(w, "inbox/m1");
	folder_write(w, "inbox/m1/." HELLO_FILE ".tmp", "hel");
	assert_written(w, "m1", "hello", 5, "inbox/m1/" HELLO_FILE);
	assert_int_equal(entries(w, "inbox/m1"), 1);
}

static void test_plain_ids(void **state)
{
	static const char *const ids[] = { "m1",
					   "msg_1-a.b",
					   "slack:C01+2@x",
					   "-rf",
					   "_",
					   "0123456789012345678901234567890123456789012345678901234"
					   "5678901234567890123456789012345678901234567890123456789"
					   "012345678901234567" };
	char name[256];

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		(void)snprintf(name, sizeof(name), "inbox/%s/" HELLO_FILE, ids[i]);
		assert_written(*state, ids[i], "hello", 5, name);
	}
}

/* No id leads out of the inbox, and no two fall into one folder. */
static void test_other_ids(void **state)
{
	static const struct {
		const char *id, *folder;
	} rows[] = {
		{ "", "-cbf29ce484222325" },
		{ ".", "_-af63a34c86018bb1" },
		{ "..", "__-07da1a07b4a03f2d" },
		{ ".hidden", "_hidden-28280da0cdcb6865" },
		{ "a/b", "a_b-e620c3190468cf61" },
		{ "a\\b", "a_b-e6b9b11904eabd96" },
		{ "../../etc/passwd", "______etc_passwd-2bef2c0bbbdefdfa" },
		{ "/etc/passwd", "_etc_passwd-8cd5faba57335497" },
		{ "a b\n", "a_b_-c149bd82aaf92a48" },
		{ "caf\xc3\xa9", "caf__-48e8823acfa40d89" },
	};
	char name[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		(void)snprintf(name, sizeof(name), "inbox/%s/" HELLO_FILE, rows[i].folder);
		assert_written(*state, rows[i].id, "hello", 5, name);
	}
	assert_int_equal(entries(*state, ""), 1);
	assert_int_equal(entries(*state, "inbox"), ARRAY_LEN(rows));
}

static void test_long_ids(void **state)
{
	char id[1024] = "";

	memset(id, 'x', 129);
	assert_written(*state, id, "hello", 5,
		       "inbox/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-"
		       "78d48e38324d7507/" HELLO_FILE);
	memset(id, 'x', sizeof(id) - 1);
	assert_written(*state, id, "hello", 5,
		       "inbox/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-"
		       "e53d23e460cadbbf/" HELLO_FILE);
}

/* The agent may write there too: whatever link it puts in the way, nothing outside is touched. */
static void test_no_link_is_followed(void **state)
{
	struct folder *w = *state;
	struct folder outside;

	folder_make(&outside);
	assert_int_equal(symlink(outside.path, folder_file(w, "inbox")), 0);
	assert_refused(w, -ENOTDIR, "/inbox: Not a directory");
	assert_int_equal(unlink(folder_file(w, "inbox")), 0);

	folder_mkdir(w, "inbox");
	assert_int_equal(symlink(outside.path, folder_file(w, "inbox/m1")), 0);
	assert_refused(w, -ENOTDIR, "/inbox/m1: Not a directory");
	assert_int_equal(unlink(folder_file(w, "inbox/m1")), 0);
	assert_int_equal(entries(&outside, ""), 0);

	folder_mkdir(w, "inbox/m1");
	folder_write(&outside, "precious", "precious");
	assert_int_equal(symlink(outside.file, folder_file(w, "inbox/m1/" HELLO_FILE)), 0);
	assert_int_equal(symlink(outside.file, folder_file(w, "inbox/m1/." HELLO_FILE ".tmp")), 0);
	assert_written(w, "m1", "hello", 5, "inbox/m1/" HELLO_FILE);
	assert_int_equal(mode_of(w, "inbox/m1/" HELLO_FILE), S_IFREG | 0644);
	assert_int_equal(entries(w, "inbox/m1"), 1);
	assert_written(&outside, "x", "precious", 8, "inbox/x/text-687f60693cfac62f.txt");
	folder_remove(&outside);
}

static void test_something_else_is_in_the_way(void **state)
{
	struct folder *w = *state;

	folder_write(w, "inbox", "");
	assert_refused(w, -ENOTDIR, "/inbox: Not a directory");
	assert_int_equal(unlink(folder_file(w, "inbox")), 0);
	folder_mkdir(w, "inbox");
	assert_int_equal(mkfifo(folder_file(w, "inbox/m1"), 0600), 0);
	assert_refused(w, -ENOTDIR, "/inbox/m1: Not a directory");
	assert_int_equal(unlink(folder_file(w, "inbox/m1")), 0);
	folder_mkdir(w, "inbox/m1");
	folder_mkdir(w, "inbox/m1/" HELLO_FILE);
	assert_refused(w, -EISDIR, "/inbox/m1/" HELLO_FILE ": Is a directory");
	assert_int_equal(entries(w, "inbox/m1"), 1);
}

static void test_the_workspace_is_missing(void **state)
{
	struct folder *w = *state;
	cleanup_strbuf struct strbuf path = STRBUF_EMPTY;
	struct err err;
	char text[256];

	assert_int_equal(overflow_write(folder_file(w, "none"), "m1", "hello", 5, &path, &err),
			 -ENOENT);
	(void)snprintf(text, sizeof(text), "%s/none: No such file or directory", w->path);
	assert_string_equal(err.text, text);
	assert_int_equal(path.len, 0);
}

static void test_the_disk_is_full(void **state)
{
	const struct rlimit little = { 4, RLIM_INFINITY };
	struct folder *w = *state;
	struct rlimit before;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_refused(w, -EFBIG, "/inbox/m1/" HELLO_FILE ": File too large");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
	/* Neither half a text nor its temporary file is left. */
	assert_int_equal(entries(w, "inbox/m1"), 0);
	assert_written(w, "m1", "hello", 5, "inbox/m1/" HELLO_FILE);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_a_file_beside_the_attachments),
		test(test_any_bytes),
		test(test_once_more_changes_nothing),
		test(test_one_is_left_from_a_crash),
		test(test_plain_ids),
		test(test_other_ids),
		test(test_long_ids),
		test(test_no_link_is_followed),
		test(test_something_else_is_in_the_way),
		test(test_the_workspace_is_missing),
		test(test_the_disk_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
