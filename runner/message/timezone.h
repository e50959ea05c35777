#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The zone in which the agent is told times. Its name must be one of the zone database
 * (/usr/share/zoneinfo), because the agent and the host see it too. Timestamps without a zone are
 * UTC, as hosts write them.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/strbuf.h"

/* Room for the longest name and its NUL. */
#define TIMEZONE_SIZE 64

/*
 * Chooses the zone: TZ if it is set, else the system's. What names no zone of the database is UTC.
 * Applies it to the process (TZ and tzset(3)), so call it once, before the first time is formatted.
 * Returns the zone's name, owned by the environment.
 */
const char *timezone_init(void);

/*
 * The zone that the system's folder etc ("/etc") names: by the link localtime, else by the file
 * timezone. "" if neither names a zone of the database.
 */
void timezone_of_system(const char *etc, char *name, size_t size);

/*
 * Appends the time as "Feb 4, 2026, 1:30 PM" in the process's zone, or "Invalid Date" if
 * timestamp is NULL or timezone_parse_utc() refuses it. 0 or -ENOMEM.
 */
int timezone_format(const char *timestamp, struct strbuf *out);

/*
 * Reads what hosts write: YYYY[-MM[-DD]], then optionally 'T' or a blank, HH:MM[:SS[.fraction]]
 * and a zone (Z, +HH, +HH:MM or +HHMM); without one it is UTC. As in JavaScript 24:00 is the end
 * of the day and 30 February is 2 March. 0 with milliseconds since 1970; -EINVAL.
 */
int timezone_parse_utc(const char *timestamp, int64_t *ret_ms);

/*
 * Reads a time that an agent gives: what timezone_parse_utc() reads, but with a day that the
 * calendar has, and blanks around it. Without a zone it is what a clock in the process's zone shows.
 * What summer time leaves out or repeats there is read as JavaScript's way through Intl has it: with
 * the offset that the zone has when UTC's clock shows the same. 0 with milliseconds since 1970, of
 * the years 0 to 9999; -EINVAL.
 */
int timezone_parse_local(const char *text, int64_t *ret_ms);

/* Room for "2026-01-15T09:00:00.000Z" and its NUL. */
#define TIMEZONE_UTC_SIZE 25

/* Writes milliseconds since 1970, of the years 0 to 9999, as JavaScript's toISOString(). */
void timezone_print_utc(int64_t ms, char text[TIMEZONE_UTC_SIZE]);
