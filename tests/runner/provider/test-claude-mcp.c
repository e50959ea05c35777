/* SPDX-License-Identifier: MIT */
#include "runner/provider/claude-mcp.h"

#include <errno.h>

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

/* Writes the list, which then is this one; the file itself is test-cli-mcp's. */
static void assert_written(const struct world *w, const char *expected)
{
	cleanup_free char *path = NULL;
	char text[512] = "";
	struct err err = { "" };
	FILE *file;

	if (claude_mcp_write(&w->query, &path, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(path, w->path);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	fclose(file);
	assert_string_equal(text, expected);
}

/* What the agent must never be without is never hidden from it. */
static void test_our_own_server(void **state)
{
	struct world *w = *state;

	add(w, "files", "npx", "-y");
	add(w, "nanoclaw", "/x/agent-runner", "mcp");
	w->query.own_server = "nanoclaw";
	assert_written(w, "{\"mcpServers\":{\"files\":{\"command\":\"npx\",\"args\":[\"-y\"]},"
			  "\"nanoclaw\":{\"command\":\"/x/agent-runner\",\"args\":[\"mcp\"],"
			  "\"alwaysLoad\":true}}}\n");
	/* The list that was handed in is not changed by it. */
	assert_null(json_object_get(json_object_get(w->servers, "nanoclaw"), "alwaysLoad"));
	w->query.own_server = NULL;
	assert_written(w, "{\"mcpServers\":{\"files\":{\"command\":\"npx\",\"args\":[\"-y\"]},"
			  "\"nanoclaw\":{\"command\":\"/x/agent-runner\",\"args\":[\"mcp\"]}}}\n");
}

static void test_patterns(void **state)
{
	struct world *w = *state;
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	assert_int_equal(claude_mcp_append_patterns(NULL, &out), 0);
	assert_int_equal(claude_mcp_append_patterns(w->servers, &out), 0);
	assert_int_equal(out.len, 0);
	strbuf_puts(&out, "Bash");
	add(w, "nanoclaw", "x", "y");
	add(w, "A-z_09", "x", "y");
	add(w, "nano.claw x,Bash(*)", "x", "y");
	add(w, "\xc3\xbc-\xe2\x82\xac-\xf0\x9f\x98\x80", "x", "y");
	assert_int_equal(claude_mcp_append_patterns(w->servers, &out), 0);
	assert_string_equal(out.data, "Bash,mcp__nanoclaw__*,mcp__A-z_09__*,"
				      "mcp__nano_claw_x_Bash_____*,mcp___-_-____*");
	out.error = -ENOMEM;
	assert_int_equal(claude_mcp_append_patterns(w->servers, &out), -ENOMEM);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_our_own_server),
		CASE(test_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
