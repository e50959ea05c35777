/* SPDX-License-Identifier: MIT */
/* Rows that are too long for a prompt become files. */
#include <stdio.h>

#include "common/fd.h"
#include "tests/folder.h"
#include "tests/runner/message/format.h"

static struct folder folder;

static int setup_folder(void **state)
{
	folder_make(&folder);
	setup(state);
	world.context.workspace = folder.path;
	return 0;
}

static int teardown_folder(void **state)
{
	teardown(state);
	folder_remove(&folder);
	return 0;
}

/* Content with so many bytes of text, and what stands around it. */
static char *content_of(const char *before, size_t n, const char *after)
{
	cleanup_strbuf struct strbuf content = STRBUF_EMPTY;

	strbuf_puts(&content, before);
	for (size_t i = 0; i < n; i++)
		strbuf_putc(&content, (char)('a' + i % 26));
	strbuf_puts(&content, after);
	return strbuf_steal(&content);
}

/* Takes the path out of the prompt, which starts so below inbox, and reads the file. */
static char *file_of_prompt(const char *start, size_t *ret_len)
{
	cleanup_free char *path = NULL;
	char expected[256];
	char *text = NULL;
	int n;

	assert_int_equal(
		sscanf(strstr(world.out.data, "bytes are in "), "bytes are in %m[^:]", &path), 1);
	n = snprintf(expected, sizeof(expected), "%s/inbox/%s", folder.path, start);
	assert_memory_equal(path, expected, (size_t)n);
	assert_int_equal(fd_read_file(path, 1 << 25, &text, ret_len, NULL), 0);
	return text;
}

/* The prompt is this; %s stands for the file's path. */
static void assert_prompt_with_path(const char *before, const char *after)
{
	size_t n = strlen(before);

	assert_memory_equal(world.out.data, before, n);
	assert_memory_equal(world.out.data + n, folder.path, strlen(folder.path));
	assert_string_equal(strchr(world.out.data + n, ':'), after);
}

static void test_limit(void **state)
{
	/* <message sender="Unknown" time="Invalid Date"></message> */
	const size_t around = 56, room = FORMAT_ROW_MAX - around;

	(void)state;
	for (size_t n = room; n <= room + 1; n++) {
		cleanup_free char *content = content_of("", n, "");
		struct inbound_row *row = say("chat", content);

		row->channel_type = row->platform_id = row->timestamp = NULL;
		row->seq = -1;
		render();
		assert_false(world.failed[0]);
		assert_int_equal(strstr(world.out.data, "too long") != NULL, n > room);
		if (n == room)
			assert_int_equal(world.out.len,
					 strlen("<context timezone=\"UTC\" />\n") + FORMAT_ROW_MAX);
		clear();
	}
}

static void test_chat(void **state)
{
	cleanup_free char *content =
		content_of("{\"sender\":\"Ann\",\"text\":\"<b>", 100000,
			   "\",\"replyTo\":{\"id\":1,\"sender\":\"Bob\","
			   "\"text\":\"q\"},\"attachments\":[{\"name\":\"a.png\","
			   "\"localPath\":\"inbox/in-1/a.png\"}]}");
	cleanup_free char *text = NULL, *before = NULL, *preview = NULL;
	char after[512];
	size_t len;

	(void)state;
	say("chat", content);
	render();
	preview = content_of("&lt;b&gt;", FORMAT_PREVIEW_MAX - 3, "\xe2\x80\xa6\n");
	assert_true(
		asprintf(&before,
			 "<context timezone=\"UTC\" />\n<message id=\"4\" from=\"casa\" "
			 "sender=\"Ann\" time=\"Feb 4, 2026, 1:30 PM\" reply_to=\"1\">%s[This is "
			 "too long to be shown here. All %zu bytes are in ",
			 preview,
			 100003 +
				 strlen("\n  <quoted_message from=\"Bob\">q</quoted_message>\n"
					"\n[file: a.png \xe2\x80\x94 saved to ") +
				 strlen(folder.path) + strlen("/inbox/in-1/a.png]")) > 0);
	(void)snprintf(after, sizeof(after),
		       ": read that file.]\n[file: a.png \xe2\x80\x94 saved to "
		       "%s/inbox/in-1/a.png]</message>",
		       folder.path);
	assert_prompt_with_path(before, after);
	/* In the file nothing is escaped: it is read as it is. */
	text = file_of_prompt("in-1/text-", &len);
	assert_memory_equal(text, "\n  <quoted_message from=\"Bob\">q</quoted_message>\n<b>abc",
			    55);
	assert_string_equal(text + len - 7, "/a.png]");
	assert_true(len > 100000);
}

/* The preview is what a person wrote, not the output before it; and it cuts no character. */
static void test_task(void **state)
{
	cleanup_free char *content =
		content_of("{\"scriptOutput\":\"", 70000, "\",\"prompt\":\"do it\"}");
	cleanup_free char *text = NULL;
	size_t len;

	(void)state;
	say("task", content);
	render();
	assert_prompt_with_path("<context timezone=\"UTC\" />\n<task from=\"casa\" time=\"Feb 4, "
				"2026, 1:30 PM\">do it\n[This is too long to be shown here. All "
				"70038 bytes are in ",
				": read that file.]</task>");
	text = file_of_prompt("in-1/text-", &len);
	assert_int_equal(len, 70038);
	assert_memory_equal(text, "Script output:\n\"abc", 19);
	assert_string_equal(text + len - 21, "\n\nInstructions:\ndo it");
}

