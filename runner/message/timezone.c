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
#include "common/table.h"

#define TIMEZONE_DATABASE "/usr/share/zoneinfo/"
#define TIMEZONE_NAME_MAX (TIMEZONE_SIZE - 1)
#define TIMEZONE_FILE_MAX 4096

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

static int timezone_parse_date(const char **p, struct tm *tm)
{
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
		}
	}
	if (month < 1 || month > 12 || tm->tm_mday < 1 || tm->tm_mday > 31)
		return -EINVAL;
	tm->tm_year -= 1900;
	tm->tm_mon = month - 1;
	return 0;
}

static int timezone_parse_clock(const char **p, struct tm *tm, int *ret_ms)
{
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
				*ret_ms += (**p - '0') * scale;
	}
	if (tm->tm_hour > 24 || tm->tm_min > 59 || tm->tm_sec > 59 ||
	    (tm->tm_hour == 24 && (tm->tm_min || tm->tm_sec || *ret_ms)))
		return -EINVAL;
	return 0;
}

static int timezone_parse_offset(const char **p, int *ret_minutes)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes = 0;

	if (**p == 'Z' || **p == 'z') {
		(*p)++;
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
	*ret_minutes = sign * (hours * 60 + minutes);
	return 0;
}

int timezone_parse_utc(const char *timestamp, int64_t *ret_ms)
{
	struct tm tm = { 0 };
	const char *p = timestamp;
	int ms = 0, offset = 0;

	if (timezone_parse_date(&p, &tm) < 0)
		return -EINVAL;
	if (*p == 'T' || *p == 't' || *p == ' ') {
		p++;
		if (timezone_parse_clock(&p, &tm, &ms) < 0)
			return -EINVAL;
		if (*p == ' ' && p[1])
			p++;
		if (timezone_parse_offset(&p, &offset) < 0)
			return -EINVAL;
	}
	if (*p)
		return -EINVAL;
	*ret_ms = ((int64_t)timegm(&tm) - offset * 60) * 1000 + ms;
	return 0;
}

int timezone_format(const char *timestamp, struct strbuf *out)
{
	struct tm tm;
	int64_t ms;
	time_t seconds;
	int year;

	if (!timestamp || timezone_parse_utc(timestamp, &ms) < 0)
		return strbuf_puts(out, "Invalid Date");
	/* Rounded down, before 1970 too: a millisecond before midnight is the day before. */
	seconds = (time_t)(ms >= 0 ? ms / 1000 : -((999 - ms) / 1000));
	if (!localtime_r(&seconds, &tm))
		return strbuf_puts(out, "Invalid Date");
	/* There is no year 0: it is 1 BC, and English prints the number alone. */
	year = tm.tm_year + 1900;
	return strbuf_printf(out, "%s %d, %d, %d:%02d %s", timezone_months[tm.tm_mon], tm.tm_mday,
			     year > 0 ? year : 1 - year, tm.tm_hour % 12 ? tm.tm_hour % 12 : 12,
			     tm.tm_min, tm.tm_hour < 12 ? "AM" : "PM");
}
