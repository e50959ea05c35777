/* SPDX-License-Identifier: MIT */
#include "runner/mcp/tool-file.h"

#include <dirent.h>
#include <errno.h>
#include <time.h>

#include "common/clock.h"
#include "common/fd.h"
#include "tests/runner/mcp/tool.h"

#define MIB (1024 * 1024)

/* Time goes on by step whenever somebody looks. */
static struct {
	int64_t now, step;
} times;

int64_t clock_monotonic_ms(void)
{
	return times.now += times.step;
}

int64_t clock_realtime_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct {
	int progresses;
	double done, total;
	void (*at_progress)(void);
	void (*at_sent)(void);
} file;

static void on_sent(void *userdata, const char *to, const char *thread, const char *text)
{
	tool_sent(userdata, to, thread, text);
	if (file.at_sent)
		file.at_sent();
}

static int on_write(void *userdata, const struct outbound_message *message, struct call *call)
{
	if (tool.writes_later)
		loop_stop(tool.context.loop, 0);
	return tool_write(userdata, message, call);
}

static int setup(void **state)
{
	static struct call_services services;

	tool_setup(state);
	services = *tool.context.services;
	services.sent = on_sent;
	services.write = on_write;
	tool.context.services = &services;
	memset(&file, 0, sizeof(file));
	times.step = 1;
	return 0;
}

static void on_ended(void *userdata, struct call *call, const char *text, bool is_error)
{
	tool_ended(userdata, call, text, is_error);
	loop_stop(tool.context.loop, 0);
}

static void on_progress(void *userdata, struct call *call, double done, double total,
			const char *message)
{
	(void)userdata;
	assert_ptr_equal(call, tool.call);
	assert_string_equal(message, "Copying the file");
	file.progresses++;
	file.done = done;
	file.total = total;
	if (file.at_progress)
		file.at_progress();
}

/* Starts a call with an owner who wants to know how far it is; arguments with ' for ". */
static void start(const char *arguments)
{
	static const struct call_owner owner = {
		.ended = on_ended,
		.progress = on_progress,
		.userdata = &tool,
	};
	cleanup_json json_t *value = test_json(arguments);

	tool_file_send(tool_call_of(&owner), value);
}

static void send_file(const char *arguments)
{
	start(arguments);
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
}

/* What lies in the outbox, as "folder/name\n" each; of folders whose row is the newest, ID. */
static const char *outbox(void)
{
	static char text[512];
	char id[64];
	struct dirent *row, *entry;
	DIR *rows = opendir(folder_file(&tool.folder, "outbox"));

	text[0] = '\0';
	(void)snprintf(id, sizeof(id), "%s",
		       sqlite_query(tool.outbound_path,
				    "SELECT id FROM messages_out ORDER BY seq DESC LIMIT 1",
				    &tool_result));
	id[strcspn(id, "\n")] = '\0';
	while (rows && (row = readdir(rows))) {
		char name[300];
		DIR *folder;

		if (row->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "outbox/%s", row->d_name);
		folder = opendir(folder_file(&tool.folder, name));
		assert_non_null(folder);
		while ((entry = readdir(folder)))
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
					       "%s/%s\n",
					       strcmp(row->d_name, id) == 0 ? "ID" : row->d_name,
					       entry->d_name);
		(void)closedir(folder);
		if (!strstr(text, "/"))
			strcat(text, "empty folder\n");
	}
	if (rows)
		(void)closedir(rows);
	return text;
}

static void assert_outbox(const char *expected)
{
	assert_string_equal(outbox(), expected);
}

static void test_send(void **state)
{
	char name[256], *text;
	size_t len;

	(void)state;
	folder_write(&tool.folder, "report.txt", "all is well");
	send_file("{'path':'report.txt'}");
	assert_answer("ok: The file \"report.txt\" is sent to \"casa\". Its message id is 1.");
	assert_row("chat|m-1|slack|C1|T1|{\"text\":\"\",\"files\":[\"report.txt\"]}");
	assert_string_equal(tool.sent, "casa/T1|null\n");
	assert_outbox("ID/report.txt\n");
	(void)snprintf(
		name, sizeof(name), "outbox/%s",
		sqlite_query(tool.outbound_path, "SELECT id FROM messages_out", &tool_result));
	assert_memory_equal(name, "outbox/msg-", 11);
	strcpy(name + strcspn(name, "\n"), "/report.txt");
	assert_int_equal(fd_read_file(folder_file(&tool.folder, name), 64, &text, &len, NULL), 0);
	assert_string_equal(text, "all is well");
	free(text);
}

static void test_send_with_all(void **state)
{
	char arguments[512];

	(void)state;
	folder_mkdir(&tool.folder, "sub");
	folder_write(&tool.folder, "sub/a", "x");
	(void)snprintf(
		arguments, sizeof(arguments),
		"{'path':'%s','to':'helper','text':'For \\'you\\'','filename':'b \\'c\\'.txt'}",
		folder_file(&tool.folder, "sub/a"));
	send_file(arguments);
	assert_answer(
		"ok: The file \"b \\\"c\\\".txt\" is sent to \"helper\". Its message id is 1.");
	assert_row("chat|m-1|agent|ag-2|null|"
		   "{\"text\":\"For \\\"you\\\"\",\"files\":[\"b \\\"c\\\".txt\"]}");
	assert_string_equal(tool.sent, "helper|For \"you\"\n");
	assert_outbox("ID/b \"c\".txt\n");
}

