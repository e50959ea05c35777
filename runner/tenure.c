/* SPDX-License-Identifier: MIT */
#include "runner/tenure.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mend.h"
#include "common/table.h"
#include "runner/lease.h"

/* How long the start waits while somebody holds a lock on outbound.db. */
#define TENURE_LOCKED_MS (30 * 1000)
/* The pause between two tries, if SQLite made none. */
#define TENURE_TRY_MS 20

/* Below the workspace. */
static const char *const tenure_files[] = {
	[TENURE_INBOUND] = "inbound.db",
	[TENURE_OUTBOUND] = "outbound.db",
	[TENURE_HEARTBEAT] = ".heartbeat",
	[TENURE_CONFIG] = "agent/container.json",
};
TABLE_COVERS(tenure_files, TENURE_FILES);

struct tenure {
	const char *workspace;
	char *paths[TENURE_FILES];
	struct lease *lease;
	struct outbound *outbound;
	struct mend mend;
	int64_t mended_ms; /* when that was looked at last; monotonic */
};

int tenure_new(const char *workspace, struct tenure **ret_tenure)
{
	struct tenure *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->workspace = workspace;
	for (size_t i = 0; i < TENURE_FILES; i++)
		if (asprintf(&t->paths[i], "%s/%s", workspace, tenure_files[i]) < 0) {
			t->paths[i] = NULL;
			tenure_free(t);
			return -ENOMEM;
		}
	/* The loop may have crashed: nobody else has looked since. */
	t->mended_ms = clock_monotonic_ms();
	(void)mend_workspace(workspace, &t->mend);
	(void)mend_workspace(workspace, NULL);
	*ret_tenure = t;
	return 0;
}

void tenure_free(struct tenure *tenure)
{
	if (!tenure)
		return;
	tenure_end(tenure);
	for (size_t i = 0; i < TENURE_FILES; i++)
		free(tenure->paths[i]);
	free(tenure);
}

const char *tenure_path(const struct tenure *tenure, enum tenure_file file)
{
	return tenure->paths[file];
}

struct outbound *tenure_outbound(const struct tenure *tenure)
{
	return tenure->outbound;
}

void tenure_mend(struct tenure *tenure, int64_t every_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - tenure->mended_ms < every_ms)
		return;
	tenure->mended_ms = now_ms;
	(void)mend_workspace(tenure->workspace, &tenure->mend);
}

const char *tenure_lost(struct tenure *tenure)
{
	/* It may be that an agent has just locked us out. */
	tenure_mend(tenure, TENURE_MEND_AGAIN_MS);
	return outbound_lost(tenure->outbound);
}

static int tenure_take_lease(struct tenure *t, struct err *err)
{
	const struct lease_options options = {
		.workspace = t->workspace,
		.outbound_path = t->paths[TENURE_OUTBOUND],
		.heartbeat_path = t->paths[TENURE_HEARTBEAT],
		.mend = &t->mend,
		.lock_ms = LEASE_LOCK_MS,
		.fresh_ms = LEASE_FRESH_MS,
		.watch_ms = LEASE_WATCH_MS,
	};

	return lease_take(&options, &t->lease, err);
}

/* Signals are blocked until the loop runs: did one come that ends us? */
static bool tenure_is_told_to_end(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static int tenure_try_outbound(struct tenure *t, struct err *err)
{
	int r = outbound_open(t->paths[TENURE_OUTBOUND], t->paths[TENURE_INBOUND], &t->outbound,
			      err);

	if (r == 0) {
		r = outbound_take_over(t->outbound, lease_is_certain(t->lease), err);
		if (r < 0)
			err_prefix(err, r, "%s", t->paths[TENURE_OUTBOUND]);
	}
	if (r < 0)
		outbound_close(steal_ptr(t->outbound));
	return r;
}

/* Somebody holds it; or an agent that is not gone yet had closed what we need, and it is open again. */
static bool tenure_may_pass(struct tenure *t, int r)
{
	return r == -EAGAIN || ((r == -ENOENT || r == -EACCES || r == -EROFS) &&
				mend_workspace(t->workspace, &t->mend) > 0);
}

/* First of all: a hot journal that a kill left behind blocks the host's reads. */
static int tenure_open_outbound(struct tenure *t, struct err *err)
{
	int64_t until_ms = clock_monotonic_ms() + TENURE_LOCKED_MS;
	bool said = false;
	int r;

	while ((r = tenure_try_outbound(t, err)) < 0 && tenure_may_pass(t, r) &&
	       clock_monotonic_ms() < until_ms) {
		if (tenure_is_told_to_end())
			return err_set(err, -EINTR, "ended before it could start");
		if (!said)
			log_warning("%s: waiting for it", err->text);
		said = true;
		(void)poll(NULL, 0, TENURE_TRY_MS);
	}
	return r;
}

int tenure_begin(struct tenure *tenure, void (*on_taken)(void *userdata), void *userdata,
		 struct err *err)
{
	int r = tenure_take_lease(tenure, err);

	if (r == 0)
		r = tenure_open_outbound(tenure, err);
	if (r < 0)
		return r;
	outbound_on_taken(tenure->outbound, on_taken, userdata);
	/* Else the open that counts has told already. */
	if (lease_error(tenure->lease) < 0)
		log_warning("%s: no lock: %s: another agent-runner there will be noticed later",
			    tenure->paths[TENURE_OUTBOUND], strerror(-lease_error(tenure->lease)));
	return 0;
}

void tenure_end(struct tenure *tenure)
{
	if (!tenure)
		return;
	outbound_close(steal_ptr(tenure->outbound));
	lease_free(steal_ptr(tenure->lease));
}
