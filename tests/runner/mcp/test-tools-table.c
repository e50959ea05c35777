/* SPDX-License-Identifier: MIT */
/* The rows themselves; the handlers are doubles that say which of them was called. */
#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "runner/mcp/tool-file.h"
#include "runner/mcp/tool-host.h"
#include "runner/mcp/tool-message.h"
#include "runner/mcp/tool-question.h"
#include "runner/mcp/tool-task.h"
#include "runner/mcp/tools.h"
#include "tests/test.h"

static const char *called;

#define DOUBLE(handler)                                          \
	void handler(struct call *call, const json_t *arguments) \
	{                                                        \
		(void)call;                                      \
		(void)arguments;                                 \
		called = #handler;                               \
	}

DOUBLE(tool_message_send)
DOUBLE(tool_file_send)
DOUBLE(tool_message_edit)
DOUBLE(tool_message_react)
DOUBLE(tool_question_ask)
DOUBLE(tool_message_card)
DOUBLE(tool_task_schedule)
DOUBLE(tool_task_list)
DOUBLE(tool_task_cancel)
DOUBLE(tool_task_pause)
DOUBLE(tool_task_resume)
DOUBLE(tool_task_update)
DOUBLE(tool_host_create_agent)
DOUBLE(tool_host_install_packages)
DOUBLE(tool_host_add_mcp_server)

#define READ_ONLY   "r"
#define DESTRUCTIVE "d"
#define IDEMPOTENT  "i"
#define OPEN_WORLD  "o"

/* What agents and hosts rely on. Arguments in order, with ! where they are required. */
static const struct {
	const char *name, *arguments, *hints, *handler;
} contract[] = {
	{ "send_message", "text! to", OPEN_WORLD, "tool_message_send" },
	{ "send_file", "path! to text filename", OPEN_WORLD, "tool_file_send" },
	{ "edit_message", "messageId! text!", DESTRUCTIVE IDEMPOTENT OPEN_WORLD,
	  "tool_message_edit" },
	{ "add_reaction", "messageId! emoji!", IDEMPOTENT OPEN_WORLD, "tool_message_react" },
	{ "ask_user_question", "title! question! options! timeout", OPEN_WORLD,
	  "tool_question_ask" },
	{ "send_card", "card! fallbackText", OPEN_WORLD, "tool_message_card" },
	{ "schedule_task", "prompt! processAfter! recurrence script", "", "tool_task_schedule" },
	{ "list_tasks", "status", READ_ONLY IDEMPOTENT, "tool_task_list" },
	{ "cancel_task", "taskId!", DESTRUCTIVE IDEMPOTENT, "tool_task_cancel" },
	{ "pause_task", "taskId!", IDEMPOTENT, "tool_task_pause" },
	{ "resume_task", "taskId!", IDEMPOTENT, "tool_task_resume" },
	{ "update_task", "taskId! prompt recurrence processAfter script", DESTRUCTIVE IDEMPOTENT,
	  "tool_task_update" },
	{ "create_agent", "name! instructions", "", "tool_host_create_agent" },
	{ "install_packages", "apt npm reason", OPEN_WORLD, "tool_host_install_packages" },
	{ "add_mcp_server", "name! command! args env", OPEN_WORLD, "tool_host_add_mcp_server" },
};

static void test_contract(void **state)
{
	size_t count;
	const struct tools_row *rows = tools_table(&count);

	(void)state;
	assert_int_equal(count, ARRAY_LEN(contract));
	for (size_t i = 0; i < count; i++) {
		char arguments[128] = "", hints[8];

		for (size_t f = 0; f < rows[i].field_count; f++) {
			strcat(arguments, f ? " " : "");
			strcat(arguments, rows[i].fields[f].name);
			strcat(arguments, rows[i].fields[f].is_required ? "!" : "");
		}
		(void)snprintf(hints, sizeof(hints), "%s%s%s%s",
			       rows[i].is_read_only ? READ_ONLY : "",
			       rows[i].is_destructive ? DESTRUCTIVE : "",
			       rows[i].is_idempotent ? IDEMPOTENT : "",
			       rows[i].is_open_world ? OPEN_WORLD : "");
		assert_string_equal(rows[i].name, contract[i].name);
		assert_string_equal(arguments, contract[i].arguments);
		assert_string_equal(hints, contract[i].hints);
		rows[i].run(NULL, NULL);
		assert_string_equal(called, contract[i].handler);
		assert_ptr_equal(tools_find(rows[i].name), &rows[i]);
	}
}

/* Something is said of everything, in whole sentences. */
static void assert_described(const char *text)
{
	assert_non_null(text);
	assert_true(strlen(text) > 8);
	assert_null(strstr(text, "  "));
	assert_true(text[strlen(text) - 1] == '.' || strcmp(text + strlen(text) - 2, "?\"") == 0);
}

static void test_descriptions(void **state)
{
	size_t count;
	const struct tools_row *rows = tools_table(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_true(strlen(rows[i].title) > 5);
		assert_described(rows[i].description);
		for (size_t f = 0; f < rows[i].field_count; f++)
			assert_described(rows[i].fields[f].description);
	}
}

static void test_list_is_json(void **state)
{
	const struct tools_offer offer = { .prefix = "" };
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *list = NULL;

	(void)state;
	assert_int_equal(tools_append_list(&offer, &out), 0);
	assert_int_equal(json_parse(out.data, out.len, &list, NULL), 0);
	assert_int_equal(json_array_size(list), ARRAY_LEN(contract));
	for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
		const json_t *row = json_array_get(list, i);

		assert_string_equal(json_member_string(row, "name"), contract[i].name);
		assert_true(json_is_object(json_member(row, "inputSchema")));
	}
	/* All of it stands in every prompt of the agent: it must not grow unnoticed. */
	assert_true(out.len < 12 * 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contract),
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_list_is_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