/* The same file twice: each row has a copy of its own. */
static void test_send_twice(void **state)
{
	(void)state;
	folder_write(&tool.folder, "a", "x");
	send_file("{'path':'a'}");
	send_file("{'path':'a','text':'','filename':''}");
	assert_answer("ok: The file \"a\" is sent to \"casa\". Its message id is 3.");
	assert_string_equal(tool.sent, "casa/T1|null\n");
	assert_row_count(2);
}

static void test_refused(void **state)
{
	char expected[512];

	(void)state;
	start("{'path':'no.txt'}");
	(void)snprintf(expected, sizeof(expected), "error: There is no file \"no.txt\" in %s.",
		       tool.folder.path);
	assert_answer(expected);
	start("{'path':'inbound.db'}");
	assert_answer("error: \"inbound.db\" is the session's own: its databases and their like "
		      "are not sent.");
	start("{'path':'/dev/null'}");
	assert_answer("error: \"/dev/null\" is a device, not a file.");
	folder_write(&tool.folder, "a", "x");
	start("{'path':'a','filename':'../b'}");
	assert_answer("error: \"../b\" cannot be the name of a file that is sent: it contains / or "
		      "\\. Give another name in `filename`.");
	folder_write(&tool.folder, "b\nc", "x");
	start("{'path':'b\\nc'}");
	assert_answer("error: \"b\\nc\" cannot be the name of a file that is sent: it contains "
		      "control characters. Give another name in `filename`.");
	start("{'path':'a','to':'nobody'}");
	assert_non_null(strstr(tool.answer, "error: There is no destination named \"nobody\"."));
	assert_row_count(0);
	assert_string_equal(tool.sent, "");
	assert_int_equal(access(folder_file(&tool.folder, "outbox"), F_OK), -1);
}

static void test_outbox_leads_elsewhere(void **state)
{
	(void)state;
	folder_write(&tool.folder, "a", "x");
	folder_mkdir(&tool.folder, "elsewhere");
	assert_int_equal(symlink("elsewhere", folder_file(&tool.folder, "outbox")), 0);
	start("{'path':'a'}");
	assert_answer("error: The file \"a\" was not sent: cannot use the folder outbox: Not a "
		      "directory.");
	assert_int_equal(rmdir(folder_file(&tool.folder, "elsewhere")), 0);
}

static void make_large(void)
{
	folder_write(&tool.folder, "large", "x");
	assert_int_equal(truncate(tool.folder.file, 5 * MIB + 1), 0);
}

static void test_progress(void **state)
{
	(void)state;
	make_large();
	times.step = 1000;
	send_file("{'path':'large'}");
	assert_answer("ok: The file \"large\" is sent to \"casa\". Its message id is 1.");
	assert_true(file.progresses >= 6);
	assert_int_equal(file.done, 5 * MIB + 1);
	assert_int_equal(file.total, 5 * MIB + 1);
	/* Not more often than once a second. */
	file.progresses = 0;
	times.step = 0;
	send_file("{'path':'large'}");
	assert_int_equal(file.progresses, 0);
}

static void change(void)
{
	assert_int_equal(truncate(folder_file(&tool.folder, "large"), 7 * MIB), 0);
}

static void test_changed_meanwhile(void **state)
{
	(void)state;
	make_large();
	times.step = 1000;
	file.at_progress = change;
	send_file("{'path':'large'}");
	assert_answer("error: The file \"large\" was not sent: the file changed while it was "
		      "copied.");
	assert_string_equal(tool.sent, "");
	assert_row_count(0);
	assert_outbox("");
}

static void cancel(void)
{
	call_cancel(steal_ptr(tool.call));
	loop_stop(tool.context.loop, 0);
}

static void test_cancel(void **state)
{
	(void)state;
	make_large();
	start("{'path':'large'}");
	cancel();
	assert_outbox("");
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);
	times.step = 1000;
	file.at_progress = cancel;
	send_file("{'path':'large'}");
	assert_string_equal(tool.answer, "");
	assert_outbox("");
	assert_row_count(0);
}

static void test_cancelled_by_the_session(void **state)
{
	(void)state;
	folder_write(&tool.folder, "a", "x");
	file.at_sent = cancel;
	send_file("{'path':'a'}");
	assert_string_equal(tool.answer, "");
	assert_outbox("");
	assert_row_count(0);
}

/* The row will be written, whether or not somebody waits for it: the host will want the file. */
static void test_slow_disk(void **state)
{
	(void)state;
	folder_write(&tool.folder, "a", "x");
	tool.writes_later = true;
	send_file("{'path':'a'}");
	assert_string_equal(tool.answer, "");
	assert_string_equal(tool.sent, "casa/T1|null\n");
	tool_commit();
	assert_answer("ok: The file \"a\" is sent to \"casa\". Its message id is 1.");
	assert_outbox("ID/a\n");
	assert_int_equal(loop_run(tool.context.loop, NULL), 0);

	sqlite_run(tool.outbound_path, "DELETE FROM messages_out");
	send_file("{'path':'a'}");
	cancel();
	assert_int_equal(tool.forgotten, 1);
	assert_row_count(1);
	assert_non_null(strstr(outbox(), "ID/a\n"));
}

static void test_no_memory(void **state)
{
	(void)state;
	folder_write(&tool.folder, "a", "x");
	tool.write_result = -ENOMEM;
	send_file("{'path':'a'}");
	assert_answer("error: There is not enough memory for this at the moment. Try again "
		      "later.");
	assert_outbox("");
	assert_row_count(0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, tool_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_send),
		CASE(test_send_with_all),
		CASE(test_send_twice),
		CASE(test_refused),
		CASE(test_outbox_leads_elsewhere),
		CASE(test_progress),
		CASE(test_changed_meanwhile),
		CASE(test_cancel),
		CASE(test_cancelled_by_the_session),
		CASE(test_slow_disk),
		CASE(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
