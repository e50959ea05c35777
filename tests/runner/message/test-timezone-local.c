/* SPDX-License-Identifier: MIT */
/* Times as agents write them: in the process's zone, its summer time included. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/table.h"
#include "runner/message/timezone.h"
#include "tests/test.h"

#define NOON 1770206400000 /* 2026-02-04T12:00:00Z */

static const char *zone_of(const char *tz)
{
	setenv("TZ", tz, 1);
	return timezone_init();
}

/* What agents write, read in a zone; NULL: no time. */
static const struct {
	const char *zone;
	const char *text;
	const char *utc;
} local_times[] = {
	{ "UTC", "2026-01-15T09:00:00", "2026-01-15T09:00:00.000Z" },
	{ "America/New_York", "2026-01-15T09:00:00", "2026-01-15T14:00:00.000Z" },
	{ "America/New_York", "2026-07-15T09:00:00", "2026-07-15T13:00:00.000Z" },
	{ "America/New_York", "2026-01-15T23:59:59.999", "2026-01-16T04:59:59.999Z" },
	{ "Asia/Tokyo", "2026-06-15T09:00:00", "2026-06-15T00:00:00.000Z" },
	{ "Asia/Kathmandu", "2026-02-15 02:30", "2026-02-14T20:45:00.000Z" },
	{ "Asia/Kolkata", "2026-02-15", "2026-02-14T18:30:00.000Z" },
	{ "Pacific/Kiritimati", "2026-01-01", "2025-12-31T10:00:00.000Z" },
	{ "Etc/GMT+12", "2025-12-31T23:00", "2026-01-01T11:00:00.000Z" },
	{ "Europe/Berlin", "2026-07-01 24:00", "2026-07-01T22:00:00.000Z" },
	{ "Europe/Berlin", "2026-1-5 9:00", "2026-01-05T08:00:00.000Z" },
	{ "Europe/Berlin", "2026-01-05t09:00:00.5", "2026-01-05T08:00:00.500Z" },
	{ "Europe/Berlin", " \t2026-01-05T09:00:00\xc2\xa0\n", "2026-01-05T08:00:00.000Z" },
	{ "Europe/Berlin", "2024-02-29T12:00", "2024-02-29T11:00:00.000Z" },
	/* Before zones there was the sun: Berlin's is 53 minutes and 28 seconds ahead. */
	{ "Europe/Berlin", "1890-01-01T00:53:28", "1890-01-01T00:00:00.000Z" },
	/* A zone of its own wins. */
	{ "America/New_York", "2026-01-15T09:00:00Z", "2026-01-15T09:00:00.000Z" },
	{ "America/New_York", "2026-01-15T09:00:00.123456z", "2026-01-15T09:00:00.123Z" },
	{ "America/New_York", "2026-01-15T09:00:00+02:00", "2026-01-15T07:00:00.000Z" },
	{ "America/New_York", "2026-01-15T09:00:00-0530", "2026-01-15T14:30:00.000Z" },
	{ "America/New_York", "2026-01-15 09:00 +01", "2026-01-15T08:00:00.000Z" },
	/* What summer time leaves out, its neighbours, and what it repeats. */
	{ "America/New_York", "2026-03-08T01:59:59", "2026-03-08T06:59:59.000Z" },
	{ "America/New_York", "2026-03-08T02:00:00", "2026-03-08T07:00:00.000Z" },
	{ "America/New_York", "2026-03-08T02:30:00", "2026-03-08T07:30:00.000Z" },
	{ "America/New_York", "2026-03-08T03:00:00", "2026-03-08T07:00:00.000Z" },
	{ "America/New_York", "2026-03-08T03:30:00", "2026-03-08T07:30:00.000Z" },
	{ "America/New_York", "2026-11-01T00:59:59", "2026-11-01T04:59:59.000Z" },
	{ "America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00.000Z" },
	{ "America/New_York", "2026-11-01T02:00:00", "2026-11-01T07:00:00.000Z" },
	{ "America/New_York", "2026-11-01T05:30:00", "2026-11-01T10:30:00.000Z" },
	{ "Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59.000Z" },
	{ "Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29T00:30:00.000Z" },
	{ "Europe/Berlin", "2026-03-29T03:00:00", "2026-03-29T01:00:00.000Z" },
	{ "Europe/Berlin", "2026-10-25T01:59:59", "2026-10-24T23:59:59.000Z" },
	{ "Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T01:30:00.000Z" },
	{ "Europe/Berlin", "2026-10-25T03:00:00", "2026-10-25T02:00:00.000Z" },
	{ "Europe/London", "2026-03-29T01:30:00", "2026-03-29T00:30:00.000Z" },
	{ "Europe/London", "2026-10-25T01:30:00", "2026-10-25T01:30:00.000Z" },
	/* Half an hour of it, and a day that an island left out. */
	{ "Australia/Lord_Howe", "2026-10-04T02:15:00", "2026-10-03T15:15:00.000Z" },
	{ "Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T15:15:00.000Z" },
	{ "Pacific/Apia", "2011-12-30T12:00:00", "2011-12-29T22:00:00.000Z" },
	{ "Pacific/Apia", "2011-12-29T23:00:00", "2011-12-30T09:00:00.000Z" },
	{ "Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00.000Z" },
	/* No year is longer than four digits, in UTC either. */
	{ "UTC", "0000-01-01", "0000-01-01T00:00:00.000Z" },
	{ "UTC", "9999-12-31T23:59:59.999", "9999-12-31T23:59:59.999Z" },
	{ "UTC", "9999-12-31T24:00", NULL },
	{ "Etc/GMT+5", "9999-12-31T19:00", NULL },
	{ "Etc/GMT-5", "0000-01-01T00:00", NULL },
	{ "UTC", "0000-01-01T00:00+00:01", NULL },
	/* Days that no calendar has, and what is no day yet. */
	{ "UTC", "2026-02-29", NULL },
	{ "UTC", "2026-02-30T09:00:00Z", NULL },
	{ "UTC", "2026-04-31T24:00", NULL },
	{ "UTC", "1900-02-29", NULL },
	{ "UTC", "2026", NULL },
	{ "UTC", "2026-05", NULL },
	{ "UTC", "tomorrow at 9", NULL },
	{ "UTC", "Thu, 15 Jan 2026 09:00:00 GMT", NULL },
	{ "UTC", "2026-01-15T09:00:00 Europe/Berlin", NULL },
	{ "UTC", "2026-01-15T09:00:00.0000000000000000000000000000000000000000000000000000Z",
	  NULL },
};

