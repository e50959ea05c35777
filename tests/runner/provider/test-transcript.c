/* SPDX-License-Identifier: MIT */
#include "runner/provider/transcript.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/strbuf.h"
#include "tests/test.h"

#define ID "0a1b2c3d-0000-4000-8000-00000000000a"
/* 2026-02-04 13:05 UTC */
#define NOW_MS INT64_C(1770210300000)

struct world {
	char base[64];
	char config[128];
	char project[160];
	char archive[128];
	struct transcript transcript;
	char *page; /* what was archived last */
};

static int setup(void **state)
{
	static struct world world;

	setenv("TZ", "UTC", 1);
	tzset();
	strcpy(world.base, "/tmp/test-transcript-XXXXXX");
	assert_non_null(mkdtemp(world.base));
	snprintf(world.config, sizeof(world.config), "%s/claude", world.base);
	snprintf(world.project, sizeof(world.project), "%s/projects", world.config);
	assert_int_equal(mkdir(world.config, 0755), 0);
	assert_int_equal(mkdir(world.project, 0755), 0);
	strcat(world.project, "/-workspace-agent");
	assert_int_equal(mkdir(world.project, 0755), 0);
	snprintf(world.archive, sizeof(world.archive), "%s/conversations", world.base);
	world.transcript = (struct transcript){
		.config_dir = world.config,
		.conversation = ID,
		.assistant_name = "Robin",
		.archive_dir = world.archive,
		.now_ms = NOW_MS,
	};
	world.page = NULL;
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	free(w->page);
	snprintf(command, sizeof(command), "rm -r %s", w->base);
	assert_int_equal(system(command), 0);
	return 0;
}

static void put(const char *folder, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fputs(text, file) >= 0, 1);
	fclose(file);
}

static void put_transcript(struct world *w, const char *text)
{
	put(w->project, ID ".jsonl", text);
}

static int archive(struct world *w, struct err *err)
{
	err->text[0] = '\0';
	return transcript_archive(&w->transcript, err);
}

/* The archived page of this name. */
static const char *page(struct world *w, const char *name)
{
	char path[256];
	size_t len;

	free(w->page);
	w->page = NULL;
	snprintf(path, sizeof(path), "%s/%s", w->archive, name);
	assert_int_equal(fd_read_file(path, 1 << 20, &w->page, &len, NULL), 0);
	return w->page;
}

#define USER(text) "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"" text "\"}}\n"
#define ASSISTANT(text)                                                                         \
	"{\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"" text \
	"\"}]},\"type\":\"assistant\"}\n"

static void test_conversation(void **state)
{
	struct world *w = *state;
	struct err err;

	put_transcript(
		w, "{\"type\":\"queue-operation\",\"content\":\"hello\"}\n" USER("hello") ASSISTANT(
			   "Hi \\u00e9") "not JSON \"user\"\n"
					 "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":"
					 "\"tool_result\",\"content\":\"secret output\"}]}}\n" USER(
						 "bye"));
	assert_int_equal(archive(w, &err), 0);
	assert_string_equal(page(w, "2026-02-04-conversation-1305.md"),
			    "# Conversation\n\nArchived: Feb 4, 1:05 PM\n\n---\n\n"
			    "**User**: hello\n\n**Robin**: Hi é\n\n**User**: bye\n\n");
}

static void test_notes_of_the_cli_are_left_out(void **state)
{
	struct world *w = *state;
	struct err err;

	put_transcript(
		w,
		USER("kept") "{\"type\":\"user\",\"isMeta\":true,\"message\":{\"content\":"
			     "\"no\"}}\n"
			     "{\"type\":\"user\",\"isSidechain\":true,\"message\":"
			     "{\"content\":\"no\"}}\n"
			     "{\"type\":\"user\",\"isCompactSummary\":true,\"message\":"
			     "{\"content\":\"no\"}}\n"
			     "{\"type\":\"assistant\",\"isApiErrorMessage\":true,"
			     "\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"no\"}]}}"
			     "\n" USER("<command-name>/compact</command-name>")
				     USER("<local-command-stdout>Compacted</local-command-stdout>")
					     USER(""));
	w->transcript.assistant_name = NULL;
	assert_int_equal(archive(w, &err), 0);
	assert_string_equal(strstr(page(w, "2026-02-04-conversation-1305.md"), "---"),
			    "---\n\n**User**: kept\n\n");
}

static void test_title(void **state)
{
	struct world *w = *state;
	struct err err;

	put_transcript(w, ASSISTANT("words"));
	put(w->project, "sessions-index.json",
	    "{\"version\":1,\"entries\":[{\"sessionId\":\"other\",\"summary\":\"Wrong\"},"
	    "{\"sessionId\":\"" ID "\",\"summary\":\"Fix the Lights! (../../evil) "
	    "and much more that does not fit in\"}]}");
	w->transcript.assistant_name = NULL;
	assert_int_equal(archive(w, &err), 0);
	assert_string_equal(
		page(w, "2026-02-04-fix-the-lights-evil-and-much-more-that-does-not-fi.md"),
		"# Fix the Lights! (../../evil) and much more that does not fit in\n\n"
		"Archived: Feb 4, 1:05 PM\n\n---\n\n**Assistant**: words\n\n");
}

static void test_broken_index_is_no_title(void **state)
{
	struct world *w = *state;
	struct err err;

	put_transcript(w, ASSISTANT("words"));
	put(w->project, "sessions-index.json", "{\"entries\":[{\"sessionId\":5},7,");
	assert_int_equal(archive(w, &err), 0);
	put(w->project, "sessions-index.json",
	    "{\"entries\":[{\"sessionId\":\"" ID "\",\"summary\":\"…\"}]}");
	assert_int_equal(archive(w, &err), 0);
	assert_non_null(page(w, "2026-02-04-conversation-1305.md"));
}

