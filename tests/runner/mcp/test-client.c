/* SPDX-License-Identifier: MIT */
#include "runner/mcp/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "runner/io/json.h"
#include "tests/runner/mcp/fake-loop.h"

#define WORKSPACE "/workspace"

/* What one exchange came to. */
struct outcome {
	int r;
	json_t *result;
	int64_t code;
	struct err err;
};

static struct outcome ask(int (*serve)(int fd), const json_t *params, int64_t timeout_ms)
{
	const struct client_request request = {
		.method = "test/method",
		.params = params,
		.timeout_ms = timeout_ms,
	};
	struct outcome outcome = { .code = -1 };
	struct fake_loop loop;

	fake_loop_start(&loop, serve);
	outcome.r = client_ask(WORKSPACE, &request, &outcome.result, &outcome.code, &outcome.err);
	assert_int_equal(fake_loop_stop(&loop), 0);
	return outcome;
}

static int serve_result(int fd)
{
	char line[256];

	fake_loop_read(fd, line, sizeof(line));
	fake_loop_say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"hello\"}}\n");
	return strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test/method\","
			    "\"params\":{\"a\":\"b\"}}");
}

static void test_a_result(void **state)
{
	cleanup_json json_t *params = json_pack("{s:s}", "a", "b");
	struct outcome outcome = ask(serve_result, params, 10000);

	(void)state;
	assert_int_equal(outcome.r, 0);
	assert_string_equal(json_member_string(outcome.result, "text"), "hello");
	json_decref(outcome.result);
}

/* In pieces, and with what is no answer to us around it. */
static int serve_among_others(int fd)
{
	static const char *const pieces[] = {
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n{\"id\":2,",
		"\"result\":1}\n{\"id\":1,\"method\":\"ping\"}\n{\"id\":\"1\",\"result\":3}\n{\"re",
		"sult\":null,\"id\":1}\n",
	};
	char line[256];

	fake_loop_read(fd, line, sizeof(line));
	for (size_t i = 0; i < 3; i++)
		fake_loop_say(fd, pieces[i]);
	fake_loop_wait(fd);
	return strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test/method\"}");
}

static void test_others_are_passed_over(void **state)
{
	struct outcome outcome = ask(serve_among_others, NULL, 10000);

	(void)state;
	assert_int_equal(outcome.r, 0);
	assert_true(json_is_null(outcome.result));
}

static int serve_error(int fd)
{
	char line[256];

	fake_loop_read(fd, line, sizeof(line));
	fake_loop_say(fd,
		      "{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"no such method\"}}\n");
	return 0;
}

/* As for a request that the loop could not read. */
static int serve_error_without_id(int fd)
{
	fake_loop_say(fd, "{\"id\":null,\"error\":{\"code\":-32700}}\n");
	return 0;
}

static void test_a_refusal(void **state)
{
	struct outcome outcome = ask(serve_error, NULL, 10000);

	(void)state;
	assert_int_equal(outcome.r, CLIENT_REFUSED);
	assert_int_equal(outcome.code, -32601);
	assert_string_equal(outcome.err.text, "no such method");
	outcome = ask(serve_error_without_id, NULL, 10000);
	assert_int_equal(outcome.r, CLIENT_REFUSED);
	assert_int_equal(outcome.code, -32700);
	assert_string_equal(outcome.err.text, "no reason was given");
}

static int serve_nothing(int fd)
{
	fake_loop_wait(fd);
	return 0;
}

static void test_no_answer(void **state)
{
	struct outcome outcome = ask(serve_nothing, NULL, 30);

	(void)state;
	assert_int_equal(outcome.r, -ETIMEDOUT);
	assert_string_equal(outcome.err.text, "no answer within 0.03 s");
}

/* Much is sent, and nobody reads it. */
static int serve_deaf(int fd)
{
	struct pollfd pollfd = { .fd = fd };

	/* Until it hangs up. */
	return poll(&pollfd, 1, 10000) == 1 ? 0 : 1;
}

static void test_nobody_reads(void **state)
{
	cleanup_free char *text = malloc(4000001);
	cleanup_json json_t *params = NULL;
	struct outcome outcome;

	(void)state;
	memset(text, 'x', 4000000);
	text[4000000] = '\0';
	params = json_pack("{s:s}", "a", text);
	outcome = ask(serve_deaf, params, 30);
	assert_int_equal(outcome.r, -ETIMEDOUT);
	assert_string_equal(outcome.err.text, "no answer within 0.03 s");
}

static int serve_hang_up(int fd)
{
	char line[256];

	fake_loop_read(fd, line, sizeof(line));
	fake_loop_say(fd, "{\"id\":1,");
	return 0;
}

static void test_the_loop_hangs_up(void **state)
{
	struct outcome outcome = ask(serve_hang_up, NULL, 10000);

	(void)state;
	assert_int_equal(outcome.r, -ECONNRESET);
	assert_string_equal(outcome.err.text, "the session loop has hung up");
}

