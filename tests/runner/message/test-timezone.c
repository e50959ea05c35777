/* SPDX-License-Identifier: MIT */
#include "runner/message/timezone.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/table.h"
#include "tests/folder.h"

#define NOON 1770206400000 /* 2026-02-04T12:00:00Z */

/* Which zone TZ leads to; NULL: unset. */
static const char *zone_of(const char *tz)
{
	if (tz)
		setenv("TZ", tz, 1);
	else
		unsetenv("TZ");
	return timezone_init();
}

static void assert_formats(const char *timestamp, const char *expected)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	assert_int_equal(timezone_format(timestamp, &out), 0);
	assert_string_equal(out.data, expected);
}

static void test_names_of_the_database(void **state)
{
	(void)state;
	assert_string_equal(zone_of("America/New_York"), "America/New_York");
	assert_string_equal(getenv("TZ"), "America/New_York");
	assert_formats("2026-02-04T18:30:00Z", "Feb 4, 2026, 1:30 PM");
	assert_string_equal(zone_of("Asia/Kathmandu"), "Asia/Kathmandu");
	assert_formats("2026-02-04T18:30:00Z", "Feb 5, 2026, 12:15 AM");
	assert_string_equal(zone_of("Etc/GMT+5"), "Etc/GMT+5");
	assert_formats("2026-02-04T18:30:00Z", "Feb 4, 2026, 1:30 PM");
	assert_string_equal(zone_of("America/Argentina/Buenos_Aires"),
			    "America/Argentina/Buenos_Aires");
}

static void test_what_tzset_takes_too(void **state)
{
	(void)state;
	assert_string_equal(zone_of(":Europe/Berlin"), "Europe/Berlin");
	assert_string_equal(getenv("TZ"), "Europe/Berlin");
	assert_formats("2026-02-04T12:00:00Z", "Feb 4, 2026, 1:00 PM");
	assert_string_equal(zone_of("/usr/share/zoneinfo/Europe/Berlin"), "Europe/Berlin");
	assert_string_equal(zone_of(":/usr/share/zoneinfo/Europe/Berlin"), "Europe/Berlin");
	assert_string_equal(getenv("TZ"), "Europe/Berlin");
}

static void test_utc(void **state)
{
	static const char *const names[] = { "UTC", "Etc/UTC", ":UTC" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_string_equal(zone_of(names[i]), "UTC");
		assert_formats("2026-02-04T13:30:00Z", "Feb 4, 2026, 1:30 PM");
	}
}

static void test_what_is_no_zone_is_utc(void **state)
{
	static const char *const names[] = {
		"Mars/Olympus_Mons",
		"america/new_york", /* agents on other systems do not find it */
		"America",
		"America/",
		"America//New_York",
		"America/New_York ",
		" America/New_York",
		"/America/New_York",
		"::America/New_York",
		/* POSIX rules: the agent's side knows only names. */
		"EST5",
		"CET-1CEST,M3.5.0,M10.5.0/3",
		"<+03>-3",
		"JST-9",
		"UTC+3",
		/* Out of the database, or into the other half of it. */
		"/etc/passwd",
		"../../etc/passwd",
		"America/../../../../etc/passwd",
		"/usr/share/zoneinfo/../../../etc/passwd",
		"/usr/share/zoneinfo//etc/passwd",
		"/usr/share/zoneinfo/",
		"/dev/zero",
		"..",
		".",
		"/",
		":",
		"localtime",
		"posixrules",
		"posix/Europe/Berlin",
		"right/Europe/Berlin",
		"Factory",
		"zone.tab",
		"leapseconds",
		"tzdata.zi",
		"America/New_York\n",
		"America/New\xc3\xa4York",
		"\xff",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(zone_of(names[i]), "UTC") != 0)
			fail_msg("\"%s\" is a zone", names[i]);
		assert_string_equal(getenv("TZ"), "UTC");
		assert_formats("2026-07-04T13:30:00Z", "Jul 4, 2026, 1:30 PM");
	}
}

/* A POSIX rule by its looks, a file on most systems: what counts is whether it is there. */
static void test_a_rule_that_is_a_file(void **state)
{
	bool is_there = access("/usr/share/zoneinfo/EST5EDT", R_OK) == 0;

	(void)state;
	assert_string_equal(zone_of("EST5EDT"), is_there ? "EST5EDT" : "UTC");
	assert_formats("2026-02-04T18:30:00Z",
		       is_there ? "Feb 4, 2026, 1:30 PM" : "Feb 4, 2026, 6:30 PM");
}

