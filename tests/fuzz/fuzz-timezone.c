/* SPDX-License-Identifier: MIT */
/* Timestamps of hosts and agents: message/timezone. */
#include "runner/message/timezone.h"

#include <errno.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

/* What timezone_print_utc() is made for. */
#define YEAR_0_MS    (-62167219200000)
#define YEAR_9999_MS 253402300799999

/* Printed and read again it is the same moment. */
static void check_moment(int64_t ms)
{
	char text[TIMEZONE_UTC_SIZE];
	int64_t again;

	timezone_print_utc(ms, text);
	fuzz_must(strlen(text) == TIMEZONE_UTC_SIZE - 1);
	fuzz_must(timezone_parse_utc(text, &again) == 0 && again == ms);
	fuzz_must(timezone_parse_local(text, &again) == 0 && again == ms);
}

/* "Feb 4, 2026, 1:30 PM" */
static void check_shown(const char *timestamp, bool is_time)
{
	cleanup_strbuf struct strbuf out = STRBUF_EMPTY;
	char month[4], half[3], rest;
	int day, year, hour, minute;

	fuzz_must(timezone_format(timestamp, &out) == 0);
	if (!is_time) {
		fuzz_must(strcmp(out.data, "Invalid Date") == 0);
		return;
	}
	fuzz_must(sscanf(out.data, "%3s %d, %d, %d:%d %2s%c", month, &day, &year, &hour, &minute,
			 half, &rest) == 6);
	fuzz_must(day >= 1 && day <= 31 && year >= 1 && year <= 10000);
	fuzz_must(hour >= 1 && hour <= 12 && minute >= 0 && minute <= 59);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A zone with summer time, and with odd minutes before 1883. */
	static const char zone[] = "America/New_York";
	cleanup_free char *text = fuzz_dup((struct fuzz_text){ (const char *)data, size });
	int64_t utc, local;
	int r;

	if (!getenv("TZ") || strcmp(getenv("TZ"), zone) != 0) {
		setenv("TZ", zone, 1);
		tzset();
	}
	r = timezone_parse_utc(text, &utc);
	fuzz_must(r == 0 || r == -EINVAL);
	check_shown(text, r == 0);
	if (r == 0 && utc >= YEAR_0_MS && utc <= YEAR_9999_MS)
		check_moment(utc);
	r = timezone_parse_local(text, &local);
	fuzz_must(r == 0 || r == -EINVAL);
	if (r == 0) {
		fuzz_must(local >= YEAR_0_MS && local <= YEAR_9999_MS);
		check_moment(local);
	}
	return 0;
}
