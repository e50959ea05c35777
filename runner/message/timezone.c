/* SPDX-License-Identifier: MIT */
#include "runner/message/timezone.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/table.h"
#include "runner/message/blank.h"

#define TIMEZONE_DATABASE "/usr/share/zoneinfo/"
#define TIMEZONE_NAME_MAX (TIMEZONE_SIZE - 1)
#define TIMEZONE_FILE_MAX 4096

/* A longer text is no time that timezone_parse_local() reads. */
#define TIMEZONE_TEXT_MAX 64

/* The times with a year of four digits, which is what JavaScript and SQLite read back. */
#define TIMEZONE_FIRST_MS (-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define TIMEZONE_LAST_MS  253402300799999   /* 9999-12-31T23:59:59.999Z */

/* Files of the database that are no zones of their own. */
static const char *const timezone_aliases[] = { "Factory", "localtime", "posix/", "posixrules",
						"right/" };

static const char *const timezone_months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* Only plain components: nothing that leads out of the database, and no zone by a second name. */
static bool timezone_is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > TIMEZONE_NAME_MAX || name[0] == '/' || strstr(name, "//"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(timezone_aliases); i++)
		if (strncmp(name, timezone_aliases[i], strlen(timezone_aliases[i])) == 0)
			return false;
	return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") ==
	       n;
}