/* The C library would look for the zone there, and take UTC for what it does not find. */
static void test_another_database_is_not_used(void **state)
{
	(void)state;
	setenv("TZDIR", "/nonexistent", 1);
	assert_string_equal(zone_of("Asia/Tokyo"), "Asia/Tokyo");
	assert_formats("2026-02-04T12:00:00Z", "Feb 4, 2026, 9:00 PM");
}

static void test_the_system_decides_without_tz(void **state)
{
	char expected[TIMEZONE_SIZE];

	(void)state;
	timezone_of_system("/etc", expected, sizeof(expected));
	if (!expected[0] || strcmp(expected, "Etc/UTC") == 0)
		strcpy(expected, "UTC");
	assert_string_equal(zone_of(NULL), expected);
	assert_string_equal(getenv("TZ"), expected);
	assert_string_equal(zone_of(""), expected);
}

static void assert_system(struct folder *etc, const char *link, const char *text,
			  const char *expected)
{
	char name[TIMEZONE_SIZE] = "?";

	folder_make(etc);
	if (link)
		assert_int_equal(symlink(link, folder_file(etc, "localtime")), 0);
	if (text)
		folder_write(etc, "timezone", text);
	timezone_of_system(etc->path, name, sizeof(name));
	folder_remove(etc);
	assert_string_equal(name, expected);
}

static void test_system(void **state)
{
	struct folder etc;

	(void)state;
	assert_system(&etc, "/usr/share/zoneinfo/Asia/Tokyo", NULL, "Asia/Tokyo");
	assert_system(&etc, "../usr/share/zoneinfo/Asia/Tokyo", NULL, "Asia/Tokyo");
	assert_system(&etc, "/usr/share/zoneinfo/Asia/Tokyo", "Europe/Berlin\n", "Asia/Tokyo");
	assert_system(&etc, "/usr/share/zoneinfo/Mars/Base", "Europe/Berlin\n", "Europe/Berlin");
	assert_system(&etc, NULL, "Europe/Berlin", "Europe/Berlin");
	assert_system(&etc, NULL, "Europe/Berlin # home\n", "Europe/Berlin");
	assert_system(&etc, NULL, "Etc/UTC\n", "Etc/UTC");
	assert_system(&etc, NULL, NULL, "");
	assert_system(&etc, NULL, "", "");
	assert_system(&etc, NULL, "Mars/Base\n", "");
	assert_system(&etc, NULL, "../../../etc/passwd\n", "");
	assert_system(&etc, "/etc/passwd", NULL, "");
	assert_system(&etc, "/usr/share/zoneinfo/../../../etc/passwd", NULL, "");
	/* As some images have it, without a link: nothing there says its name. */
	folder_make(&etc);
	folder_write(&etc, "localtime", "TZif");
	folder_mkdir(&etc, "timezone");
	timezone_of_system(etc.path, etc.file, TIMEZONE_SIZE);
	assert_string_equal(etc.file, "");
	folder_remove(&etc);
}

static void test_clock_of_twelve_hours(void **state)
{
	(void)state;
	zone_of("UTC");
	assert_formats("2026-02-04T00:00:00Z", "Feb 4, 2026, 12:00 AM");
	assert_formats("2026-02-04T00:59:59.999Z", "Feb 4, 2026, 12:59 AM");
	assert_formats("2026-02-04T01:05:00Z", "Feb 4, 2026, 1:05 AM");
	assert_formats("2026-02-04T11:59:00Z", "Feb 4, 2026, 11:59 AM");
	assert_formats("2026-02-04T12:00:00Z", "Feb 4, 2026, 12:00 PM");
	assert_formats("2026-12-31T23:59:00Z", "Dec 31, 2026, 11:59 PM");
}

