/* SPDX-License-Identifier: MIT */
#include "runner/message/cron.h"

#include <errno.h>
#include <string.h>

#include "common/table.h"
#include "tests/test.h"

/* Each of them was given to cron-parser 5.5.0 and 5.10.6: both take it, and find a next run. */
static const char *const expressions[] = {
	"* * * * *",
	"0 9 * * 1-5",
	"0 9 * * MON-FRI",
	"0 9 * * mon,wed,Fri",
	"*/15 9-17 * JAN,mar-MAY MON-FRI",
	"5/15 0 1/7 2/3 2/2",
	"0-59/7,59 0 * * *",
	"0 0 1,15,31 * *",
	"007 009 01 01 0",
	"  0\t9   *\n* * ",
	("0\xc2\xa0"
	 "9 * * *"),
	"? ? ? ? ?",
	"?/5 */100 * * *",
	"30 0 9 * * *", /* seconds first */
	"*/10 * * * * *",
	"0 0 L * *",
	"0 0 L,15 2 *",
	"0 0 * * 5L",
	"0 0 * * FRIL,sunL,2",
	"0 0 * * 0L,7L",
	"0 0 * * *,3L",
	"0 0 * * 7",
	"0 0 * * 5-7",
	"0 0 * * 7,1-5",
	"0 0 * * 5#2",
	"0 0 * * mon#1",
	"0 0 29 2 *",
	"0 0 30 2,4 *",
	"0 0 1,31 2 *",
	"0 0 31 4,6 1",
	"H H * * *",
	"H/15 H(9-17) H(1-28) * H(MON-FRI)",
	"H(0-10)/3 * * H *",
	"H H H(1-29)/29 2 H(0-7)/2",
	"@yearly",
	"@annually",
	"@monthly",
	"@weekly",
	"@daily",
	"@hourly",
	"@minutely",
	"@secondly",
	"@weekdays",
	"@weekends",
};

static void test_expressions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expressions); i++) {
		struct err err = { "" };

		if (cron_check(expressions[i], &err) != 0)
			fail_msg("\"%s\": %s", expressions[i], err.text);
	}
}

#define FIELDS                                                        \
	"give 5: minute, hour, day of month, month, day of week (or " \
	"6, with seconds first)"
#define WEEKDAY "is not a number from 0 to 7 (both are Sunday) or a name from SUN to SAT"
#define MONTH	"is not a number from 1 to 12 or a name from JAN to DEC"