/* It says why it does not want to read on. */
static int serve_too_long(int fd)
{
	fake_loop_say(fd, "{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"too long\"}}\n");
	return 0;
}

static void test_the_reason_of_a_hang_up(void **state)
{
	cleanup_free char *text = malloc(4000001);
	cleanup_json json_t *params = NULL;
	struct outcome outcome;

	(void)state;
	memset(text, 'x', 4000000);
	text[4000000] = '\0';
	params = json_pack("{s:s}", "a", text);
	outcome = ask(serve_too_long, params, 10000);
	assert_int_equal(outcome.r, CLIENT_REFUSED);
	assert_string_equal(outcome.err.text, "too long");
}

static int serve_no_json(int fd)
{
	fake_loop_say(fd, "hello\n");
	fake_loop_wait(fd);
	return 0;
}

static int serve_no_result(int fd)
{
	fake_loop_say(fd, "{\"id\":1}\n");
	fake_loop_wait(fd);
	return 0;
}

static void test_what_is_not_understood(void **state)
{
	struct outcome outcome = ask(serve_no_json, NULL, 10000);

	(void)state;
	assert_int_equal(outcome.r, -EPROTO);
	assert_string_equal(outcome.err.text, "the session loop's answer is no JSON: line 1, "
					      "column 5: invalid token");
	outcome = ask(serve_no_result, NULL, 10000);
	assert_int_equal(outcome.r, -EPROTO);
	assert_string_equal(outcome.err.text, "the session loop's answer has no result");
}

static int serve_huge(int fd)
{
	char bytes[65536];

	memset(bytes, 'x', sizeof(bytes));
	for (size_t sent = 0; sent <= CLIENT_LINE_MAX; sent += sizeof(bytes))
		if (fd_write_all(fd, bytes, sizeof(bytes)) < 0)
			return 1;
	fake_loop_say(fd, "\n");
	fake_loop_wait(fd);
	return 0;
}

static void test_an_answer_without_end(void **state)
{
	struct outcome outcome = ask(serve_huge, NULL, 60000);

	(void)state;
	assert_int_equal(outcome.r, -EFBIG);
	assert_string_equal(outcome.err.text,
			    "the session loop's answer is longer than 33554432 bytes");
}

static void test_no_loop(void **state)
{
	const struct client_request request = { .method = "x", .timeout_ms = 10000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct folder folder;
	char expected[512];
	json_t *result = NULL;
	struct err err;
	int64_t code;
	int fd;

	(void)state;
	folder_make(&folder);
	(void)strcpy(address.sun_path, folder_file(&folder, "socket"));
	setenv(RUNDIR_SOCKET_VARIABLE, address.sun_path, 1);
	assert_int_equal(client_ask(WORKSPACE, &request, &result, &code, &err), -ENOENT);
	(void)snprintf(expected, sizeof(expected), "AGENT_SOCKET: %s: No such file or directory",
		       address.sun_path);
	assert_string_equal(err.text, expected);

	/* A loop that died leaves its socket behind. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(client_ask(WORKSPACE, &request, &result, &code, &err), -ENOENT);
	(void)snprintf(expected, sizeof(expected),
		       "nobody listens at %s: the session loop is not running", address.sun_path);
	assert_string_equal(err.text, expected);
	unsetenv(RUNDIR_SOCKET_VARIABLE);
	folder_remove(&folder);
}

/* Its queue is full, and it takes nothing out. */
static void test_a_loop_that_does_not_accept(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), first = -1, fd = -1;
	char expected[256];
	struct folder folder;
	struct err err;

	(void)state;
	folder_make(&folder);
	(void)strcpy(address.sun_path, folder_file(&folder, "socket"));
	setenv(RUNDIR_SOCKET_VARIABLE, address.sun_path, 1);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(client_connect(WORKSPACE, 10000, &first, &err), 0);
	assert_int_equal(client_connect(WORKSPACE, 30, &fd, &err), -ETIMEDOUT);
	(void)snprintf(expected, sizeof(expected), "%s: the session loop accepts no connection",
		       address.sun_path);
	assert_string_equal(err.text, expected);
	close(first);
	close(listener);
	unsetenv(RUNDIR_SOCKET_VARIABLE);
	folder_remove(&folder);
}

static void test_the_connection(void **state)
{
	struct fake_loop loop;
	struct err err;
	int fd = -1;

	(void)state;
	fake_loop_start(&loop, serve_nothing);
	assert_int_equal(client_connect(WORKSPACE, 10000, &fd, &err), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(fake_loop_stop(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_result),
		cmocka_unit_test(test_others_are_passed_over),
		cmocka_unit_test(test_a_refusal),
		cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_the_loop_hangs_up),
		cmocka_unit_test(test_the_reason_of_a_hang_up),
		cmocka_unit_test(test_what_is_not_understood),
		cmocka_unit_test(test_an_answer_without_end),
		cmocka_unit_test(test_no_loop),
		cmocka_unit_test(test_a_loop_that_does_not_accept),
		cmocka_unit_test(test_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