static void test_months(void **state)
{
	static const char *const expected[] = {
		"Jan 1, 2026, 3:04 PM", "Feb 1, 2026, 3:04 PM", "Mar 1, 2026, 3:04 PM",
		"Apr 1, 2026, 3:04 PM", "May 1, 2026, 3:04 PM", "Jun 1, 2026, 3:04 PM",
		"Jul 1, 2026, 3:04 PM", "Aug 1, 2026, 3:04 PM", "Sep 1, 2026, 3:04 PM",
		"Oct 1, 2026, 3:04 PM", "Nov 1, 2026, 3:04 PM", "Dec 1, 2026, 3:04 PM",
	};
	char timestamp[64];

	(void)state;
	zone_of("UTC");
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		snprintf(timestamp, sizeof(timestamp), "2026-%02zu-01 15:04:05", i + 1);
		assert_formats(timestamp, expected[i]);
	}
}

static void test_summer_time(void **state)
{
	(void)state;
	zone_of("America/New_York");
	assert_formats("2026-03-08T06:59:00Z", "Mar 8, 2026, 1:59 AM");
	assert_formats("2026-03-08T07:00:00Z", "Mar 8, 2026, 3:00 AM");
	assert_formats("2026-11-01T05:59:00Z", "Nov 1, 2026, 1:59 AM");
	assert_formats("2026-11-01T06:00:00Z", "Nov 1, 2026, 1:00 AM");
}

static void test_a_zone_in_the_timestamp(void **state)
{
	(void)state;
	zone_of("America/New_York");
	assert_formats("2026-02-04T18:30:00.000Z", "Feb 4, 2026, 1:30 PM");
	assert_formats("2026-02-04 18:30:00", "Feb 4, 2026, 1:30 PM");
	assert_formats("2026-02-04T18:30:00+00:00", "Feb 4, 2026, 1:30 PM");
	assert_formats("2026-02-04T19:30:00+01:00", "Feb 4, 2026, 1:30 PM");
	assert_formats("2026-02-04T13:30:00-0500", "Feb 4, 2026, 1:30 PM");
	assert_formats("2026-02-05T00:15:00+05:45", "Feb 4, 2026, 1:30 PM");
	assert_formats("2026-02-04T13:30-05", "Feb 4, 2026, 1:30 PM");
}

static void test_years(void **state)
{
	(void)state;
	zone_of("UTC");
	assert_formats("9999-12-31T23:59:59Z", "Dec 31, 9999, 11:59 PM");
	assert_formats("0999-01-01", "Jan 1, 999, 12:00 AM");
	/* The year before 1 is 1 BC: English prints the number alone. */
	assert_formats("0001-01-01", "Jan 1, 1, 12:00 AM");
	assert_formats("0000-01-01", "Jan 1, 1, 12:00 AM");
	assert_formats("0000-01-01T00:00+01:00", "Dec 31, 2, 11:00 PM");
	assert_formats("1969-12-31T23:59:59.999Z", "Dec 31, 1969, 11:59 PM");
	assert_formats("1970-01-01T00:00:00Z", "Jan 1, 1970, 12:00 AM");
}

static const struct {
	const char *timestamp;
	int64_t ms;
} times[] = {
	{ "2026-02-04T12:00:00.000Z", NOON },
	{ "2026-02-04T12:00:00Z", NOON },
	{ "2026-02-04T12:00Z", NOON },
	{ "2026-02-04t12:00:00z", NOON },
	{ "2026-02-04 12:00:00", NOON },
	{ "2026-02-04 12:00", NOON },
	{ "2026-2-4 12:00", NOON },
	{ "2026-02-04T12:00:00", NOON },
	{ "2026-02-04 12:00:00 Z", NOON },
	{ "2026-02-04 12:00:00 +00:00", NOON },
	{ "2026-02-04T13:00:00+01", NOON },
	{ "2026-02-04T13:00:00+01:00", NOON },
	{ "2026-02-04T13:00:00+0100", NOON },
	{ "2026-02-04T06:30:00-05:30", NOON },
	{ "2026-02-05T11:59:00+23:59", NOON },
	{ "2026-02-04T12:00:00.5Z", NOON + 500 },
	{ "2026-02-04T12:00:00.05Z", NOON + 50 },
	{ "2026-02-04T12:00:00.123456789Z", NOON + 123 },
	{ "2026-02-04T12:00:00.9999999999999999999999Z", NOON + 999 },
	{ "2026-02-04T12:00:01Z", NOON + 1000 },
	{ "2026-02-04", NOON - 12 * 3600000LL },
	{ "2026-02-03T24:00:00.000Z", NOON - 12 * 3600000LL },
	{ "2026-02", NOON - (12 + 3 * 24) * 3600000LL },
	{ "2026", NOON - (12 + 34 * 24) * 3600000LL },
	{ "2026-02-30", NOON + (12 + 25 * 24) * 3600000LL },
	{ "2026-03-02", NOON + (12 + 25 * 24) * 3600000LL },
	{ "2024-02-29", 1709164800000 },
	{ "1970-01-01", 0 },
	{ "1969-12-31T23:59:59.999Z", -1 },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int64_t ms = -7;

		if (timezone_parse_utc(times[i].timestamp, &ms) != 0 || ms != times[i].ms)
			fail_msg("%s is %lld", times[i].timestamp, (long long)ms);
	}
}

