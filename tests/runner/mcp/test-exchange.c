/* SPDX-License-Identifier: MIT */
/* What is asked and what is answered is this test's own: a server without methods. */
#include "runner/mcp/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/io/json.h"
#include "tests/folder.h"
#include "tests/runner/mcp/rpc-client.h"

static const struct protocol_identity identity = { .name = "x" };
static const struct call_context context = { .loop = NULL };

static struct {
	struct folder folder;
	struct loop *loop;
	struct socket *socket;
	struct exchanges *exchanges;
	struct socket_peer *peer; /* NULL: gone */
	struct rpc_client client;
	int released;
} w;

static void on_opened(void *userdata, struct socket_peer *peer)
{
	(void)userdata;
	w.peer = peer;
}

static void on_line(void *userdata, struct socket_peer *peer, const char *line, size_t len)
{
	(void)userdata;
	(void)peer;
	(void)line;
	(void)len;
}

static void on_overlong(void *userdata, struct socket_peer *peer, size_t len)
{
	on_line(userdata, peer, "", len);
}

static void on_ended(void *userdata, struct socket_peer *peer)
{
	(void)userdata;
	exchanges_finish(w.exchanges, peer);
}

static void on_closed(void *userdata, struct socket_peer *peer)
{
	(void)userdata;
	exchanges_drop(w.exchanges, peer);
	w.peer = NULL;
}

static int setup(void **state)
{
	static const struct socket_events events = {
		on_opened, on_line, on_overlong, on_ended, on_closed,
	};
	char path[96];

	(void)state;
	memset(&w, 0, sizeof(w));
	folder_make(&w.folder);
	strcpy(path, folder_file(&w.folder, "socket"));
	assert_int_equal(loop_new(&w.loop, NULL), 0);
	assert_int_equal(socket_listen(w.loop, path, 1024, &events, NULL, &w.socket, NULL), 0);
	w.exchanges = exchanges_new(&identity);
	assert_non_null(w.exchanges);
	rpc_open(&w.client, w.loop, path);
	rpc_settle(w.loop);
	assert_non_null(w.peer);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	exchanges_free(w.exchanges);
	socket_free(w.socket);
	rpc_close(&w.client);
	loop_free(w.loop);
	folder_remove(&w.folder);
	return 0;
}

/* A request with this id; token: of progress, NULL for none. */
static struct exchange *begin(struct exchange_batch *batch, int id, const char *token)
{
	cleanup_json json_t *number = json_integer(id);
	cleanup_json json_t *params =
		token ? json_pack("{s:{s:s}}", "_meta", "progressToken", token) : NULL;
	const struct rpc_message message = {
		.kind = RPC_REQUEST,
		.id = number,
		.method = "m",
		.params = params,
	};

	return exchange_begin(w.exchanges, w.peer, batch, &message);
}

static void answer(struct exchange *exchange, const char *text)
{
	cleanup_strbuf struct strbuf result = STRBUF_EMPTY;

	strbuf_puts(&result, text);
	exchange_answer(exchange, &result);
}

static void test_answers(void **state)
{
	struct exchange *first = begin(NULL, 1, NULL), *second = begin(NULL, 2, NULL);
	struct strbuf broken = { .error = -ENOMEM };

	(void)state;
	assert_int_equal(exchange_era(first), PROTOCOL_STATEFUL);
	answer(second, "{}");
	exchange_fail(first, -7, "no", "[1]");
	exchange_answer_members(begin(NULL, 3, NULL), true, &STRBUF_EMPTY);
	exchange_answer(begin(NULL, 4, NULL), &broken);
	exchange_refuse(w.peer, NULL, NULL, -8, "what?");
	assert_string_equal(rpc_hear(&w.client), "{'jsonrpc':'2.0','id':2,'result':{}}");
	assert_string_equal(
		rpc_hear(&w.client),
		"{'jsonrpc':'2.0','id':1,'error':{'code':-7,'message':'no','data':[1]}}");
	assert_string_equal(rpc_hear(&w.client), "{'jsonrpc':'2.0','id':3,'result':{}}");
	assert_string_equal(
		rpc_hear(&w.client),
		"{'jsonrpc':'2.0','id':4,'error':{'code':-32603,'message':'out of memory'}}");
	assert_string_equal(rpc_hear(&w.client),
			    "{'jsonrpc':'2.0','id':null,'error':{'code':-8,'message':'what?'}}");
}