static void test_long_texts_are_cut(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	struct world *w = *state;
	struct err err;
	size_t len;

	strbuf_puts(&text, "{\"type\":\"user\",\"message\":{\"content\":\"");
	for (int i = 0; i < 2001; i++)
		strbuf_puts(&text, "é");
	strbuf_puts(&text, "\"}}\n");
	put_transcript(w, text.data);
	assert_int_equal(archive(w, &err), 0);
	len = strlen(strstr(page(w, "2026-02-04-conversation-1305.md"), "é"));
	assert_int_equal(len, 2 * 2000 + strlen("...\n\n"));
}

static void test_written_anew_each_time(void **state)
{
	struct world *w = *state;
	struct err err;

	put_transcript(w, USER("one"));
	assert_int_equal(archive(w, &err), 0);
	put_transcript(w, USER("one") USER("two"));
	assert_int_equal(archive(w, &err), 0);
	assert_non_null(strstr(page(w, "2026-02-04-conversation-1305.md"),
			       "**User**: one\n\n**User**: two\n\n"));
}

static void test_nothing_to_archive(void **state)
{
	struct world *w = *state;
	struct err err;

	assert_int_equal(archive(w, &err), 1);
	put_transcript(w, "");
	assert_int_equal(archive(w, &err), 1);
	put_transcript(w, "{\"type\":\"summary\"}\n");
	assert_int_equal(archive(w, &err), 1);
	assert_int_equal(access(w->archive, F_OK), -1);
	w->transcript.config_dir = "/nonexistent";
	assert_int_equal(archive(w, &err), 1);
}

static void test_id_is_no_path(void **state)
{
	struct world *w = *state;
	struct err err;

	w->transcript.conversation = "../../../etc/passwd";
	assert_int_equal(archive(w, &err), -EINVAL);
	assert_string_equal(err.text, "the conversation's id cannot be part of a path");
	w->transcript.conversation = "";
	assert_int_equal(archive(w, &err), -EINVAL);
}

/* The agent owns these folders; what it plants there must not lead the runner astray. */

static void test_transcript_that_is_a_link_is_not_read(void **state)
{
	struct world *w = *state;
	char path[256], target[256];
	struct err err;

	put(w->base, "other.jsonl", USER("a secret"));
	snprintf(target, sizeof(target), "%s/other.jsonl", w->base);
	snprintf(path, sizeof(path), "%s/" ID ".jsonl", w->project);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(archive(w, &err), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(archive(w, &err), 1);
	assert_int_equal(unlink(path), 0);
	/* Another name of what it may not read by the first one. */
	assert_int_equal(link(target, path), 0);
	assert_int_equal(archive(w, &err), 1);
	assert_int_equal(unlink(target), 0);
	assert_int_equal(archive(w, &err), 0);
}

/* As long as it likes: what costs nothing to write must not cost the loop its time and memory. */
static void test_endless_transcript_is_cut(void **state)
{
	struct world *w = *state;
	char path[256], name[256];
	struct err err;
	struct stat st;
	FILE *file;

	snprintf(path, sizeof(path), "%s/" ID ".jsonl", w->project);
	file = fopen(path, "we");
	assert_non_null(file);
	for (int i = 0; i < 20000; i++)
		assert_true(fprintf(file,
				    "{\"type\":\"user\",\"message\":{\"content\":\"%0999d\"}}\n",
				    i) > 0);
	assert_int_equal(fclose(file), 0);
	/* A hole of 100 GiB behind it. */
	assert_int_equal(truncate(path, INT64_C(100) << 30), 0);
	assert_int_equal(archive(w, &err), 0);
	snprintf(name, sizeof(name), "%s/2026-02-04-conversation-1305.md", w->archive);
	assert_int_equal(stat(name, &st), 0);
	assert_true(st.st_size > 8 * 1024 * 1024 && st.st_size < 9 * 1024 * 1024);
}

static void test_page_that_is_a_link_is_replaced(void **state)
{
	struct world *w = *state;
	char path[256], target[256];
	cleanup_free char *kept = NULL;
	struct stat st;
	struct err err;
	size_t len;

	put(w->base, "database", "precious");
	put_transcript(w, USER("hello"));
	assert_int_equal(mkdir(w->archive, 0755), 0);
	snprintf(target, sizeof(target), "%s/database", w->base);
	snprintf(path, sizeof(path), "%s/2026-02-04-conversation-1305.md", w->archive);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(archive(w, &err), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(fd_read_file(target, 100, &kept, &len, NULL), 0);
	assert_string_equal(kept, "precious");
}

static void test_folder_that_is_a_link_is_refused(void **state)
{
	struct world *w = *state;
	struct err err;

	put_transcript(w, USER("hello"));
	assert_int_equal(symlink(w->base, w->archive), 0);
	assert_int_equal(archive(w, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "cannot open "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_conversation),
		TEST(test_notes_of_the_cli_are_left_out),
		TEST(test_title),
		TEST(test_broken_index_is_no_title),
		TEST(test_long_texts_are_cut),
		TEST(test_written_anew_each_time),
		TEST(test_nothing_to_archive),
		TEST(test_id_is_no_path),
		TEST(test_transcript_that_is_a_link_is_not_read),
		TEST(test_endless_transcript_is_cut),
		TEST(test_page_that_is_a_link_is_replaced),
		TEST(test_folder_that_is_a_link_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