static void test_local(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(local_times); i++) {
		char utc[TIMEZONE_UTC_SIZE] = "";
		int64_t ms = -7;
		int r;

		assert_string_equal(zone_of(local_times[i].zone), local_times[i].zone);
		r = timezone_parse_local(local_times[i].text, &ms);
		if (r == 0)
			timezone_print_utc(ms, utc);
		if (local_times[i].utc ? r != 0 || strcmp(utc, local_times[i].utc) != 0
				       : r != -EINVAL || ms != -7)
			fail_msg("%s in %s is %s (%d)", local_times[i].text, local_times[i].zone,
				 utc, r);
	}
}

/* Every half hour of a year, in zones of all kinds: read back it is what the clock showed. */
static void test_local_reads_clocks(void **state)
{
	static const char *const zones[] = { "America/New_York", "Europe/Berlin",
					     "Australia/Lord_Howe", "Africa/Casablanca",
					     "Pacific/Chatham" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		zone_of(zones[i]);
		for (time_t at = NOON / 1000; at < NOON / 1000 + 366 * 86400; at += 1800) {
			char text[32], shown[32];
			struct tm tm;
			int64_t ms = 0;
			time_t again;

			assert_non_null(localtime_r(&at, &tm));
			(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm);
			assert_int_equal(timezone_parse_local(text, &ms), 0);
			again = (time_t)(ms / 1000);
			assert_non_null(localtime_r(&again, &tm));
			(void)strftime(shown, sizeof(shown), "%Y-%m-%d %H:%M", &tm);
			if (strcmp(text, shown) != 0)
				fail_msg("%s in %s is %s", text, zones[i], shown);
		}
	}
}

/* Nothing that stands where a time is expected is read beyond its end. */
static void test_local_mutations(void **state)
{
	static const char model[] = "2026-02-04T12:30:15.250+01:00";
	static const char bytes[] = "0129-+:.TZz \t/eW\xc2\xff";
	char text[sizeof(model)];
	int64_t ms;

	(void)state;
	zone_of("Europe/Berlin");
	for (size_t at = 0; at < sizeof(model); at++)
		for (size_t byte = 0; byte < sizeof(bytes); byte++) {
			memcpy(text, model, sizeof(model));
			text[at] = bytes[byte];
			text[sizeof(model) - 1] = '\0';
			if (timezone_parse_local(text, &ms) == 0)
				assert_true(ms >= -62167219200000 && ms <= 253402300799999);
		}
}

static void test_print_utc(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} prints[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ NOON + 7, "2026-02-04T12:00:00.007Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ -62167219200000, "0000-01-01T00:00:00.000Z" },
	};
	char text[TIMEZONE_UTC_SIZE];

	(void)state;
	zone_of("Asia/Tokyo");
	for (size_t i = 0; i < ARRAY_LEN(prints); i++) {
		timezone_print_utc(prints[i].ms, text);
		assert_string_equal(text, prints[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_local_reads_clocks),
		cmocka_unit_test(test_local_mutations),
		cmocka_unit_test(test_print_utc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