static const struct {
	const char *expression;
	const char *problem;
} faults[] = {
	{ "", "it has 0 fields; " FIELDS },
	{ " \n ", "it has 0 fields; " FIELDS },
	{ "daily", "it has 1 field; " FIELDS },
	{ "every day at 9", "it has 4 fields; " FIELDS },
	{ "* * * *", "it has 4 fields; " FIELDS },
	{ "* * * * * * *", "it has more than 6 fields; " FIELDS },
	{ "* * * * * * * * *", "it has more than 6 fields; " FIELDS },
	{ "60 * * * *", "minute: \"60\" is not a number from 0 to 59" },
	{ "0 24 * * *", "hour: \"24\" is not a number from 0 to 23" },
	{ "0 0 0 * *", "day of month: \"0\" is not a number from 1 to 31" },
	{ "0 0 32 * *", "day of month: \"32\" is not a number from 1 to 31" },
	{ "0 0 * 13 *", "month: \"13\" " MONTH },
	{ "0 0 * MON *", "month: \"MON\" " MONTH },
	{ "0 0 * january *", "month: \"january\" " MONTH },
	{ "0 0 * * 8", "day of week: \"8\" " WEEKDAY },
	{ "0 0 * * JAN", "day of week: \"JAN\" " WEEKDAY },
	{ "0 0 * * Monday", "day of week: \"Monday\" " WEEKDAY },
	{ "60 * * * * *", "second: \"60\" is not a number from 0 to 59" },
	{ "99999999999999999999 * * * *",
	  "minute: \"99999999999999999999\" is not a number from 0 to 59" },
	{ "-1 * * * *", "minute: \"\" is not a number from 0 to 59" },
	{ "5- * * * *", "minute: \"\" is not a number from 0 to 59" },
	{ "1-2-3 * * * *", "minute: \"2-3\" is not a number from 0 to 59" },
	{ "*5 * * * *", "minute: \"*5\" is not a number from 0 to 59" },
	{ "*-5 * * * *", "minute: \"*\" is not a number from 0 to 59" },
	{ "1.5 * * * *", "minute: \"1.5\" is not a number from 0 to 59" },
	{ "+5 * * * *", "minute: \"+5\" is not a number from 0 to 59" },
	{ "1e1 * * * *", "minute: \"1e1\" is not a number from 0 to 59" },
	{ "0x5 * * * *", "minute: \"0x5\" is not a number from 0 to 59" },
	{ "\xd9\xa3 * * * *", "minute: \"\xd9\xa3\" is not a number from 0 to 59" },
	{ "\x01\xff * * * *", "minute: \"\\x01\\xff\" is not a number from 0 to 59" },
	{ "0 17-9 * * *", "hour: the range from \"17\" runs backwards; list two ranges instead" },
	{ "0 0 * * SAT-SUN",
	  "day of week: the range from \"SAT\" runs backwards; list two ranges instead" },
	{ "*/0 * * * *", "minute: \"0\" is no step: a number above 0" },
	{ "*/ * * * *", "minute: \"\" is no step: a number above 0" },
	{ "*/x * * * *", "minute: \"x\" is no step: a number above 0" },
	{ "*/5/2 * * * *", "minute: \"5/2\" is no step: a number above 0" },
	{ "*/-5 * * * *", "minute: \"-5\" is no step: a number above 0" },
	{ "/5 * * * *", "minute: \"\" is not a number from 0 to 59" },
	{ ", * * * *", "minute: \",\" has an empty place in its list" },
	{ "1,,2 * * * *", "minute: \"1,,2\" has an empty place in its list" },
	{ "1,2, * * * *", "minute: \"1,2,\" has an empty place in its list" },
	{ "1,1 * * * *", "minute: \"1,1\" names a value twice" },
	{ "1-5,3 * * * *", "minute: \"1-5,3\" names a value twice" },
	{ "*,5 * * * *", "minute: \"*,5\" names a value twice" },
	{ "0 0 * * 0,7", "day of week: \"0,7\" names a value twice" },
	{ "0 0 * * 0,5-7", "day of week: \"0,5-7\" names a value twice" },
	{ "0 0 * * 3L,wedL", "day of week: \"3L,wedL\" names a value twice" },
	{ "0 0 L,L * *", "day of month: \"L,L\" names a value twice" },
	{ "0 L * * *", "hour: \"L\" is not a number from 0 to 23" },
	{ "0 0 1L * *", "day of month: \"1L\" is not a number from 1 to 31" },
	{ "0 0 L-2 * *", "day of month: \"L\" is not a number from 1 to 31" },
	{ "0 0 L/2 * *", "day of month: \"L\" is not a number from 1 to 31" },
	{ "0 0 LW * *", "day of month: \"LW\" is not a number from 1 to 31" },
	{ "0 0 15W * *", "day of month: \"15W\" is not a number from 1 to 31" },
	{ "0 0 * * L", "day of week: \"L\" " WEEKDAY },
	{ "0 0 * * 8L", "day of week: \"8L\" " WEEKDAY },
	{ "0 0 * * 05L", "day of week: \"05L\" " WEEKDAY },
	{ "0 0 * * 005L", "day of week: \"005L\" " WEEKDAY },
	{ "0 0 * * 5l", "day of week: \"5l\" " WEEKDAY },
	{ "0 0 * * 1-5L", "day of week: \"5L\" " WEEKDAY },
	{ "0 0 * * 5#0", "day of week: \"5#0\" has no number from 1 to 5 behind #" },
	{ "0 0 * * 5#6", "day of week: \"5#6\" has no number from 1 to 5 behind #" },
	{ "0 0 * * 5#", "day of week: \"5#\" has no number from 1 to 5 behind #" },
	{ "0 0 * * 5#1#2", "day of week: \"5#1#2\" has no number from 1 to 5 behind #" },
	{ "0 0 * * 5#1,2", "day of week: \"5#1,2\" has no number from 1 to 5 behind #" },
	{ "0 0 * * 1,5#1", "day of week: \"1,5\" " WEEKDAY },
	{ "0 0 * * #1", "day of week: \"\" " WEEKDAY },
	{ "0 0 5#1 * *", "day of month: \"5#1\" is not a number from 1 to 31" },
	{ "0 0 30 2 *", "day of month: the months given have no day 30" },
	{ "0 0 31 2,4,11 *", "day of month: the months given have no day 31" },
	{ "0 0 31 4 1", "day of month: the months given have no day 31" },
	{ "0 0 30,31 2 ?", "day of month: the months given have no day 30" },
	{ "0 0 30 H *", "day of month: the months given have no day 30" },
	{ "0 0 H 2 *", "day of month: the months given have no day 31" },
	{ "H,5 * * * *", "minute: \"H,5\" has H beside something else: H stands alone" },
	{ "5,H * * * *", "minute: \"H\" is not a number from 0 to 59" },
	{ "H-5 * * * *", "minute: \"H-5\" has H beside something else: H stands alone" },
	{ "H() * * * *", "minute: \"H()\" is not of the form H(a-b)" },
	{ "H( * * * *", "minute: \"H(\" is not of the form H(a-b)" },
	{ "H(1-) * * * *", "minute: \"\" is not a number from 0 to 59" },
	{ "H(1-5 * * * *", "minute: \"H(1-5\" is not of the form H(a-b)" },
	{ "H(1-60) * * * *", "minute: \"60\" is not a number from 0 to 59" },
	{ "H(5-1) * * * *",
	  "minute: the range from \"5\" runs backwards; list two ranges instead" },
	{ "H(1-5)/6 * * * *", "minute: \"H(1-5)/6\" has a step wider than its range" },
	{ "H/0 * * * *", "minute: \"0\" is no step: a number above 0" },
	{ "0 0 * * H/7", "day of week: \"H/7\" may name Sunday twice" },
	{ "0 0 * * H(0-7)/1", "day of week: \"H(0-7)/1\" may name Sunday twice" },
	{ "h * * * *", "minute: \"h\" is not a number from 0 to 59" },
	{ "@reboot", "\"@reboot\" is none of @yearly, @annually, @monthly, @weekly, @daily, "
		     "@hourly, @minutely, @secondly, @weekdays, @weekends" },
	{ "@Daily", "\"@Daily\" is none of @yearly, @annually, @monthly, @weekly, @daily, "
		    "@hourly, @minutely, @secondly, @weekdays, @weekends" },
	{ "@daily ", "\"@daily \" is none of @yearly, @annually, @monthly, @weekly, @daily, "
		     "@hourly, @minutely, @secondly, @weekdays, @weekends" },
	{ " @daily", "it has 1 field; " FIELDS },
	{ "2026-02-04T09:00:00", "it has 1 field; " FIELDS },
};