static const char *const garbage[] = {
	"",
	" ",
	"now",
	"yesterday, 3 o'clock",
	"1770206400",
	"1770206400000",
	"20260204",
	"202",
	"26-02-04",
	"02/04/2026",
	"-2026-02-04",
	"+002026-02-04",
	"2026-",
	"2026-00",
	"2026-13",
	"2026-02-",
	"2026-02-00",
	"2026-02-32",
	"2026-002-04",
	"2026-02-004",
	"2026-02-04T",
	"2026-02-04 ",
	"2026-02-04Z",
	"2026-02-04+01:00",
	"2026-02-04  12:00",
	"2026-02-04T12",
	"2026-02-04T12Z",
	"2026-02-04T12:",
	"2026-02-04T12:0",
	"2026-02-04T12:00:",
	"2026-02-04T12:00:0",
	"2026-02-04T12:00:00.",
	"2026-02-04T12:00:00.Z",
	"2026-02-04T12:00:00,5",
	"2026-02-04T12:00 ",
	"2026-02-04T12:00  Z",
	"2026-02-04T12:60",
	"2026-02-04T12:00:60",
	"2026-02-04T25:00",
	"2026-02-04T24:00:01",
	"2026-02-04T24:01",
	"2026-02-04T24:00:00.001",
	"2026-02-04T12:00+",
	"2026-02-04T12:00+1",
	"2026-02-04T12:00+01:",
	"2026-02-04T12:00+01:0",
	"2026-02-04T12:00+010",
	"2026-02-04T12:00+24:00",
	"2026-02-04T12:00+01:60",
	"2026-02-04T12:00+01:000",
	"2026-02-04T12:00ZZ",
	"2026-02-04T12:00 GMT",
	"2026-02-04T12:00[Europe/Berlin]",
	"2026-02-04T12:00:00Z\n",
	"\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa6-02-04", /* digits, but not ours */
};

static void test_garbage(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		int64_t ms = -7;

		if (timezone_parse_utc(garbage[i], &ms) != -EINVAL || ms != -7)
			fail_msg("\"%s\" is a time", garbage[i]);
		assert_formats(garbage[i], "Invalid Date");
	}
	assert_formats(NULL, "Invalid Date");
}

static void test_format_appends(void **state)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;

	(void)state;
	zone_of("UTC");
	strbuf_puts(&out, "at ");
	assert_int_equal(timezone_format("2026-02-04", &out), 0);
	assert_string_equal(out.data, "at Feb 4, 2026, 12:00 AM");
}

static void test_local_garbage(void **state)
{
	(void)state;
	zone_of("Europe/Berlin");
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		size_t len = strlen(garbage[i]);
		int64_t ms = -7;

		/* Blanks around it are forgiven. */
		if (len > 0 && strchr(" \n", garbage[i][len - 1]) && len > 10)
			continue;
		if (timezone_parse_local(garbage[i], &ms) != -EINVAL || ms != -7)
			fail_msg("\"%s\" is a time", garbage[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_the_database),
		cmocka_unit_test(test_what_tzset_takes_too),
		cmocka_unit_test(test_utc),
		cmocka_unit_test(test_what_is_no_zone_is_utc),
		cmocka_unit_test(test_a_rule_that_is_a_file),
		cmocka_unit_test(test_another_database_is_not_used),
		cmocka_unit_test(test_the_system_decides_without_tz),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_clock_of_twelve_hours),
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_summer_time),
		cmocka_unit_test(test_a_zone_in_the_timestamp),
		cmocka_unit_test(test_years),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_format_appends),
		cmocka_unit_test(test_local_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
