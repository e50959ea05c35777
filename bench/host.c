/* SPDX-License-Identifier: MIT */
/*
 * The host's half of a session, for its times; WORKSPACE holds inbound.db and outbound.db.
 *
 *     host start WORKSPACE ID UID CMD…     starts CMD, for which the message waits, and ends it
 *     host message WORKSPACE ID            commits the message to whoever serves the folder
 *
 * Both follow outbound.db by inotify: a commit is seen when its journal is deleted. (Reading the
 * file over and over costs the runner a core.) They print nanoseconds and the number of commits:
 *
 *     START_TO_CLAIM START_TO_COMPLETED COMMITS
 *     OWN_COMMIT CLAIM COMPLETED COMMITS      these count from the end of the own commit
 *
 * Exits 1, with a line on stderr, if nothing comes within a minute.
 */
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/clock.h"

#define HOST_PATIENCE_MS 60000
#define HOST_END_MS	 5000
#define HOST_JOURNAL	 "outbound.db-journal"

struct host {
	const char *workspace;
	int fd;	   /* inotify, of the workspace */
	int pidfd; /* of what we started; -1: nothing */
	long long start;
};

struct host_seen {
	long long claimed; /* 0: not yet */
	long long completed;
	int commits; /* until then */
};

static int host_watch(struct host *host, const char *workspace)
{
	host->workspace = workspace;
	host->pidfd = -1;
	host->fd = inotify_init1(IN_CLOEXEC);
	/* With its creation, since two equal events in a row would be told as one. */
	if (host->fd < 0 || inotify_add_watch(host->fd, workspace, IN_CREATE | IN_DELETE) < 0) {
		perror(workspace);
		return -1;
	}
	return 0;
}

/* The status of the message: 0 none, 1 there is one, 2 completed. */
static int host_status(const struct host *host, const char *id)
{
	char path[PATH_MAX + 32];
	sqlite3_stmt *query = NULL;
	sqlite3 *db = NULL;
	int status = 0;

	/* Immutable: no locks, since a reader's lock at the wrong time makes a writer sleep. */
	(void)snprintf(path, sizeof(path), "file:%s/outbound.db?immutable=1", host->workspace);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db,
			       "SELECT 1 + (status = 'completed') FROM processing_ack"
			       " WHERE message_id = :id",
			       -1, &query, NULL) == SQLITE_OK &&
	    sqlite3_bind_text(query, 1, id, -1, SQLITE_STATIC) == SQLITE_OK &&
	    sqlite3_step(query) == SQLITE_ROW)
		status = sqlite3_column_int(query, 0);
	(void)sqlite3_finalize(query);
	(void)sqlite3_close(db);
	return status;
}

/* How many commits ended, by what inotify tells; -1: nothing came, and nothing will if it ended. */
static int host_read_commits(const struct host *host)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct pollfd fds[] = {
		{ .fd = host->fd, .events = POLLIN },
		{ .fd = host->pidfd, .events = POLLIN },
	};
	int commits = 0;
	ssize_t n;

	if (poll(fds, 2, HOST_PATIENCE_MS) < 1 || !(fds[0].revents & POLLIN))
		return -1;
	n = read(host->fd, buffer, sizeof(buffer));
	for (const char *p = buffer; p < buffer + n;) {
		const struct inotify_event *event = (const void *)p;

		commits += (event->mask & IN_DELETE) && event->len > 0 &&
			   strcmp(event->name, HOST_JOURNAL) == 0;
		p += sizeof(*event) + event->len;
	}
	return commits;
}

/* Follows the message to its end. */
static int host_follow(const struct host *host, const char *id, struct host_seen *seen)
{
	*seen = (struct host_seen){ .commits = 0 };
	while (seen->completed == 0) {
		int commits = host_read_commits(host), status;
		long long now = clock_now_ns();

		if (commits < 0) {
			fprintf(stderr, "host: it ended, or %d s went by, without %s\n",
				HOST_PATIENCE_MS / 1000, seen->claimed ? "an answer" : "a claim");
			return -1;
		}
		seen->commits += commits;
		status = commits > 0 ? host_status(host, id) : 0;
		if (status > 0 && seen->claimed == 0)
			seen->claimed = now - host->start;
		if (status > 1)
			seen->completed = now - host->start;
	}
	return 0;
}

static int host_start(struct host *host, const char *id, uid_t uid, char **command)
{
	const struct child_options options = { .uid = uid, .stdout_fd = STDERR_FILENO };
	struct host_seen seen;
	pid_t pid;
	int r;

	host->start = clock_now_ns();
	pid = child_start(command, &options);
	if (pid < 0) {
		perror(command[0]);
		return 1;
	}
	host->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	r = host_follow(host, id, &seen);
	kill(pid, SIGTERM);
	if (poll(&(struct pollfd){ .fd = host->pidfd, .events = POLLIN }, 1, HOST_END_MS) != 1)
		kill(pid, SIGKILL);
	(void)child_wait(pid);
	if (r == 0)
		printf("%lld %lld %d\n", seen.claimed, seen.completed, seen.commits);
	return r == 0 ? 0 : 1;
}

/* As hosts do it: through a connection of its own. The clock starts when the row is on disk. */
static int host_send(struct host *host, const char *id)
{
	char path[PATH_MAX];
	char *sql =
		sqlite3_mprintf("INSERT INTO messages_in (id, seq, kind, timestamp, channel_type, "
				"platform_id, content)"
				" SELECT %Q, coalesce(max(seq), 0) + 2, 'chat', "
				"strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ'),"
				" (SELECT channel_type FROM session_routing),"
				" (SELECT platform_id FROM session_routing),"
				" '{\"sender\": \"Ann\", \"text\": \"hello\"}' FROM messages_in",
				id);
	sqlite3 *db = NULL;
	int r;

	(void)snprintf(path, sizeof(path), "%s/inbound.db", host->workspace);
	r = sqlite3_open(path, &db);
	if (r == SQLITE_OK)
		r = sqlite3_busy_timeout(db, HOST_PATIENCE_MS);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	if (r == SQLITE_OK)
		r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	host->start = clock_now_ns();
	if (r != SQLITE_OK)
		fprintf(stderr, "host: %s: %s\n", path, sqlite3_errmsg(db));
	sqlite3_free(sql);
	(void)sqlite3_close(db);
	return r == SQLITE_OK ? 0 : -1;
}

static int host_message(struct host *host, const char *id)
{
	long long before = clock_now_ns();
	struct host_seen seen;

	if (host_send(host, id) < 0)
		return 1;
	if (host_follow(host, id, &seen) < 0)
		return 1;
	printf("%lld %lld %lld %d\n", host->start - before, seen.claimed, seen.completed,
	       seen.commits);
	return 0;
}

int main(int argc, char **argv)
{
	bool starts = argc > 5 && strcmp(argv[1], "start") == 0;
	struct host host;

	if (!starts && !(argc == 4 && strcmp(argv[1], "message") == 0)) {
		fputs("usage: host start WORKSPACE ID UID CMD… | host message WORKSPACE ID\n",
		      stderr);
		return 64;
	}
	if (host_watch(&host, argv[2]) < 0)
		return 1;
	if (starts)
		return host_start(&host, argv[3], (uid_t)strtoul(argv[4], NULL, 10), argv + 5);
	return host_message(&host, argv[3]);
}
