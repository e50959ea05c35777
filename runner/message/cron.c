/* SPDX-License-Identifier: MIT */
#include "runner/message/cron.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/quote.h"
#include "common/table.h"
#include "runner/message/blank.h"

enum cron_name {
	CRON_SECOND,
	CRON_MINUTE,
	CRON_HOUR,
	CRON_DAY,
	CRON_MONTH,
	CRON_WEEKDAY,
	CRON_FIELDS,
};

static const char *const cron_month_names[] = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
						"AUG", "SEP", "OCT", "NOV", "DEC", NULL };

static const char *const cron_weekday_names[] = { "SUN", "MON", "TUE", "WED",
						  "THU", "FRI", "SAT", NULL };

static const struct cron_field {
	const char *name;
	int min, max;
	const char *const *names; /* of min and the numbers behind it; NULL: they have none */
	const char *expected;
} cron_fields[] = {
	[CRON_SECOND] = { "second", 0, 59, NULL, "a number from 0 to 59" },
	[CRON_MINUTE] = { "minute", 0, 59, NULL, "a number from 0 to 59" },
	[CRON_HOUR] = { "hour", 0, 23, NULL, "a number from 0 to 23" },
	[CRON_DAY] = { "day of month", 1, 31, NULL, "a number from 1 to 31" },
	[CRON_MONTH] = { "month", 1, 12, cron_month_names,
			 "a number from 1 to 12 or a name from JAN to DEC" },
	[CRON_WEEKDAY] = { "day of week", 0, 7, cron_weekday_names,
			   "a number from 0 to 7 (both are Sunday) or a name from SUN to SAT" },
};
TABLE_COVERS(cron_fields, CRON_FIELDS);

/* In place of an expression, exactly so. */
static const char *const cron_nicknames[] = { "@yearly",   "@annually", "@monthly",  "@weekly",
					      "@daily",	   "@hourly",	"@minutely", "@secondly",
					      "@weekdays", "@weekends" };

/* The days of the months, February's in a leap year. */
static const int cron_month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

/* Steps and numbers beyond this are all the same: too large. */
#define CRON_NUMBER_MAX 9999

/* Bits beside the values of a field: the last day of the month, and 0L to 7L of the weekdays. */
#define CRON_LAST_DAY	  63
#define CRON_LAST_WEEKDAY 32

/* What a field stands for. */
struct cron_set {
	const char *text; /* as it is written; borrowed */
	uint64_t values;
	int least;     /* H: the smallest value may be as large as this; else 0 */
	bool is_any;   /* * or ? alone */
	bool has_last; /* the last day of the month */
};

static int cron_refuse(struct err *err, const struct cron_field *field, const char *text,
		       const char *problem)
{
	char quoted[QUOTE_SIZE];

	return err_set(err, -EINVAL, "%s: %s %s", field->name, quote(quoted, text, strlen(text)),
		       problem);
}

static int cron_refuse_value(struct err *err, const struct cron_field *field, const char *text)
{
	char quoted[QUOTE_SIZE];

	return err_set(err, -EINVAL, "%s: %s is not %s", field->name,
		       quote(quoted, text, strlen(text)), field->expected);
}

/* Digits, and nothing else. */
static int cron_number(const char *text, int *ret_number)
{
	int number = 0;

	if (!*text || text[strspn(text, "0123456789")])
		return -EINVAL;
	for (; *text; text++)
		if (number < CRON_NUMBER_MAX)
			number = number * 10 + (*text - '0');
	*ret_number = number;
	return 0;
}

/* A number or a name of the field. */
static int cron_value(const struct cron_field *field, const char *text, int *ret_value,
		      struct err *err)
{
	int value = field->min - 1;

	for (int i = 0; field->names && field->names[i]; i++)
		if (strcasecmp(field->names[i], text) == 0)
			value = field->min + i;
	if (value < field->min &&
	    (cron_number(text, &value) < 0 || value < field->min || value > field->max))
		return cron_refuse_value(err, field, text);
	*ret_value = value;
	return 0;
}

