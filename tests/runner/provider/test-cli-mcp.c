/* SPDX-License-Identifier: MIT */
#include "runner/provider/cli-mcp.h"

#include <errno.h>
#include <fcntl.h>

#include "tests/folder.h"
#include "tests/test.h"

struct world {
	struct folder folder;
	json_t *servers;
	struct provider_query query;
	char path[96]; /* where the list belongs */
};

static int setup(void **state)
{
	static struct world world;
	struct world *w = &world;

	*w = (struct world){ .servers = json_object() };
	folder_make(&w->folder);
	strcpy(w->path, folder_file(&w->folder, "mcp-servers.json"));
	w->query = (struct provider_query){
		.cwd = "/",
		.config_dir = w->folder.path,
		.mcp_servers = w->servers,
	};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	json_decref(w->servers);
	folder_remove(&w->folder);
	return 0;
}

static void add(struct world *w, const char *name, const char *command, const char *arg)
{
	assert_int_equal(
		json_object_set_new(w->servers, name,
				    json_pack("{s:s, s:[s]}", "command", command, "args", arg)),
		0);
}

static int mark(json_t *server, bool is_own)
{
	return is_own ? json_object_set_new(server, "own", json_true()) : 0;
}

/* Writes the list, which then is this one, and ours alone. */
static void assert_written(const struct world *w, const char *expected)
{
	cleanup_free char *path = NULL;
	char text[512] = "";
	struct err err = { "" };
	struct stat st;
	FILE *file;

	if (cli_mcp_write(&w->query, mark, &path, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(path, w->path);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_string_equal(text, expected);
}

static void test_a_list(void **state)
{
	struct world *w = *state;

	add(w, "files", "npx", "-y");
	w->query.own_server = "nanoclaw";
	assert_written(w, "{\"mcpServers\":{\"files\":{\"command\":\"npx\",\"args\":[\"-y\"]}}}\n");
}

static void test_what_a_cli_wants_beside(void **state)
{
	struct world *w = *state;

	add(w, "files", "npx", "-y");
	add(w, "nanoclaw", "/x/agent-runner", "mcp");
	w->query.own_server = "nanoclaw";
	assert_written(w, "{\"mcpServers\":{\"files\":{\"command\":\"npx\",\"args\":[\"-y\"]},"
			  "\"nanoclaw\":{\"command\":\"/x/agent-runner\",\"args\":[\"mcp\"],"
			  "\"own\":true}}}\n");
	/* The list that was handed in is not changed by it. */
	assert_null(json_object_get(json_object_get(w->servers, "nanoclaw"), "own"));
}

static void test_no_servers(void **state)
{
	struct world *w = *state;
	char *path = w->path;

	assert_int_equal(cli_mcp_write(&w->query, mark, &path, NULL), 0);
	assert_null(path);
	path = w->path;
	w->query.mcp_servers = NULL;
	w->query.config_dir = NULL;
	assert_int_equal(cli_mcp_write(&w->query, mark, &path, NULL), 0);
	assert_null(path);
	assert_int_equal(access(w->path, F_OK), -1);
}

/* Whoever holds the old file open does not read the new one; a wider mode is gone with it. */
static void test_an_older_file(void **state)
{
	struct world *w = *state;
	cleanup_close int fd = -1;
	char byte;

	folder_write(&w->folder, "mcp-servers.json", "");
	assert_int_equal(chmod(w->path, 0666), 0);
	fd = open(w->path, O_RDONLY | O_CLOEXEC);
	add(w, "a", "b", "c");
	assert_written(w, "{\"mcpServers\":{\"a\":{\"command\":\"b\",\"args\":[\"c\"]}}}\n");
	assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_a_link_is_not_followed(void **state)
{
	struct world *w = *state;
	char target[96];
	struct stat st;

	strcpy(target, folder_file(&w->folder, "target"));
	folder_write(&w->folder, "target", "");
	assert_int_equal(symlink(target, w->path), 0);
	add(w, "a", "b", "c");
	assert_written(w, "{\"mcpServers\":{\"a\":{\"command\":\"b\",\"args\":[\"c\"]}}}\n");
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void assert_fails(const struct world *w, int r, const char *text)
{
	char *path = NULL;
	struct err err;

	assert_int_equal(cli_mcp_write(&w->query, mark, &path, &err), r);
	assert_null(path);
	assert_string_equal(err.text, text);
}

static void test_no_place_for_it(void **state)
{
	struct world *w = *state;

	add(w, "a", "b", "c");
	w->query.config_dir = NULL;
	assert_fails(w, -ENOENT, "there is no private folder for the list of MCP servers");
	w->query.config_dir = "/nonexistent/folder";
	assert_fails(w, -ENOENT, "/nonexistent/folder: No such file or directory");
	/* What an agent made of its place. */
	w->query.config_dir = w->folder.path;
	folder_mkdir(&w->folder, "mcp-servers.json");
	folder_write(&w->folder, "mcp-servers.json/full", "");
	assert_written(w, "{\"mcpServers\":{\"a\":{\"command\":\"b\",\"args\":[\"c\"]}}}\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_list),
		CASE(test_what_a_cli_wants_beside),
		CASE(test_no_servers),
		CASE(test_an_older_file),
		CASE(test_a_link_is_not_followed),
		CASE(test_no_place_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