static void test_cut_between_characters(void **state)
{
	cleanup_strbuf struct strbuf content = STRBUF_EMPTY;
	const char *cut;

	(void)state;
	strbuf_puts(&content, "a");
	for (int i = 0; i < 40000; i++)
		strbuf_puts(&content, "\xe2\x82\xac");
	say("chat", content.data);
	render();
	cut = strstr(world.out.data, "\xe2\x80\xa6");
	assert_memory_equal(cut - 3, "\xe2\x82\xac", 3);
	/* 2048 = 1 + 682 * 3 + 1 */
	assert_int_equal(cut - strchr(strstr(world.out.data, "<message"), '>') - 1, 2047);
}

/* A webhook, whose attributes are long too; and an id that is no file name. */
static void test_webhook(void **state)
{
	cleanup_free char *source =
		content_of("{\"source\":\"", 90000, "\",\"payload\":\"\\u0000x\"}");
	cleanup_free char *text = NULL, *before = NULL, *cut = NULL;
	size_t len;

	(void)state;
	say("webhook", source)->id = constant("../etc/x");
	render();
	cut = content_of("", 1024, "");
	assert_true(
		asprintf(&before,
			 "<context timezone=\"UTC\" />\n<webhook from=\"casa\" "
			 "source=\"%s\xe2\x80\xa6\" event=\"unknown\">&quot;\\u0000x&quot;\n[This "
			 "is too long to be shown here. All 9 bytes are in ",
			 cut) > 0);
	assert_prompt_with_path(before, ": read that file.]</webhook>");
	text = file_of_prompt("___etc_x-", &len);
	assert_string_equal(text, "\"\\u0000x\"");
}

/* Many attachments: all of them are in the file, the list is left out. */
static void test_many_attachments(void **state)
{
	cleanup_strbuf struct strbuf content = STRBUF_EMPTY;
	cleanup_free char *text = NULL;
	size_t len;

	(void)state;
	strbuf_puts(&content, "{\"text\":\"see\",\"attachments\":[");
	for (int i = 0; i < 6000; i++)
		strbuf_printf(&content, "%s{\"name\":\"%d\"}", i ? "," : "", i);
	strbuf_puts(&content, "]}");
	say("chat", content.data);
	render();
	assert_prompt_with_path(
		"<context timezone=\"UTC\" />\n<message id=\"4\" from=\"casa\" "
		"sender=\"Unknown\" time=\"Feb 4, 2026, 1:30 PM\">see\n[This is too "
		"long to be shown here. All 76893 bytes are in ",
		": read that file.]</message>");
	text = file_of_prompt("in-1/text-", &len);
	assert_string_equal(text + len - 13, "\n[file: 5999]");
}

static void test_sixteen_megabytes(void **state)
{
	cleanup_free char *content = content_of("{\"text\":\"", 16 * 1024 * 1024 - 11, "\"}");
	cleanup_free char *text = NULL;
	size_t len;

	(void)state;
	say("chat", content);
	render();
	assert_true(world.out.len < 4096);
	text = file_of_prompt("in-1/text-", &len);
	assert_int_equal(len, 16 * 1024 * 1024 - 11);
}

/* No place for the file: that row alone fails. */
static void test_no_place(void **state)
{
	cleanup_free char *content = content_of("", 70000, "");
	char expected[256];

	(void)state;
	folder_write(&folder, "inbox", "a file");
	say("chat", "one");
	say("chat", content);
	say("chat", "three");
	render();
	assert_false(world.failed[0] || world.failed[2]);
	assert_true(world.failed[1]);
	(void)snprintf(expected, sizeof(expected), "%s/inbox: Not a directory", folder.path);
	assert_string_equal(world.err.text, expected);
	assert_string_equal(
		world.out.data,
		"<context timezone=\"UTC\" />\n<messages>\n"
		"<message id=\"4\" from=\"casa\" sender=\"Unknown\" time=\"Feb 4, 2026, "
		"1:30 PM\">one</message>\n"
		"<message id=\"4\" from=\"casa\" sender=\"Unknown\" time=\"Feb 4, 2026, "
		"1:30 PM\">three</message>\n"
		"</messages>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_limit, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_chat, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_task, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_cut_between_characters, setup_folder,
						teardown_folder),
		cmocka_unit_test_setup_teardown(test_webhook, setup_folder, teardown_folder),
		cmocka_unit_test_setup_teardown(test_many_attachments, setup_folder,
						teardown_folder),
		cmocka_unit_test_setup_teardown(test_sixteen_megabytes, setup_folder,
						teardown_folder),
		cmocka_unit_test_setup_teardown(test_no_place, setup_folder, teardown_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
