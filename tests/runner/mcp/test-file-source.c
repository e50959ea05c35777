/* SPDX-License-Identifier: MIT */
#include "runner/mcp/file-source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "tests/folder.h"

/* A workspace in which the agent has a folder of its own. */
static struct folder workspace;
static char agent[128];
static struct file_source source;

static int setup(void **state)
{
	(void)state;
	folder_make(&workspace);
	folder_mkdir(&workspace, "agent");
	strcpy(agent, workspace.file);
	source = (struct file_source){ .workspace = workspace.path, .folder = agent };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	folder_remove(&workspace);
	return 0;
}

static void assert_opens(const char *path, const char *text)
{
	struct err err = { "" };
	char bytes[64] = "";
	int fd = -1;

	if (file_source_open(&source, path, &fd, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(read(fd, bytes, sizeof(bytes) - 1) >= 0);
	assert_string_equal(bytes, text);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* problem follows the quoted path. */
static void assert_refused(const char *path, int code, const char *problem)
{
	struct err err = { "" };
	char expected[512];
	int fd = -1;

	assert_int_equal(file_source_open(&source, path, &fd, &err), code);
	(void)snprintf(expected, sizeof(expected), "\"%s\" %s", path, problem);
	assert_string_equal(err.text, expected);
	assert_int_equal(fd, -1);
}

static void test_open(void **state)
{
	char path[256];

	(void)state;
	folder_write(&workspace, "agent/a.txt", "hello");
	folder_mkdir(&workspace, "agent/sub");
	folder_write(&workspace, "agent/sub/b.txt", "there");
	folder_write(&workspace, "c.txt", "above");
	assert_opens("a.txt", "hello");
	assert_opens("./sub/../sub/b.txt", "there");
	assert_opens("../c.txt", "above");
	strcpy(path, folder_file(&workspace, "agent/a.txt"));
	assert_opens(path, "hello");
	assert_int_equal(symlink("a.txt", folder_file(&workspace, "agent/link")), 0);
	assert_opens("link", "hello");
	folder_write(&workspace, "agent/empty", "");
	assert_opens("empty", "");
}

static void test_nothing_there(void **state)
{
	char expected[512];
	struct err err;
	int fd;

	(void)state;
	assert_int_equal(file_source_open(&source, "no\nfile", &fd, &err), -ENOENT);
	(void)snprintf(expected, sizeof(expected), "There is no file \"no\\nfile\" in %s.", agent);
	assert_string_equal(err.text, expected);
	assert_int_equal(file_source_open(&source, "/no/file", &fd, &err), -ENOENT);
	assert_string_equal(err.text, "There is no file \"/no/file\".");
	folder_write(&workspace, "agent/a.txt", "hello");
	assert_refused("a.txt/", -ENOTDIR, "cannot be opened: Not a directory.");
	assert_int_equal(symlink("round", folder_file(&workspace, "agent/round")), 0);
	assert_refused("round", -ELOOP, "cannot be opened: Too many levels of symbolic links.");
	source.folder = "/nonexistent";
	assert_int_equal(file_source_open(&source, "a", &fd, &err), -ENOENT);
	assert_string_equal(err.text, "There is no file \"a\" in /nonexistent.");
}

static void test_no_file(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	(void)state;
	assert_refused(".", -EINVAL, "is a folder: pack it into an archive, and send that.");
	assert_int_equal(mkfifo(folder_file(&workspace, "agent/pipe"), 0600), 0);
	assert_refused("pipe", -EINVAL, "is a named pipe, not a file.");
	assert_refused("/dev/zero", -EINVAL, "is a device, not a file.");
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		       folder_file(&workspace, "agent/socket"));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_refused("socket", -EINVAL, "is a socket, not a file.");
	close(fd);
}

#define OWN "is the session's own: its databases and their like are not sent."

static void test_the_sessions_own(void **state)
{
	static const char *const names[] = { "inbound.db", "outbound.db", "outbound.db-journal",
					     "inbound.db-wal", ".heartbeat" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[128], hard[256];

		folder_write(&workspace, names[i], "secret");
		(void)snprintf(path, sizeof(path), "../%s", names[i]);
		assert_refused(path, -EPERM, OWN);
		/* By any other name. */
		assert_int_equal(symlink(path, folder_file(&workspace, "agent/symbolic")), 0);
		assert_refused("symbolic", -EPERM, OWN);
		strcpy(hard, folder_file(&workspace, "agent/hard"));
		assert_int_equal(link(folder_file(&workspace, names[i]), hard), 0);
		assert_refused("hard", -EPERM, OWN);
		assert_int_equal(unlink(hard), 0);
		assert_int_equal(unlink(folder_file(&workspace, "agent/symbolic")), 0);
	}
	/* A file of the same name elsewhere is anybody's. */
	folder_write(&workspace, "agent/inbound.db", "mine");
	assert_opens("inbound.db", "mine");
}

/* As a journal is, between its opening and the look at it. */
static void test_removed(void **state)
{
	char path[64];
	int fd;

	(void)state;
	folder_write(&workspace, "agent/gone", "secret");
	fd = open(folder_file(&workspace, "agent/gone"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(unlink(workspace.file), 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_refused(path, -ENOENT, "was removed.");
	close(fd);
}

static void test_kernel(void **state)
{
	(void)state;
	assert_refused("/proc/self/environ", -EPERM,
		       "is made up by the kernel: write what it says into a file of your own, and "
		       "send that.");
	assert_refused("/sys/kernel/notes", -EPERM,
		       "is made up by the kernel: write what it says into a file of your own, and "
		       "send that.");
}

/* What the agent is told by its MCP configuration, and the socket's folder. */
static void test_runtime_directory(void **state)
{
	char runtime[128];

	(void)state;
	folder_mkdir(&workspace, "runtime");
	strcpy(runtime, workspace.file);
	folder_write(&workspace, "runtime/servers.json", "secret");
	source.runtime = runtime;
	assert_refused("../runtime/servers.json", -EPERM,
		       "is the session's own: what is in its runtime directory is not sent.");
	assert_int_equal(symlink("../runtime", folder_file(&workspace, "agent/by-link")), 0);
	assert_refused("by-link/servers.json", -EPERM,
		       "is the session's own: what is in its runtime directory is not sent.");
	/* Another folder whose name begins so. */
	folder_mkdir(&workspace, "runtime-2");
	folder_write(&workspace, "runtime-2/a", "mine");
	assert_opens("../runtime-2/a", "mine");
}

static void test_readable(void **state)
{
	const char *const readable[] = { "/nowhere", agent, NULL }, *const none[] = { NULL };

	(void)state;
	folder_write(&workspace, "agent/a", "mine");
	folder_write(&workspace, "b", "others'");
	folder_mkdir(&workspace, "agent-2");
	folder_write(&workspace, "agent-2/c", "others'");
	assert_int_equal(symlink("../b", folder_file(&workspace, "agent/b")), 0);
	assert_int_equal(symlink("agent/a", folder_file(&workspace, "back")), 0);
	assert_opens("b", "others'");
	source.readable = readable;
	assert_opens("a", "mine");
	assert_opens("../back", "mine");
	assert_refused("b", -EACCES,
		       "is outside of the folders that you may read: it is not sent.");
	assert_refused("../agent-2/c", -EACCES,
		       "is outside of the folders that you may read: it is not sent.");
	source.readable = none;
	assert_refused("a", -EACCES,
		       "is outside of the folders that you may read: it is not sent.");
}

/* What an agent puts in the place of a folder of its own gives it no more to send. */
static void test_readable_folder_that_became_a_link(void **state)
{
	char sub[256];
	const char *const readable[] = { sub, NULL };

	(void)state;
	folder_write(&workspace, "b", "others'");
	folder_mkdir(&workspace, "agent/sub");
	strcpy(sub, workspace.file);
	folder_write(&workspace, "agent/sub/a", "mine");
	source.readable = readable;
	assert_opens("sub/a", "mine");
	assert_int_equal(rename(sub, folder_file(&workspace, "agent/away")), 0);
	assert_int_equal(symlink("/", sub), 0);
	assert_refused("../b", -EACCES,
		       "is outside of the folders that you may read: it is not sent.");
	assert_int_equal(unlink(sub), 0);
	assert_int_equal(symlink("..", sub), 0);
	assert_refused("sub/b", -EACCES,
		       "is outside of the folders that you may read: it is not sent.");
}

static void test_credentials(void **state)
{
	(void)state;
	setenv("HOME", agent, 1);
	folder_mkdir(&workspace, "agent/.ssh");
	folder_write(&workspace, "agent/.ssh/id_ed25519", "secret");
	folder_write(&workspace, "agent/.netrc", "secret");
	assert_refused(".ssh/id_ed25519", -EPERM,
		       "holds credentials (~/.ssh): such files are not sent to anybody.");
	assert_int_equal(symlink(".ssh", folder_file(&workspace, "agent/keys")), 0);
	assert_refused("keys/id_ed25519", -EPERM,
		       "holds credentials (~/.ssh): such files are not sent to anybody.");
	assert_int_equal(symlink(".netrc", folder_file(&workspace, "agent/text")), 0);
	assert_refused("text", -EPERM,
		       "holds credentials (~/.netrc): such files are not sent to anybody.");
}

static void test_too_large(void **state)
{
	(void)state;
	folder_write(&workspace, "agent/large", "");
	assert_int_equal(truncate(workspace.file, FILE_SOURCE_MAX), 0);
	assert_opens("large", "");
	assert_int_equal(truncate(folder_file(&workspace, "agent/large"), 2147483648), 0);
	assert_refused("large", -EFBIG, "has 2147483648 bytes; at most 2147483647 can be sent.");
}

/* It cannot be said whether the file is one of the session's. */
static void test_in_doubt(void **state)
{
	(void)state;
	folder_write(&workspace, "agent/a", "hello");
	assert_int_equal(symlink(".heartbeat", folder_file(&workspace, ".heartbeat")), 0);
	assert_refused("a", -ELOOP, "cannot be read: Too many levels of symbolic links.");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_open),
		CASE(test_nothing_there),
		CASE(test_no_file),
		CASE(test_the_sessions_own),
		CASE(test_removed),
		CASE(test_kernel),
		CASE(test_runtime_directory),
		CASE(test_readable),
		CASE(test_readable_folder_that_became_a_link),
		CASE(test_credentials),
		CASE(test_too_large),
		CASE(test_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
