#pragma once
/* SPDX-License-Identifier: MIT */
/* Helpers for static const tables: their length, and the proof that an enum and a table agree. */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A table indexed by an enum has exactly one row for each of its values. */
#define TABLE_COVERS(table, count) \
	_Static_assert(ARRAY_LEN(table) == (size_t)(count), #table " misses a row of its enum")