static void test_faults(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct err err = { "" };

		if (cron_check(faults[i].expression, &err) != -EINVAL)
			fail_msg("\"%s\" is an expression", faults[i].expression);
		assert_string_equal(err.text, faults[i].problem);
	}
	assert_int_equal(cron_check("* * *", NULL), -EINVAL);
}

static void test_length(void **state)
{
	char text[CRON_LENGTH_MAX + 2];
	struct err err;

	(void)state;
	memset(text, '0', sizeof(text));
	memcpy(text, "0 9 * * ", 8);
	text[CRON_LENGTH_MAX] = '\0';
	assert_int_equal(cron_check(text, &err), 0);
	text[CRON_LENGTH_MAX] = '0';
	text[CRON_LENGTH_MAX + 1] = '\0';
	assert_int_equal(cron_check(text, &err), -EINVAL);
	assert_string_equal(err.text, "it is longer than 1024 bytes");
	memset(text, '@', CRON_LENGTH_MAX);
	text[CRON_LENGTH_MAX] = '\0';
	assert_int_equal(cron_check(text, &err), -EINVAL);
	memset(text, ',', CRON_LENGTH_MAX);
	assert_int_equal(cron_check(text, &err), -EINVAL);
	memset(text, ' ', CRON_LENGTH_MAX);
	assert_int_equal(cron_check(text, &err), -EINVAL);
}

/* Each byte of each expression replaced, left out and doubled: a verdict, and never a wrong read. */
static void test_mutations(void **state)
{
	static const char bytes[] = "*?,-/LH#()09 @Na\x80\xff";
	size_t accepted = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(expressions); i++)
		for (size_t at = 0; expressions[i][at]; at++)
			for (size_t byte = 0; byte < sizeof(bytes) + 1; byte++) {
				char text[64] = "";
				struct err err = { "" };
				int r;

				memcpy(text, expressions[i], at);
				if (byte < sizeof(bytes))
					text[at] = bytes[byte];
				strcat(text, expressions[i] + at + (byte % 2));
				r = cron_check(text, &err);
				assert_true(r == 0 || r == -EINVAL);
				assert_int_equal(r == 0, err.text[0] == '\0');
				accepted += r == 0;
				refused += r < 0;
			}
	assert_true(accepted > 100 && refused > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
