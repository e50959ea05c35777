#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The tools that the agent is running. They run in parallel; the one that the host should know of
 * is the one with the longest declared time-out, for that is how long it has to be patient.
 */
#include <stddef.h>
#include <stdint.h>

/* More than this at once are not tracked, nor what there is no memory for: the host is told of one only. */
#define INFLIGHT_MAX 256
/* Bytes of an id or a name that are kept, with the NUL: the API allows names of 128. */
#define INFLIGHT_NAME_MAX 160

struct inflight;

struct inflight_tool {
	char id[INFLIGHT_NAME_MAX];
	char name[INFLIGHT_NAME_MAX];
	int64_t timeout_ms; /* -1: none declared */
	int64_t started_ms; /* real time */
};

struct inflight *inflight_new(void);
void inflight_free(struct inflight *inflight);

/* A tool began. The same id again is ignored. */
void inflight_start(struct inflight *inflight, const char *id, const char *name,
		    int64_t timeout_ms);
/* It ended; an unknown id is ignored. */
void inflight_end(struct inflight *inflight, const char *id);
void inflight_clear(struct inflight *inflight);

/* The tool to be published; NULL: none runs. Valid until the next change. */
const struct inflight_tool *inflight_published(const struct inflight *inflight);
