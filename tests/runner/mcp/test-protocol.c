/* SPDX-License-Identifier: MIT */
#include "runner/mcp/protocol.h"

#include <errno.h>
#include <string.h>

#include "common/table.h"
#include "runner/io/json.h"
#include "tests/json.h"
#include "tests/test.h"

#define VERSION "io.modelcontextprotocol/protocolVersion"
#define CLIENT	"io.modelcontextprotocol/clientCapabilities"
#define INFO	"io.modelcontextprotocol/serverInfo"

static const struct protocol_identity plain = { .name = "nanoclaw" };
static const struct protocol_identity quoted = { .name = "a\"b", .instructions = "Say\n\"hi\"." };

/* The text is JSON, and looks like this with ' for ". */
static void assert_text(struct strbuf *text, const char *expected)
{
	cleanup_json json_t *value = NULL;
	cleanup_free char *copy = strdup(text->data);

	assert_int_equal(json_parse(text->data, text->len, &value, NULL), 0);
	for (char *c = copy; *c; c++)
		if (*c == '"')
			*c = '\'';
	assert_string_equal(copy, expected);
	strbuf_reset(text);
}

static const struct {
	const char *params;
	enum protocol_era era;
} eras[] = {
	{ NULL, PROTOCOL_STATEFUL },
	{ "{}", PROTOCOL_STATEFUL },
	{ "{'_meta':7}", PROTOCOL_STATEFUL },
	{ "{'_meta':{'progressToken':1}}", PROTOCOL_STATEFUL },
	{ "{'" VERSION "':'2026-07-28'}", PROTOCOL_STATEFUL },
	{ "{'protocolVersion':'2026-07-28'}", PROTOCOL_STATEFUL },
	{ "{'_meta':{'" VERSION "':7}}", PROTOCOL_STATEFUL },
	{ "{'_meta':{'" VERSION "':'2026-07-28'}}", PROTOCOL_STATELESS },
	{ "{'_meta':{'" VERSION "':'2025-11-25'}}", PROTOCOL_UNKNOWN },
	{ "{'_meta':{'" VERSION "':'2027-01-01'}}", PROTOCOL_UNKNOWN },
	{ "{'_meta':{'" VERSION "':''}}", PROTOCOL_UNKNOWN },
};

static void test_eras(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(eras); i++) {
		cleanup_json json_t *params = test_json(eras[i].params);

		assert_int_equal(protocol_era_of(params), eras[i].era);
	}
}

static void test_what_a_stateless_request_lacks(void **state)
{
	static const char *const odd[] = {
		NULL,
		"{'_meta':{'" VERSION "':'2026-07-28'}}",
		"{'_meta':{'" CLIENT "':null}}",
		"{'_meta':{'" CLIENT "':[]}}",
	};
	cleanup_json json_t *good = test_json("{'_meta':{'" CLIENT "':{}}}");

	(void)state;
	assert_null(protocol_fault(good));
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		cleanup_json json_t *params = test_json(odd[i]);

		assert_string_equal(protocol_fault(params),
				    "\"_meta\" must have an object \"" CLIENT "\"");
	}
}

static const struct {
	const char *asked, *chosen;
} versions[] = {
	{ "'2024-11-05'", "2024-11-05" },
	{ "'2025-03-26'", "2025-03-26" },
	{ "'2025-06-18'", "2025-06-18" },
	{ "'2025-11-25'", "2025-11-25" },
	{ "'2026-07-28'", "2025-11-25" },
	{ "'2023-01-01'", "2025-11-25" },
	{ "'2099-01-01'", "2025-11-25" },
	{ "''", "2025-11-25" },
	{ "7", "2025-11-25" },
};

