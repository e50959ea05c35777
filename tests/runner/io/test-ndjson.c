/* SPDX-License-Identifier: MIT */
#include "runner/io/ndjson.h"

#include <errno.h>
#include <string.h>

#include "tests/test.h"

static void feed(struct ndjson *reader, const char *bytes, size_t n)
{
	while (n > 0) {
		size_t size;
		char *room;

		assert_int_equal(ndjson_room(reader, &room, &size), 0);
		if (size > n)
			size = n;
		memcpy(room, bytes, size);
		ndjson_filled(reader, size);
		bytes += size;
		n -= size;
	}
}

static void test_lines(void **state)
{
	struct ndjson reader;
	char *line;
	size_t len;

	(void)state;
	ndjson_init(&reader, 100);
	feed(&reader, "one\n\ntw", 7);
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_string_equal(line, "one");
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_int_equal(len, 0);
	assert_int_equal(ndjson_next(&reader, &line, &len), 0);
	feed(&reader, "o\0!\n", 4);
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_int_equal(len, 5);
	assert_memory_equal(line, "two\0!", 6);
	assert_int_equal(ndjson_next(&reader, &line, &len), 0);
	ndjson_deinit(&reader);
}

static void test_overlong_line_is_dropped_and_reported(void **state)
{
	char bytes[4096];
	struct ndjson reader;
	size_t len = 0;
	char *line;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	ndjson_init(&reader, 1000);
	for (int i = 0; i < 100; i++) {
		feed(&reader, bytes, sizeof(bytes));
		assert_int_equal(ndjson_next(&reader, &line, &len), 0);
	}
	assert_true(reader.capacity < 64 * 1024);
	feed(&reader, "\nnext\n", 6);
	assert_int_equal(ndjson_next(&reader, &line, &len), -EFBIG);
	assert_int_equal(len, 100 * sizeof(bytes));
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_string_equal(line, "next");
	ndjson_deinit(&reader);
}

static void test_line_just_over_the_limit(void **state)
{
	struct ndjson reader;
	size_t len;
	char *line;

	(void)state;
	ndjson_init(&reader, 3);
	feed(&reader, "abc\nabcd\nab\n", 12);
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_int_equal(ndjson_next(&reader, &line, &len), -EFBIG);
	assert_int_equal(len, 4);
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_string_equal(line, "ab");
	ndjson_deinit(&reader);
}

static void test_huge_line_arrives_whole(void **state)
{
	const size_t size = 5 * 1024 * 1024;
	char *bytes = test_malloc(size + 1), *line;
	struct ndjson reader;
	size_t len;

	(void)state;
	memset(bytes, 'y', size);
	bytes[size] = '\n';
	ndjson_init(&reader, 64 * 1024 * 1024);
	feed(&reader, bytes, size + 1);
	assert_int_equal(ndjson_next(&reader, &line, &len), 1);
	assert_int_equal(len, size);
	/* An idle reader gives the memory back. */
	feed(&reader, "\n", 1);
	assert_true(reader.capacity < 1024 * 1024);
	ndjson_deinit(&reader);
	test_free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_overlong_line_is_dropped_and_reported),
		cmocka_unit_test(test_line_just_over_the_limit),
		cmocka_unit_test(test_huge_line_arrives_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
