#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The file that a whole session shares: what is to go wrong, and whether it has. The driver makes it
 * and names it in FAULT_STATE; the shim in each process maps it, so that what is counted there
 * survives a SIGKILL. Mirrored by fault.py.
 */
#include <stdint.h>

#define STATE_VARIABLE "FAULT_STATE"
#define STATE_MAGIC    0x46415554u

enum state_role {
	STATE_INIT,    /* PID 1 */
	STATE_LOOP,    /* agent-session */
	STATE_RELAY,   /* agent-runner mcp */
	STATE_AGENT,   /* the fake CLI */
	STATE_CONFINE, /* agent-runner confine, until it executes something else */
	STATE_OTHER,   /* shells, and whoever was forked and has not executed anything yet */
	STATE_ROLES,
};

enum state_family {
	STATE_OPEN,
	STATE_WRITE,
	STATE_SEND,
	STATE_SYNC,
	STATE_TRUNCATE,
	STATE_RENAME,
	STATE_LINK,
	STATE_UNLINK,
	STATE_MKDIR,
	STATE_LOCK,
	STATE_PROC, /* an open below /proc: how many there are is up to the whole machine */
	STATE_FAMILIES,
};

/* Beside the families' bits: of their calls only those that take room on a disk. */
#define STATE_DISK (1u << 31)

enum state_mode {
	STATE_COUNT,
	STATE_KILL,	      /* itself */
	STATE_KILL_CONTAINER, /* PID 1 and then itself */
	STATE_ERROR,	      /* this call fails */
	STATE_ERRORS,	      /* this one and those after it, until the driver mends it */
};

struct state {
	uint32_t magic;
	uint32_t mode;	   /* enum state_mode */
	uint32_t role;	   /* whose calls */
	uint32_t families; /* which calls, as bits */
	uint32_t nth;	   /* from 1 on, over all processes of that role */
	uint32_t error;	   /* errno */
	uint32_t mended;   /* by the driver: errors end */
	uint32_t init_pid;
	uint32_t seen;	 /* calls that could have been the one */
	uint32_t fired;	 /* it happened: once in a session */
	uint32_t failed; /* how many calls were made to fail */
	uint32_t counts[STATE_ROLES][STATE_FAMILIES];
	char call[160]; /* the one: its name and what it was about */
};
