/* SPDX-License-Identifier: MIT */
#include "runner/request.h"

#include <errno.h>
#include <fcntl.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/table.h"
#include "tests/capture.h"
#include "tests/folder.h"
#include "tests/test.h"

static struct folder folder;
static struct capture capture;

static int setup(void **state)
{
	(void)state;
	folder_make(&folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unsetenv("TMPDIR");
	folder_remove(&folder);
	return 0;
}

static struct request *parse(const char *text)
{
	struct request *request = NULL;
	struct err err = { "" };

	if (request_parse(text, strlen(text), &request, &err) < 0)
		fail_msg("%s", err.text);
	return request;
}

static void test_everything(void **state)
{
	cleanup_request struct request *request =
		parse("{\"prompt\":\"hi\",\"sessionId\":\"s-1\",\"groupFolder\":\"g\",\"chatJid\":"
		      "\"j\",\"isMain\":true,\"isScheduledTask\":true,\"assistantName\":\"Andy\","
		      "\"script\":\"exit\",\"secrets\":{\"A\":\"1\",\"B\":\"2=3\"}}");

	(void)state;
	assert_string_equal(request->prompt, "hi");
	assert_int_equal(request->prompt_len, 2);
	assert_string_equal(request->session, "s-1");
	assert_string_equal(request->assistant_name, "Andy");
	assert_string_equal(request->script, "exit");
	assert_true(request->is_main);
	assert_true(request->is_scheduled);
	assert_string_equal(request->env[0], "A=1");
	assert_string_equal(request->env[1], "B=2=3");
	assert_null(request->env[2]);
}

static void test_only_a_prompt(void **state)
{
	static const char *const texts[] = {
		"{\"prompt\":\"hi\"}",
		"{\"prompt\":\"hi\",\"sessionId\":\"\",\"assistantName\":null,\"script\":\"\","
		"\"isMain\":\"yes\",\"isScheduledTask\":1,\"secrets\":null}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cleanup_request struct request *request = parse(texts[i]);

		assert_null(request->session);
		assert_null(request->assistant_name);
		assert_null(request->script);
		assert_false(request->is_main);
		assert_false(request->is_scheduled);
		assert_null(request->env[0]);
	}
}

static void test_what_is_no_request(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "hello", "the request on stdin: line 1, column 5: invalid token" },
		{ "{\"prompt\":\"hi\"", "the request on stdin: line 1, column 14: '}' expected" },
		{ "{\"secrets\":{\"A\":\"hunter2\" \"B\":\"c\"}}",
		  "the request on stdin: line 1, column 29: '}' expected" },
		{ "[]", "the request on stdin must be a JSON object with a \"prompt\"" },
		{ "{}", "the request on stdin must be a JSON object with a \"prompt\"" },
		{ "{\"prompt\":\"\"}",
		  "the request on stdin must be a JSON object with a \"prompt\"" },
		{ "{\"prompt\":5}",
		  "the request on stdin must be a JSON object with a \"prompt\"" },
	};
	struct request *request = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(request_parse(rows[i].text, strlen(rows[i].text), &request, &err),
				 -EINVAL);
		assert_null(request);
		/* "…expected" may go on with "near end of file", but never with the text. */
		err.text[strlen(rows[i].error)] = '\0';
		assert_string_equal(err.text, rows[i].error);
	}
}

/* Their names are said, their values never. */
static void test_odd_secrets(void **state)
{
	cleanup_request struct request *request = NULL, *other = NULL;
	const char *said;

	(void)state;
	capture_start(&capture, STDERR_FILENO);
	request = parse("{\"prompt\":\"hi\",\"secrets\":{\"A=B\":\"hunter2\",\"\":\"hunter2\","
			"\"N\":\"hunter2\\u0000x\",\"O\":[\"hunter2\"],\"GOOD\":\"yes\"}}");
	said = capture_stop(&capture);
	assert_string_equal(said, "agent-runner: warning: the secret \"A=B\" cannot be a variable: "
				  "left out\n"
				  "agent-runner: warning: the secret \"\" cannot be a variable: "
				  "left out\n"
				  "agent-runner: warning: the secret \"N\" cannot be a variable: "
				  "left out\n"
				  "agent-runner: warning: the secret \"O\" cannot be a variable: "
				  "left out\n");
	assert_string_equal(request->env[0], "GOOD=yes");
	assert_null(request->env[1]);
	assert_null(json_object_get(request->root, "secrets"));

	capture_start(&capture, STDERR_FILENO);
	other = parse("{\"prompt\":\"hi\",\"secrets\":\"hunter2\"}");
	assert_string_equal(capture_stop(&capture),
			    "agent-runner: warning: the request's \"secrets\" are no object: left "
			    "out\n");
	assert_null(other->env[0]);
	assert_null(json_object_get(other->root, "secrets"));
}

static const char *read_text(const char *path)
{
	static char text[512];
	char *read;
	size_t len;

	assert_int_equal(fd_read_file(path, sizeof(text) - 1, &read, &len, NULL), 0);
	strcpy(text, read);
	free(read);
	return text;
}