static void test_a_batch_is_answered_at_once(void **state)
{
	struct exchange_batch *batch = exchange_batch_new(), *empty = exchange_batch_new();
	struct exchange *first = begin(batch, 1, NULL), *second = begin(batch, 2, NULL);

	(void)state;
	exchange_batch_close(empty, w.peer);
	answer(second, "2");
	exchange_refuse(w.peer, batch, NULL, -8, "odd");
	exchange_batch_close(batch, w.peer);
	assert_string_equal(rpc_hear(&w.client), "");
	answer(first, "1");
	assert_string_equal(rpc_hear(&w.client),
			    "[{'jsonrpc':'2.0','id':2,'result':2},"
			    "{'jsonrpc':'2.0','id':null,'error':{'code':-8,'message':'odd'}},"
			    "{'jsonrpc':'2.0','id':1,'result':1}]");
}

static void test_calls(void **state)
{
	struct call *tool = exchange_call_tool(begin(NULL, 1, "t"), &context);
	struct call *raw = exchange_call_raw(begin(NULL, 2, NULL), &context, -9);
	struct call *late = exchange_call_raw(begin(NULL, 3, NULL), &context, -9);

	(void)state;
	call_progress(tool, 1, 3, "on it");
	call_progress(raw, 1, 3, "nobody asked");
	call_fail(tool, "%s", "it \"broke\"");
	call_answer(raw, "%s", "{\"a\":1}");
	call_fail(late, "too late");
	assert_string_equal(rpc_hear(&w.client),
			    "{'jsonrpc':'2.0','method':'notifications/progress','params':"
			    "{'progressToken':'t','progress':1,'total':3,'message':'on it'}}");
	assert_string_equal(rpc_hear(&w.client),
			    "{'jsonrpc':'2.0','id':1,'result':{'content':[{'type':'text',"
			    "'text':'it \\'broke\\''}],'isError':true}}");
	assert_string_equal(rpc_hear(&w.client), "{'jsonrpc':'2.0','id':2,'result':{'a':1}}");
	assert_string_equal(rpc_hear(&w.client),
			    "{'jsonrpc':'2.0','id':3,'error':{'code':-9,'message':'too late'}}");
}

static void on_release(void *state)
{
	(void)state;
	w.released++;
}

static void hold(int id)
{
	struct call *call = exchange_call_tool(begin(NULL, id, NULL), &context);

	call_hold(call, NULL, on_release);
}

static void test_cancelled(void **state)
{
	cleanup_json json_t *one = json_integer(1), *text = json_string("1");

	(void)state;
	hold(1);
	exchange_cancel(w.exchanges, w.peer, text);
	exchange_cancel(w.exchanges, w.peer, NULL);
	assert_int_equal(w.released, 0);
	exchange_cancel(w.exchanges, w.peer, one);
	exchange_cancel(w.exchanges, w.peer, one);
	assert_int_equal(w.released, 1);
	assert_string_equal(rpc_hear(&w.client), "");
}

static void test_a_client_that_asks_nothing_more(void **state)
{
	struct exchange *last = begin(NULL, 1, NULL);

	(void)state;
	shutdown(w.client.fd, SHUT_WR);
	rpc_settle(w.loop);
	assert_non_null(w.peer);
	answer(last, "{}");
	assert_string_equal(rpc_hear(&w.client), "{'jsonrpc':'2.0','id':1,'result':{}}");
	assert_string_equal(rpc_hear(&w.client), "EOF");
	assert_null(w.peer);
}

static void test_a_client_that_is_gone(void **state)
{
	(void)state;
	hold(1);
	hold(2);
	rpc_close(&w.client);
	rpc_settle(w.loop);
	assert_null(w.peer);
	assert_int_equal(w.released, 2);
}

static void test_too_many(void **state)
{
	(void)state;
	for (int i = 0; i < EXCHANGES_MAX; i++)
		assert_non_null(begin(NULL, i, NULL));
	assert_null(begin(NULL, EXCHANGES_MAX, NULL));
	assert_string_equal(rpc_hear(&w.client),
			    "{'jsonrpc':'2.0','id':4096,'error':{'code':-32603,"
			    "'message':'too many requests at once'}}");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_answers),
		CASE(test_a_batch_is_answered_at_once),
		CASE(test_calls),
		CASE(test_cancelled),
		CASE(test_a_client_that_asks_nothing_more),
		CASE(test_a_client_that_is_gone),
		CASE(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