/* Cuts text at the first c and returns what is behind it; NULL: there is none. */
static char *cron_cut(char *text, char c)
{
	char *at = strchr(text, c);

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

static int cron_step(const struct cron_field *field, const char *text, int *ret_step,
		     struct err *err)
{
	if (cron_number(text, ret_step) < 0 || *ret_step == 0)
		return cron_refuse(err, field, text, "is no step: a number above 0");
	return 0;
}

static int cron_range(const struct cron_field *field, char *from_text, const char *to_text,
		      int *ret_from, int *ret_to, struct err *err)
{
	char quoted[QUOTE_SIZE];
	int r = cron_value(field, from_text, ret_from, err);

	if (r == 0)
		r = cron_value(field, to_text, ret_to, err);
	if (r == 0 && *ret_from > *ret_to)
		r = err_set(err, -EINVAL,
			    "%s: the range from %s runs backwards; list two ranges instead",
			    field->name, quote(quoted, from_text, strlen(from_text)));
	return r;
}

static int cron_add(const struct cron_field *field, struct cron_set *set, uint64_t values,
		    struct err *err)
{
	if (set->values & values)
		return cron_refuse(err, field, set->text, "names a value twice");
	set->values |= values;
	return 0;
}

static uint64_t cron_bit(int n)
{
	return UINT64_C(1) << n;
}

/* L, and 5L: true if item is one of them, with its value. */
static bool cron_last(enum cron_name name, const char *item, uint64_t *ret_value)
{
	size_t len = strlen(item);
	char weekday[sizeof("SUN")];
	int value;

	if (name == CRON_DAY && strcmp(item, "L") == 0) {
		*ret_value = cron_bit(CRON_LAST_DAY);
		return true;
	}
	if (name != CRON_WEEKDAY || len < 2 || len > sizeof(weekday) || item[len - 1] != 'L')
		return false;
	memcpy(weekday, item, len - 1);
	weekday[len - 1] = '\0';
	/* A single digit or a name: 05L is read as no day. */
	if ((item[0] >= '0' && item[0] <= '9') != (len == 2) ||
	    cron_value(&cron_fields[name], weekday, &value, NULL) < 0)
		return false;
	*ret_value = cron_bit(CRON_LAST_WEEKDAY + value);
	return true;
}

/* One part of a list; is taken apart. */
static int cron_item(enum cron_name name, char *item, struct cron_set *set, struct err *err)
{
	const struct cron_field *field = &cron_fields[name];
	uint64_t values = 0;
	char *step_text, *to_text;
	int from = field->min, to = field->max, step = 1, r = 0;
	bool is_all;

	if (!*item)
		return cron_refuse(err, field, set->text, "has an empty place in its list");
	if (cron_last(name, item, &values)) {
		set->has_last |= name == CRON_DAY;
		return cron_add(field, set, values, err);
	}
	step_text = cron_cut(item, '/');
	to_text = cron_cut(item, '-');
	is_all = !to_text && (strcmp(item, "*") == 0 || strcmp(item, "?") == 0);
	if (to_text)
		r = cron_range(field, item, to_text, &from, &to, err);
	else if (!is_all)
		r = cron_value(field, item, &from, err);
	if (r == 0 && step_text)
		r = cron_step(field, step_text, &step, err);
	if (r < 0)
		return r;
	if (!to_text && !step_text && !is_all)
		/* Alone, 7 is 0. */
		return cron_add(field, set, cron_bit(name == CRON_WEEKDAY && from == 7 ? 0 : from),
				err);
	for (int value = from; value <= to; value += step)
		values |= cron_bit(value);
	/* A range that ends with Sunday as 7 has it as 0, too. */
	if (name == CRON_WEEKDAY && to % 7 == 0)
		values |= cron_bit(0);
	return cron_add(field, set, values, err);
}

/*
 * H, H(a-b), H/n, H(a-b)/n, the whole field: the host picks at each run. Beside other values in a
 * list it would now and then pick one of them, which is an error there.
 */
static int cron_hash(enum cron_name name, char *text, struct cron_set *set, struct err *err)
{
	const struct cron_field *field = &cron_fields[name];
	char *step_text = cron_cut(text, '/'), *to_text;
	int from = field->min, to = field->max, step = 1, r = 0;

	if (text[1] == '(') {
		to_text = cron_cut(text + 2, '-');
		if (!to_text || !*to_text || to_text[strlen(to_text) - 1] != ')')
			return cron_refuse(err, field, set->text, "is not of the form H(a-b)");
		to_text[strlen(to_text) - 1] = '\0';
		r = cron_range(field, text + 2, to_text, &from, &to, err);
	} else if (text[1]) {
		return cron_refuse(err, field, set->text,
				   "has H beside something else: H stands alone");
	}
	if (r == 0 && step_text)
		r = cron_step(field, step_text, &step, err);
	if (r < 0)
		return r;
	if (step > to - from + 1)
		return cron_refuse(err, field, set->text, "has a step wider than its range");
	/* Both are Sunday. */
	if (name == CRON_WEEKDAY && step_text && to - from == 7 && 7 % step == 0)
		return cron_refuse(err, field, set->text, "may name Sunday twice");
	for (int value = from; value <= to; value++)
		set->values |= cron_bit(value);
	set->least = step_text ? from + step - 1 : to;
	return 0;
}

/* 5#2 and FRI#2, the whole field; is taken apart. */
static int cron_nth(char *text, struct cron_set *set, struct err *err)
{
	const struct cron_field *field = &cron_fields[CRON_WEEKDAY];
	const char *nth = cron_cut(text, '#');
	int value, r;

	r = cron_value(field, text, &value, err);
	if (r < 0)
		return r;
	if (nth[0] < '1' || nth[0] > '5' || nth[1])
		return cron_refuse(err, field, set->text, "has no number from 1 to 5 behind #");
	return cron_add(field, set, cron_bit(value % 7), err);
}

/* text is taken apart. */
static int cron_parse_field(enum cron_name name, char *text, struct cron_set *ret_set,
			    struct err *err)
{
	char written[CRON_LENGTH_MAX + 1];
	struct cron_set set = { .text = written };
	int r = 0;

	(void)strcpy(written, text);
	set.is_any = strcmp(text, "*") == 0 || strcmp(text, "?") == 0;
	if (name == CRON_WEEKDAY && strchr(text, '#'))
		r = cron_nth(text, &set, err);
	else if (text[0] == 'H')
		r = cron_hash(name, text, &set, err);
	else
		for (char *next; r == 0 && text; text = next) {
			next = cron_cut(text, ',');
			r = cron_item(name, text, &set, err);
		}
	set.text = NULL;
	if (r == 0)
		*ret_set = set;
	return r;
}

/* Cuts the text into its fields: their number, or one more than fit. */
static size_t cron_split(char *text, char *fields[CRON_FIELDS])
{
	size_t count = 0, blank;

	for (char *p = text; *p; count++) {
		if (count == CRON_FIELDS)
			return count + 1;
		fields[count] = p;
		while (*p && (blank = blank_length(p, strlen(p))) == 0)
			p++;
		while (*p && (blank = blank_length(p, strlen(p))) > 0) {
			*p = '\0';
			p += blank;
		}
	}
	return count;
}

/*
 * A day that none of the months has. With one month cron-parser always minds, with several only if
 * no day of the week helps; it would look for the next run in vain. H may pick the shortest month.
 */
static int cron_check_days(const struct cron_set sets[CRON_FIELDS], struct err *err)
{
	const struct cron_set *day = &sets[CRON_DAY], *month = &sets[CRON_MONTH];
	int months = 0, longest = 0, shortest = 31, least;

	for (int i = 0; i < (int)ARRAY_LEN(cron_month_days); i++) {
		if (!(month->values & cron_bit(i + 1)))
			continue;
		months++;
		if (cron_month_days[i] > longest)
			longest = cron_month_days[i];
		if (cron_month_days[i] < shortest)
			shortest = cron_month_days[i];
	}
	if (month->least) {
		months = 1;
		longest = shortest;
	}
	if (day->has_last || (months > 1 && !sets[CRON_WEEKDAY].is_any))
		return 0;
	least = day->least ? day->least : __builtin_ctzll(day->values);
	if (least > longest)
		return err_set(err, -EINVAL, "day of month: the months given have no day %d",
			       least);
	return 0;
}

static int cron_check_nickname(const char *text, struct err *err)
{
	char quoted[QUOTE_SIZE], known[256] = "";

	for (size_t i = 0; i < ARRAY_LEN(cron_nicknames); i++) {
		if (strcmp(text, cron_nicknames[i]) == 0)
			return 0;
		(void)strcat(strcat(known, i ? ", " : ""), cron_nicknames[i]);
	}
	return err_set(err, -EINVAL, "%s is none of %s", quote(quoted, text, strlen(text)), known);
}

int cron_check(const char *expression, struct err *err)
{
	char text[CRON_LENGTH_MAX + 1], *fields[CRON_FIELDS];
	struct cron_set sets[CRON_FIELDS] = { [CRON_SECOND] = { .values = 1 } };
	size_t len = strlen(expression), count;
	int r = 0;

	if (len > CRON_LENGTH_MAX)
		return err_set(err, -EINVAL, "it is longer than %d bytes", CRON_LENGTH_MAX);
	if (expression[0] == '@')
		return cron_check_nickname(expression, err);
	blank_trim(&expression, &len);
	memcpy(text, expression, len);
	text[len] = '\0';
	count = cron_split(text, fields);
	if (count < CRON_FIELDS - 1 || count > CRON_FIELDS)
		return err_set(err, -EINVAL,
			       "it has %s%zu field%s; give 5: minute, hour, day of month, month, "
			       "day of week (or 6, with seconds first)",
			       count > CRON_FIELDS ? "more than " : "",
			       count > CRON_FIELDS ? (size_t)CRON_FIELDS : count,
			       count == 1 ? "" : "s");
	for (size_t i = 0; r == 0 && i < count; i++) {
		size_t name = i + CRON_FIELDS - count;

		r = cron_parse_field((enum cron_name)name, fields[i], &sets[name], err);
	}
	return r < 0 ? r : cron_check_days(sets, err);
}