static bool timezone_exists(const char *name)
{
	char path[sizeof(TIMEZONE_DATABASE) + TIMEZONE_NAME_MAX], magic[4];
	cleanup_close int fd = -1;

	if (!timezone_is_name(name))
		return false;
	snprintf(path, sizeof(path), TIMEZONE_DATABASE "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) &&
	       memcmp(magic, "TZif", sizeof(magic)) == 0;
}

/* The name at the end of a path into the database. */
static const char *timezone_tail(const char *path)
{
	const char *at = strstr(path, "zoneinfo/");

	return at ? at + strlen("zoneinfo/") : path;
}

void timezone_of_system(const char *etc, char *name, size_t size)
{
	char path[PATH_MAX], link[PATH_MAX] = "";
	cleanup_free char *text = NULL;
	size_t len;

	name[0] = '\0';
	snprintf(path, sizeof(path), "%s/localtime", etc);
	if (readlink(path, link, sizeof(link) - 1) > 0 && timezone_exists(timezone_tail(link))) {
		snprintf(name, size, "%s", timezone_tail(link));
		return;
	}
	snprintf(path, sizeof(path), "%s/timezone", etc);
	if (fd_read_file(path, TIMEZONE_FILE_MAX, &text, &len, NULL) < 0)
		return;
	text[strcspn(text, " \t\r\n#")] = '\0';
	if (timezone_exists(text))
		snprintf(name, size, "%s", text);
}

const char *timezone_init(void)
{
	char system[TIMEZONE_SIZE], chosen[TIMEZONE_SIZE] = "UTC";
	const char *name = getenv("TZ");

	if (name && name[0]) {
		/* tzset(3) takes a leading colon and an absolute path too. */
		if (name[0] == ':')
			name++;
		if (strncmp(name, TIMEZONE_DATABASE, strlen(TIMEZONE_DATABASE)) == 0)
			name += strlen(TIMEZONE_DATABASE);
	} else {
		timezone_of_system("/etc", system, sizeof(system));
		name = system;
	}
	/* "Etc/UTC" is what Debian calls the zone that everybody calls UTC. */
	if (timezone_exists(name) && strcmp(name, "Etc/UTC") != 0)
		snprintf(chosen, sizeof(chosen), "%s", name);
	else if (name != system && strcmp(name, "UTC") != 0 && strcmp(name, "Etc/UTC") != 0)
		log_warning("TZ=%s names no zone of " TIMEZONE_DATABASE ": times are shown in UTC",
			    getenv("TZ"));
	setenv("TZ", chosen, 1);
	/* The C library would look there instead, and take UTC for what it does not find. */
	unsetenv("TZDIR");
	tzset();
	name = getenv("TZ");
	return name ? name : "UTC";
}

/* Reads min to max digits; -EINVAL if there are fewer. Moves *p behind them. */
static int timezone_digits(const char **p, int min, int max, int *ret_value)
{
	int value = 0, n = 0;

	for (; n < max && isdigit((unsigned char)**p); n++, (*p)++)
		value = value * 10 + (**p - '0');
	if (n < min)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

/* A time as it is written. */
struct timezone_written {
	struct tm tm;
	int ms;
	int offset;    /* of its zone, in minutes */
	bool has_day;  /* not only a year, or a month */
	bool has_zone; /* Z or an offset */
};

static int timezone_parse_date(const char **p, struct timezone_written *w)
{
	struct tm *tm = &w->tm;
	int month = 1;

	tm->tm_mday = 1;
	if (timezone_digits(p, 4, 4, &tm->tm_year) < 0)
		return -EINVAL;
	if (**p == '-') {
		(*p)++;
		if (timezone_digits(p, 1, 2, &month) < 0)
			return -EINVAL;
		if (**p == '-') {
			(*p)++;
			if (timezone_digits(p, 1, 2, &tm->tm_mday) < 0)
				return -EINVAL;
			w->has_day = true;
		}
	}
	if (month < 1 || month > 12 || tm->tm_mday < 1 || tm->tm_mday > 31)
		return -EINVAL;
	tm->tm_year -= 1900;
	tm->tm_mon = month - 1;
	return 0;
}

static int timezone_parse_clock(const char **p, struct timezone_written *w)
{
	struct tm *tm = &w->tm;
	int scale = 100;

	if (timezone_digits(p, 1, 2, &tm->tm_hour) < 0 || *(*p)++ != ':' ||
	    timezone_digits(p, 2, 2, &tm->tm_min) < 0)
		return -EINVAL;
	if (**p == ':') {
		(*p)++;
		if (timezone_digits(p, 2, 2, &tm->tm_sec) < 0)
			return -EINVAL;
		if (**p == '.' && !isdigit((unsigned char)(*p)[1]))
			return -EINVAL;
		if (**p == '.')
			for ((*p)++; isdigit((unsigned char)**p); (*p)++, scale /= 10)
				w->ms += (**p - '0') * scale;
	}
	if (tm->tm_hour > 24 || tm->tm_min > 59 || tm->tm_sec > 59 ||
	    (tm->tm_hour == 24 && (tm->tm_min || tm->tm_sec || w->ms)))
		return -EINVAL;
	return 0;
}

static int timezone_parse_offset(const char **p, struct timezone_written *w)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes = 0;

	if (**p == 'Z' || **p == 'z') {
		(*p)++;
		w->has_zone = true;
		return 0;
	}
	if (**p != '+' && **p != '-')
		return 0;
	(*p)++;
	if (timezone_digits(p, 2, 2, &hours) < 0)
		return -EINVAL;
	if (**p == ':') {
		(*p)++;
		if (timezone_digits(p, 2, 2, &minutes) < 0)
			return -EINVAL;
	} else if (**p && timezone_digits(p, 2, 2, &minutes) < 0) {
		return -EINVAL;
	}
	if (hours > 23 || minutes > 59)
		return -EINVAL;
	w->offset = sign * (hours * 60 + minutes);
	w->has_zone = true;
	return 0;
}

static int timezone_parse(const char *timestamp, struct timezone_written *ret)
{
	struct timezone_written w = { .ms = 0 };
	const char *p = timestamp;

	if (timezone_parse_date(&p, &w) < 0)
		return -EINVAL;
	if (*p == 'T' || *p == 't' || *p == ' ') {
		p++;
		if (timezone_parse_clock(&p, &w) < 0)
			return -EINVAL;
		if (*p == ' ' && p[1])
			p++;
		if (timezone_parse_offset(&p, &w) < 0)
			return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	*ret = w;
	return 0;
}

/* What it is if it has no zone, or its own one is UTC. */
static int64_t timezone_as_utc_ms(const struct timezone_written *w)
{
	struct tm tm = w->tm;

	return (int64_t)timegm(&tm) * 1000 + w->ms;
}

int timezone_parse_utc(const char *timestamp, int64_t *ret_ms)
{
	struct timezone_written w;

	if (timezone_parse(timestamp, &w) < 0)
		return -EINVAL;
	*ret_ms = timezone_as_utc_ms(&w) - (int64_t)w.offset * 60000;
	return 0;
}

/* Rounded down, before 1970 too: a millisecond before midnight is the day before. */
static time_t timezone_seconds(int64_t ms)
{
	return (time_t)(ms >= 0 ? ms / 1000 : -((999 - ms) / 1000));
}

/* What the clocks of the process's zone are ahead of UTC at that moment. */
static int64_t timezone_ahead_ms(int64_t ms)
{
	time_t seconds = timezone_seconds(ms);
	struct tm tm;

	return localtime_r(&seconds, &tm) ? (int64_t)tm.tm_gmtoff * 1000 : 0;
}

/*
 * The moment at which the clocks of the process's zone show what UTC's show at shown. mktime(3)
 * does not serve: what it makes of a time that does not exist depends on what it was asked before.
 */
static int64_t timezone_moment_ms(int64_t shown)
{
	int64_t first = shown - timezone_ahead_ms(shown), second;

	if (first + timezone_ahead_ms(first) == shown)
		return first;
	/* The clocks were changed between that moment and shown: the other offset is the right one. */
	second = shown - timezone_ahead_ms(first);
	return second + timezone_ahead_ms(second) == shown ? second : first;
}

static bool timezone_is_calendar_day(const struct timezone_written *w)
{
	struct tm day = { .tm_year = w->tm.tm_year,
			  .tm_mon = w->tm.tm_mon,
			  .tm_mday = w->tm.tm_mday };

	(void)timegm(&day);
	return day.tm_mday == w->tm.tm_mday;
}

int timezone_parse_local(const char *text, int64_t *ret_ms)
{
	size_t len = strlen(text);
	char timestamp[TIMEZONE_TEXT_MAX + 1];
	struct timezone_written w;
	int64_t ms;

	blank_trim(&text, &len);
	if (len > TIMEZONE_TEXT_MAX)
		return -EINVAL;
	memcpy(timestamp, text, len);
	timestamp[len] = '\0';
	if (timezone_parse(timestamp, &w) < 0 || !w.has_day || !timezone_is_calendar_day(&w))
		return -EINVAL;
	ms = timezone_as_utc_ms(&w);
	ms = w.has_zone ? ms - (int64_t)w.offset * 60000 : timezone_moment_ms(ms);
	if (ms < TIMEZONE_FIRST_MS || ms > TIMEZONE_LAST_MS)
		return -EINVAL;
	*ret_ms = ms;
	return 0;
}

void timezone_print_utc(int64_t ms, char text[TIMEZONE_UTC_SIZE])
{
	time_t seconds = timezone_seconds(ms);
	struct tm tm = { .tm_mday = 1 };

	(void)gmtime_r(&seconds, &tm);
	(void)snprintf(text, TIMEZONE_UTC_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
		       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		       tm.tm_sec, (int)(ms - (int64_t)seconds * 1000));
}

int timezone_format(const char *timestamp, struct strbuf *out)
{
	struct tm tm;
	int64_t ms;
	time_t seconds;
	int year;

	if (!timestamp || timezone_parse_utc(timestamp, &ms) < 0)
		return strbuf_puts(out, "Invalid Date");
	seconds = timezone_seconds(ms);
	if (!localtime_r(&seconds, &tm))
		return strbuf_puts(out, "Invalid Date");
	/* There is no year 0: it is 1 BC, and English prints the number alone. */
	year = tm.tm_year + 1900;
	return strbuf_printf(out, "%s %d, %d, %d:%02d %s", timezone_months[tm.tm_mon], tm.tm_mday,
			     year > 0 ? year : 1 - year, tm.tm_hour % 12 ? tm.tm_hour % 12 : 12,
			     tm.tm_min, tm.tm_hour < 12 ? "AM" : "PM");
}