static void assert_kept(const struct request *request, const char *path)
{
	struct stat st;
	struct err err;

	assert_int_equal(request_keep_copy(request, path, &err), 0);
	assert_string_equal(read_text(path), "{\"prompt\":\"hi\",\"isMain\":true}");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_copy(void **state)
{
	cleanup_request struct request *request =
		parse("{\"prompt\":\"hi\",\"secrets\":{\"A\":\"hunter2\"},\"isMain\":true}");
	const char *path = folder_file(&folder, "input.json");
	struct stat before, after;
	int fd;

	(void)state;
	assert_kept(request, path);
	/* Somebody may hold the old one open: it is left alone, and a new one is made. */
	assert_int_equal(chmod(path, 0666), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_kept(request, path);
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino != after.st_ino);
	close(fd);
}

static void test_copy_follows_no_link(void **state)
{
	cleanup_request struct request *request = parse("{\"prompt\":\"hi\",\"isMain\":true}");
	char path[sizeof(folder.file)];

	(void)state;
	strcpy(path, folder_file(&folder, "input.json"));
	folder_write(&folder, "precious", "untouched");
	assert_int_equal(symlink("precious", path), 0);
	assert_kept(request, path);
	assert_string_equal(read_text(folder_file(&folder, "precious")), "untouched");
	assert_int_equal(unlink(path), 0);
	/* Nor one that leads nowhere yet. */
	assert_int_equal(symlink("later", path), 0);
	assert_kept(request, path);
	assert_int_equal(access(folder_file(&folder, "later"), F_OK), -1);
}

static void test_copy_that_cannot_be_made(void **state)
{
	cleanup_request struct request *request = parse("{\"prompt\":\"hi\"}");
	char expected[ERR_TEXT_MAX];
	struct err err;

	(void)state;
	folder_mkdir(&folder, "input.json");
	assert_int_equal(request_keep_copy(request, folder_file(&folder, "input.json"), &err),
			 -EISDIR);
	snprintf(expected, sizeof(expected), "%s: Is a directory", folder.file);
	assert_string_equal(err.text, expected);
	assert_int_equal(request_keep_copy(request, folder_file(&folder, "no/input.json"), &err),
			 -ENOENT);
	snprintf(expected, sizeof(expected), "%s: No such file or directory", folder.file);
	assert_string_equal(err.text, expected);
}

static void test_where_the_copy_is_kept(void **state)
{
	static const struct {
		const char *folder; /* NULL: TMPDIR is not set */
		const char *path;
	} rows[] = {
		{ NULL, "/tmp/input.json" },
		{ "", "/tmp/input.json" },
		{ "relative", "/tmp/input.json" },
		{ "./", "/tmp/input.json" },
		{ "/", "//input.json" },
		{ "/var/tmp", "/var/tmp/input.json" },
		{ "/a folder/%s", "/a folder/%s/input.json" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_free char *path = NULL;

		if (rows[i].folder)
			setenv("TMPDIR", rows[i].folder, 1);
		else
			unsetenv("TMPDIR");
		path = request_copy_path();
		assert_string_equal(path, rows[i].path);
	}
}

static void assert_prompt(const char *request_text, const json_t *output, const char *expected,
			  size_t len)
{
	cleanup_request struct request *request = parse(request_text);
	cleanup_strbuf struct strbuf prompt = STRBUF_EMPTY;

	assert_int_equal(request_append_prompt(request, output, &prompt), 0);
	assert_int_equal(prompt.len, len);
	assert_memory_equal(prompt.data, expected, len);
}

static void test_prompt(void **state)
{
	static const char scheduled[] =
		"[SCHEDULED TASK - this was sent by the schedule, not by a person]\n\nhi";
	static const char scripted[] =
		"[SCHEDULED TASK - this was sent by the schedule, not by a person]\n\n"
		"Script output:\n{\n  \"a\": 1\n}\n\nInstructions:\nhi";
	json_t *output = json_pack("{s:i}", "a", 1);

	(void)state;
	assert_prompt("{\"prompt\":\"hi\\u0000you\"}", NULL, "hi\0you", 6);
	assert_prompt("{\"prompt\":\"hi\",\"isScheduledTask\":true}", NULL, scheduled,
		      strlen(scheduled));
	assert_prompt("{\"prompt\":\"hi\",\"isScheduledTask\":true}", output, scripted,
		      strlen(scripted));
	json_decref(output);
}

static void test_free_accepts_null(void **state)
{
	(void)state;
	request_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_everything),
		CASE(test_only_a_prompt),
		CASE(test_what_is_no_request),
		CASE(test_odd_secrets),
		CASE(test_copy),
		CASE(test_copy_follows_no_link),
		CASE(test_copy_that_cannot_be_made),
		CASE(test_where_the_copy_is_kept),
		CASE(test_prompt),
		CASE(test_free_accepts_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