static void test_initialize(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		cleanup_json json_t *params = NULL;
		char text[256];

		(void)snprintf(text, sizeof(text), "{'protocolVersion':%s}", versions[i].asked);
		params = test_json(text);
		assert_int_equal(protocol_append_initialize(&plain, params, &out), 0);
		(void)snprintf(text, sizeof(text),
			       "{'protocolVersion':'%s','capabilities':{'tools':{}},"
			       "'serverInfo':{'name':'nanoclaw','version':'" AGENT_RUNNER_VERSION
			       "'}}",
			       versions[i].chosen);
		assert_text(&out, text);
	}
}

static void test_initialize_with_instructions(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(protocol_append_initialize(&quoted, NULL, &out), 0);
	assert_text(&out, "{'protocolVersion':'2025-11-25','capabilities':{'tools':{}},"
			  "'serverInfo':{'name':'a\\'b','version':'" AGENT_RUNNER_VERSION "'},"
			  "'instructions':'Say\\n\\'hi\\'.'}");
}

static void test_discover(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(protocol_append_discover(&plain, &out), 0);
	assert_text(&out, "{'supportedVersions':['2026-07-28'],'capabilities':{'tools':{}},"
			  "'resultType':'complete','ttlMs':60000,'cacheScope':'private',"
			  "'_meta':{'" INFO "':{'name':'nanoclaw','version':'" AGENT_RUNNER_VERSION
			  "'}}}");
	assert_int_equal(protocol_append_discover(&quoted, &out), 0);
	assert_text(&out,
		    "{'supportedVersions':['2026-07-28'],'capabilities':{'tools':{}},"
		    "'instructions':'Say\\n\\'hi\\'.',"
		    "'resultType':'complete','ttlMs':60000,'cacheScope':'private',"
		    "'_meta':{'" INFO "':{'name':'a\\'b','version':'" AGENT_RUNNER_VERSION "'}}}");
}

static void test_results(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(protocol_append_result(&plain, PROTOCOL_STATEFUL, true, "", &out), 0);
	assert_text(&out, "{}");
	assert_int_equal(
		protocol_append_result(&plain, PROTOCOL_STATEFUL, true, "\"a\":1,\"b\":[]", &out),
		0);
	assert_text(&out, "{'a':1,'b':[]}");
	assert_int_equal(protocol_append_result(&plain, PROTOCOL_STATELESS, false, "", &out), 0);
	assert_text(&out, "{'resultType':'complete','_meta':{'" INFO
			  "':{'name':'nanoclaw','version':'" AGENT_RUNNER_VERSION "'}}}");
	assert_int_equal(protocol_append_result(&plain, PROTOCOL_STATELESS, true, "\"a\":1", &out),
			 0);
	assert_text(&out, "{'a':1,'resultType':'complete','ttlMs':60000,'cacheScope':'private',"
			  "'_meta':{'" INFO "':{'name':'nanoclaw','version':'" AGENT_RUNNER_VERSION
			  "'}}}");
}

static void test_unsupported(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *params = test_json("{'_meta':{'" VERSION "':'20\\'99'}}");

	(void)state;
	assert_int_equal(protocol_append_unsupported(params, &out), 0);
	assert_text(&out, "{'supported':['2026-07-28'],'requested':'20\\'99'}");
	assert_int_equal(protocol_append_unsupported(NULL, &out), 0);
	assert_text(&out, "{'supported':['2026-07-28'],'requested':''}");
}

static void test_without_memory(void **state)
{
	cleanup_strbuf struct strbuf out = { .error = -ENOMEM };

	(void)state;
	assert_int_equal(protocol_append_result(&plain, PROTOCOL_STATELESS, true, "", &out),
			 -ENOMEM);
	assert_int_equal(protocol_append_initialize(&plain, NULL, &out), -ENOMEM);
	assert_int_equal(protocol_append_discover(&quoted, &out), -ENOMEM);
	assert_int_equal(protocol_append_unsupported(NULL, &out), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eras),
		cmocka_unit_test(test_what_a_stateless_request_lacks),
		cmocka_unit_test(test_initialize),
		cmocka_unit_test(test_initialize_with_instructions),
		cmocka_unit_test(test_discover),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
