/* SPDX-License-Identifier: MIT */
#include "runner/mcp/ncl-print.h"

#include <stdio.h>
#include <string.h>

#include "common/table.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "tests/test.h"

typedef int print_fn(const json_t *frame, struct strbuf *out);

static void assert_prints(print_fn *print, const char *frame, const char *text)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	cleanup_json json_t *value = NULL;
	struct err err;

	assert_int_equal(json_parse(frame, strlen(frame), &value, &err), 0);
	assert_int_equal(print(value, &out), 0);
	assert_string_equal(out.data, text);
	assert_true(utf8_is_valid(out.data, out.len));
}

static void test_ok(void **state)
{
	static const struct {
		const char *frame;
		bool ok;
	} rows[] = {
		{ "{\"id\":\"1\",\"ok\":true,\"data\":null}", true },
		{ "{\"id\":\"1\",\"ok\":false}", false },
		{ "{\"id\":\"1\",\"ok\":\"true\"}", false },
		{ "{}", false },
		{ "null", false },
		{ "[true]", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_json json_t *value = NULL;

		assert_int_equal(json_parse(rows[i].frame, strlen(rows[i].frame), &value, NULL), 0);
		assert_int_equal(ncl_print_is_ok(value), rows[i].ok);
	}
}

static void test_frame(void **state)
{
	(void)state;
	assert_prints(ncl_print_frame, "{\"id\":\"1\",\"ok\":true,\"data\":[1]}",
		      "{\n  \"id\": \"1\",\n  \"ok\": true,\n  \"data\": [\n    1\n  ]\n}\n");
	assert_prints(ncl_print_frame, "null", "null\n");
}

static void test_table(void **state)
{
	(void)state;
	assert_prints(ncl_print_data,
		      "{\"data\":[{\"id\":\"g1\",\"name\":\"Casa\",\"n\":1.5},"
		      "{\"id\":\"g22\",\"name\":null,\"n\":true},"
		      "{\"n\":12345,\"other\":\"not shown\"}]}",
		      "id   name  n    \n"
		      "---  ----  -----\n"
		      "g1   Casa  1.5  \n"
		      "g22        true \n"
		      "           12345\n");
	/* As wide as its characters, and emoji as two. */
	assert_prints(ncl_print_data,
		      "{\"data\":[{\"a\":\"\xc3\xa9\xc3\xa9\xc3\xa9\",\"b\":1},"
		      "{\"a\":\"\xf0\x9f\x98\x80\",\"b\":2}]}",
		      "a    b\n---  -\n\xc3\xa9\xc3\xa9\xc3\xa9  1\n\xf0\x9f\x98\x80   2\n");
}

static void test_cells_drive_no_terminal(void **state)
{
	(void)state;
	assert_prints(
		ncl_print_data,
		"{\"data\":[{\"a\\u001b[2Jb\":\"x\\ny\\tz\\u0000\\u001b[31m\\u009b1m\\u007f\"}]}",
		"a?[2Jb         \n"
		"---------------\n"
		"x y z??[31m?1m?\n");
}

static void test_no_table(void **state)
{
	static const struct {
		const char *data, *text;
	} rows[] = {
		{ "null", "null\n" },
		{ "[]", "[]\n" },
		{ "\"a\\nb\"", "\"a\\nb\"\n" },
		{ "{\"a\":1}", "{\n  \"a\": 1\n}\n" },
		{ "[1]", "[\n  1\n]\n" },
		{ "[{}]", "[\n  {}\n]\n" },
		{ "[{\"a\":1},2]", "[\n  {\n    \"a\": 1\n  },\n  2\n]\n" },
		{ "[{\"a\":[]}]", "[\n  {\n    \"a\": []\n  }\n]\n" },
		{ "[{\"a\":1},{\"a\":{}}]",
		  "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": {}\n  }\n]\n" },
		/* Still the same JSON, but harmless. */
		{ "\"\\u001b\\u009b\\u007f\\u00a0\"", "\"\\u001b\\u009b\\u007f\xc2\xa0\"\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf frame = STRBUF_EMPTY;

		strbuf_printf(&frame, "{\"ok\":true,\"data\":%s}", rows[i].data);
		assert_prints(ncl_print_data, frame.data, rows[i].text);
	}
	assert_prints(ncl_print_data, "{\"ok\":true}", "null\n");
}

/* What is printed of an object {name: "…"} of that width, with so many empty ones behind it. */
static void print_rows(size_t width, size_t columns, size_t rows, struct strbuf *out)
{
	cleanup_json json_t *frame = json_object();
	json_t *data = json_array(), *first = json_object();
	char name[32];

	assert_int_equal(json_object_set_new(frame, "data", data), 0);
	assert_int_equal(json_array_append_new(data, first), 0);
	for (size_t i = 0; i < columns; i++) {
		cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

		for (size_t n = 0; n < width; n++)
			strbuf_putc(&text, 'x');
		(void)snprintf(name, sizeof(name), "name%zu", i);
		assert_int_equal(json_object_set_new(first, name, json_stringn(text.data, width)),
				 0);
	}
	for (size_t i = 0; i < rows; i++)
		assert_int_equal(json_array_append_new(data, json_object()), 0);
	assert_int_equal(ncl_print_data(frame, out), 0);
}

static void test_no_endless_table(void **state)
{
	static const struct {
		size_t width, columns, rows;
		bool is_table;
	} rows[] = {
		{ 1000, 1, 1000, true },
		{ 30000, 1, 10000, false },
		{ 1, 24, 10000, true },
		{ 1, 3000, 8000, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

		print_rows(rows[i].width, rows[i].columns, rows[i].rows, &out);
		assert_true(out.len < 20 * 1024 * 1024);
		assert_int_equal(out.data[0], rows[i].is_table ? 'n' : '[');
	}
}

static void test_error(void **state)
{
	static const struct {
		const char *frame, *text;
	} rows[] = {
		{ "{\"ok\":false,\"error\":{\"code\":\"forbidden\",\"message\":\"not yours\"}}",
		  "error (forbidden): not yours\n" },
		{ "{\"ok\":false,\"error\":{\"code\":404,\"message\":\"a\\nb\\u001bc\\n\"}}",
		  "error (404): a\nb?c\n\n" },
		{ "{\"ok\":false,\"error\":{\"message\":\"\"}}", "error (unknown): \n" },
		{ "{\"ok\":false}", "error (unknown): the host did not say why\n" },
		{ "{\"ok\":false,\"error\":\"x\"}", "error (unknown): the host did not say why\n" },
		{ "null", "error (unknown): the host did not say why\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_prints(ncl_print_error, rows[i].frame, rows[i].text);
}

static void test_complaint(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	assert_int_equal(ncl_print_complaint("a\nb\x1b\xc3", &out), 0);
	assert_string_equal(out.data, "ncl: a b?\xef\xbf\xbd\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ok),	  cmocka_unit_test(test_frame),
		cmocka_unit_test(test_table),	  cmocka_unit_test(test_cells_drive_no_terminal),
		cmocka_unit_test(test_no_table),  cmocka_unit_test(test_error),
		cmocka_unit_test(test_complaint), cmocka_unit_test(test_no_endless_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
