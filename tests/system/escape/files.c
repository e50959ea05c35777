/* SPDX-License-Identifier: MIT */
/* The session's own files: two databases, their journals, the heartbeat, and the folders around. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

#define OWN_FILE  ATTEMPT_OWN "/escape-file"
#define BACKUP	  ATTEMPT_WORKSPACE "/escape-backup"
#define HEARTBEAT ATTEMPT_WORKSPACE "/.heartbeat"
#define CONFIG	  ATTEMPT_OWN "/container.json"

/* Did what happened since before show in the file's times? */
static bool files_is_touched(const char *path, const struct stat *before)
{
	struct stat now;

	return stat(path, &now) == 0 && (now.st_ctim.tv_sec != before->st_ctim.tv_sec ||
					 now.st_ctim.tv_nsec != before->st_ctim.tv_nsec);
}

/* Runs once the clock that the kernel uses for files has moved on. */
static int files_stat(const char *path, struct stat *ret_st)
{
	(void)usleep(20 * 1000);
	return stat(path, ret_st);
}

/* Reading */

static struct outcome read_inbound(const struct scene *scene)
{
	(void)scene;
	return attempt_read_database(ATTEMPT_INBOUND);
}

static struct outcome read_outbound(const struct scene *scene)
{
	(void)scene;
	return attempt_read_database(ATTEMPT_OUTBOUND);
}

static struct outcome read_by_dots(const struct scene *scene)
{
	(void)scene;
	return attempt_read_database(ATTEMPT_OWN "/../inbound.db");
}

static struct outcome read_by_self_root(const struct scene *scene)
{
	(void)scene;
	return attempt_read_database("/proc/self/root" ATTEMPT_INBOUND);
}

static struct outcome read_by_self_cwd(const struct scene *scene)
{
	(void)scene;
	if (chdir(ATTEMPT_OWN) < 0)
		return outcome_failed("chdir");
	return attempt_read_database("/proc/self/cwd/../inbound.db");
}

static struct outcome read_by_thread_self(const struct scene *scene)
{
	(void)scene;
	return attempt_read_database("/proc/thread-self/root" ATTEMPT_INBOUND);
}

static struct outcome read_by_symlink(const struct scene *scene)
{
	struct outcome outcome;

	(void)scene;
	(void)unlink(OWN_FILE);
	if (symlink("../inbound.db", OWN_FILE) < 0)
		return outcome_failed("symlink");
	outcome = attempt_read_database(OWN_FILE);
	(void)unlink(OWN_FILE);
	return outcome;
}

static struct outcome read_by_hard_link(const struct scene *scene)
{
	struct outcome outcome;

	(void)scene;
	(void)unlink(OWN_FILE);
	if (link(ATTEMPT_INBOUND, OWN_FILE) < 0)
		return outcome_failed("link");
	outcome = attempt_read_database(OWN_FILE);
	(void)unlink(OWN_FILE);
	return outcome;
}

/* A descriptor without rights, opened once more with them. */
static struct outcome read_by_path_descriptor(const struct scene *scene)
{
	char path[64];
	int fd = open(ATTEMPT_INBOUND, O_PATH | O_CLOEXEC);

	(void)scene;
	if (fd < 0)
		return outcome_failed("open with O_PATH");
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	return attempt_read_database(path);
}

static struct outcome read_inherited(const struct scene *scene)
{
	char path[64], target[256];
	ssize_t n;

	errno = 0;
	if (scene->inherited < 0)
		return outcome_denied("no descriptor above 2 was open at the start");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", scene->inherited);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return outcome_succeeded("descriptor %d was open at the start: %s", scene->inherited,
				 target);
}

static struct outcome read_journal(const struct scene *scene)
{
	char text[16];

	(void)scene;
	/* The test makes one that holds nothing and means nothing. */
	if (attempt_read(ATTEMPT_WORKSPACE "/escape.db-journal", text, sizeof(text)) < 0)
		return outcome_denied("a file that came later");
	return outcome_succeeded("a file that came later was read");
}

static struct outcome watch_inbound(const struct scene *scene)
{
	int fd = inotify_init1(IN_CLOEXEC);

	(void)scene;
	return outcome_of(inotify_add_watch(fd, ATTEMPT_INBOUND, IN_MODIFY), "inotify_add_watch");
}

/* Writing */

static struct outcome files_rewrite(const char *path)
{
	struct stat before;

	if (files_stat(path, &before) < 0)
		return outcome_failed("%s", path);
	/* Its own first bytes: no harm is done to what reads it meanwhile. */
	if (attempt_write(path, 0, ATTEMPT_SQLITE) < 0)
		return outcome_failed("%s", path);
	errno = 0;
	return files_is_touched(path, &before) ? outcome_succeeded("%s: written", path)
					       : outcome_denied("%s: unchanged", path);
}

static struct outcome write_inbound(const struct scene *scene)
{
	(void)scene;
	return files_rewrite(ATTEMPT_INBOUND);
}

static struct outcome write_outbound(const struct scene *scene)
{
	(void)scene;
	return files_rewrite(ATTEMPT_OUTBOUND);
}

static struct outcome write_by_symlink(const struct scene *scene)
{
	struct outcome outcome;

	(void)scene;
	(void)unlink(OWN_FILE);
	if (symlink(ATTEMPT_OUTBOUND, OWN_FILE) < 0)
		return outcome_failed("symlink");
	outcome = files_rewrite(OWN_FILE);
	(void)unlink(OWN_FILE);
	return outcome;
}

static struct outcome append_inbound(const struct scene *scene)
{
	int fd = open(ATTEMPT_INBOUND, O_WRONLY | O_APPEND | O_CLOEXEC);
	struct stat before, after;

	(void)scene;
	if (fd < 0 || fstat(fd, &before) < 0 || write(fd, "x", 1) < 0 || fstat(fd, &after) < 0)
		return outcome_failed("append");
	if (ftruncate(fd, before.st_size) < 0)
		return outcome_succeeded("appended, and not undone");
	return outcome_succeeded("%lld bytes became %lld", (long long)before.st_size,
				 (long long)after.st_size);
}

static struct outcome files_truncate(const char *path)
{
	struct stat before;

	if (files_stat(path, &before) < 0 || truncate(path, before.st_size) < 0)
		return outcome_failed("truncate");
	errno = 0;
	/* To the size that it has, which is as much to the kernel as any other. */
	return files_is_touched(path, &before) ? outcome_succeeded("truncated to what it is")
					       : outcome_denied("unchanged");
}

static struct outcome truncate_inbound(const struct scene *scene)
{
	(void)scene;
	return files_truncate(ATTEMPT_INBOUND);
}

static struct outcome truncate_outbound(const struct scene *scene)
{
	(void)scene;
	return files_truncate(ATTEMPT_OUTBOUND);
}

static struct outcome open_truncating(const struct scene *scene)
{
	static char content[1024 * 1024];
	int fd = open(ATTEMPT_INBOUND, O_RDONLY | O_CLOEXEC), to;
	ssize_t n = fd < 0 ? -1 : read(fd, content, sizeof(content));

	(void)scene;
	to = open(ATTEMPT_INBOUND, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (to < 0)
		return outcome_failed("open with O_TRUNC");
	if (n < 0 || write(to, content, (size_t)n) != n)
		return outcome_succeeded("emptied, and not undone");
	return outcome_succeeded("emptied, and written again");
}

static struct outcome map_inbound(const struct scene *scene)
{
	int fd = open(ATTEMPT_INBOUND, O_RDWR | O_CLOEXEC);
	volatile char *bytes;

	(void)scene;
	if (fd < 0)
		return outcome_failed("open");
	bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return outcome_failed("mmap");
	bytes[0] = bytes[0];
	return outcome_of(msync((void *)(uintptr_t)bytes, 4096, MS_SYNC), "mapped and written");
}

static struct outcome lock_outbound(const struct scene *scene)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(ATTEMPT_OUTBOUND, O_RDWR | O_CLOEXEC);

	(void)scene;
	if (fd < 0)
		fd = open(ATTEMPT_OUTBOUND, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return outcome_failed("open");
	/* Far behind the bytes that SQLite locks. */
	lock.l_start = 1LL << 40;
	lock.l_len = 1;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0 && flock(fd, LOCK_SH | LOCK_NB) < 0)
		return outcome_failed("lock");
	return outcome_succeeded("locked");
}

/* Names */

/* Undoes by a second name of the same file, which must be there first where it can be. */
static struct outcome files_unlink(const char *path)
{
	bool has_backup;

	(void)unlink(BACKUP);
	has_backup = link(path, BACKUP) == 0;
	if (unlink(path) < 0) {
		int error = errno;

		if (has_backup)
			(void)unlink(BACKUP);
		errno = error;
		return outcome_failed("unlink");
	}
	if (!has_backup || rename(BACKUP, path) < 0)
		return outcome_succeeded("removed, and not undone");
	return outcome_succeeded("removed, and put back");
}

static struct outcome unlink_inbound(const struct scene *scene)
{
	(void)scene;
	return files_unlink(ATTEMPT_INBOUND);
}

static struct outcome unlink_outbound(const struct scene *scene)
{
	(void)scene;
	return files_unlink(ATTEMPT_OUTBOUND);
}

static struct outcome rename_over_inbound(const struct scene *scene)
{
	bool has_backup;
	int r;

	(void)scene;
	(void)unlink(OWN_FILE);
	if (attempt_write(OWN_FILE, O_CREAT | O_EXCL, "forged") < 0)
		return outcome_failed("own file");
	(void)unlink(BACKUP);
	has_backup = link(ATTEMPT_INBOUND, BACKUP) == 0;
	r = rename(OWN_FILE, ATTEMPT_INBOUND);
	if (r < 0) {
		int error = errno;

		(void)unlink(OWN_FILE);
		if (has_backup)
			(void)unlink(BACKUP);
		errno = error;
		return outcome_failed("rename");
	}
	if (!has_backup || rename(BACKUP, ATTEMPT_INBOUND) < 0)
		return outcome_succeeded("replaced, and not undone");
	return outcome_succeeded("replaced, and put back");
}

static struct outcome rename_away_inbound(const struct scene *scene)
{
	(void)scene;
	(void)unlink(OWN_FILE);
	if (rename(ATTEMPT_INBOUND, OWN_FILE) < 0)
		return outcome_failed("rename");
	if (rename(OWN_FILE, ATTEMPT_INBOUND) < 0)
		return outcome_succeeded("taken away, and not undone");
	return outcome_succeeded("taken away, and put back");
}

static struct outcome exchange_outbound(const struct scene *scene)
{
	(void)scene;
	(void)unlink(OWN_FILE);
	if (attempt_write(OWN_FILE, O_CREAT | O_EXCL, "forged") < 0)
		return outcome_failed("own file");
	if (renameat2(AT_FDCWD, OWN_FILE, AT_FDCWD, ATTEMPT_OUTBOUND, RENAME_EXCHANGE) < 0)
		return outcome_failed("renameat2");
	if (renameat2(AT_FDCWD, OWN_FILE, AT_FDCWD, ATTEMPT_OUTBOUND, RENAME_EXCHANGE) < 0)
		return outcome_succeeded("exchanged, and not undone");
	(void)unlink(OWN_FILE);
	return outcome_succeeded("exchanged, and put back");
}

static struct outcome rename_agent_folder(const struct scene *scene)
{
	(void)scene;
	if (rename(ATTEMPT_OWN, ATTEMPT_WORKSPACE "/escaped") < 0)
		return outcome_failed("rename");
	if (rename(ATTEMPT_WORKSPACE "/escaped", ATTEMPT_OWN) < 0)
		return outcome_succeeded("renamed, and not undone");
	return outcome_succeeded("renamed, and put back");
}

/* Making */

/* A journal's magic, no record, and the size of a sector and a page: rolling it back does nothing. */
#define JOURNAL "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

static struct outcome forge_journal(const struct scene *scene)
{
	(void)scene;
	return attempt_create(ATTEMPT_INBOUND "-journal", JOURNAL);
}

static struct outcome forge_outbound_journal(const struct scene *scene)
{
	(void)scene;
	return attempt_create(ATTEMPT_OUTBOUND "-journal", JOURNAL);
}

static struct outcome forge_wal(const struct scene *scene)
{
	(void)scene;
	return attempt_create(ATTEMPT_OUTBOUND "-wal", "\x37\x7f\x06\x82");
}

/* By way of a file without a name. */
static struct outcome forge_journal_by_link(const struct scene *scene)
{
	char path[64];
	int fd = open(ATTEMPT_OWN, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	(void)scene;
	if (fd < 0 || write(fd, JOURNAL, 8) != 8)
		return outcome_failed("O_TMPFILE");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, path, AT_FDCWD, ATTEMPT_INBOUND "-journal", AT_SYMLINK_FOLLOW) < 0)
		return outcome_failed("linkat");
	(void)unlink(ATTEMPT_INBOUND "-journal");
	return outcome_succeeded("made");
}

static struct outcome create_in_workspace(const struct scene *scene)
{
	(void)scene;
	return attempt_create(ATTEMPT_WORKSPACE "/escape", "x");
}

static struct outcome mkdir_in_workspace(const struct scene *scene)
{
	(void)scene;
	if (mkdir(ATTEMPT_WORKSPACE "/escape-folder", 0700) < 0)
		return outcome_failed("mkdir");
	return outcome_of(rmdir(ATTEMPT_WORKSPACE "/escape-folder"), "made");
}

static struct outcome symlink_in_workspace(const struct scene *scene)
{
	(void)scene;
	if (symlink("/etc/passwd", ATTEMPT_WORKSPACE "/escape-link") < 0)
		return outcome_failed("symlink");
	return outcome_of(unlink(ATTEMPT_WORKSPACE "/escape-link"), "made");
}

static struct outcome write_outbox(const struct scene *scene)
{
	(void)scene;
	return attempt_create(ATTEMPT_WORKSPACE "/outbox/escape", "x");
}

static struct outcome write_inbox(const struct scene *scene)
{
	(void)scene;
	return attempt_create(ATTEMPT_WORKSPACE "/inbox/escape", "x");
}

/* The heartbeat: the host takes a container for dead, or for alive, by it. */

static struct outcome write_heartbeat(const struct scene *scene)
{
	struct stat before;

	(void)scene;
	if (files_stat(HEARTBEAT, &before) < 0 || truncate(HEARTBEAT, before.st_size) < 0)
		return outcome_failed("truncate");
	return files_is_touched(HEARTBEAT, &before) ? outcome_succeeded("written")
						    : outcome_denied("unchanged");
}

static struct outcome unlink_heartbeat(const struct scene *scene)
{
	(void)scene;
	return files_unlink(HEARTBEAT);
}

static struct outcome files_touch(const char *path)
{
	struct stat before, after;
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1 } };

	if (stat(path, &before) < 0 || utimensat(AT_FDCWD, path, times, 0) < 0 ||
	    stat(path, &after) < 0)
		return outcome_failed("utimensat");
	(void)utimensat(AT_FDCWD, path, (struct timespec[]){ before.st_atim, before.st_mtim }, 0);
	errno = 0;
	return after.st_mtim.tv_sec == 1 ? outcome_succeeded("its time was set")
					 : outcome_denied("its time is as it was");
}

static struct outcome touch_heartbeat(const struct scene *scene)
{
	(void)scene;
	return files_touch(HEARTBEAT);
}

/* What Landlock has no right for */

static struct outcome touch_inbound(const struct scene *scene)
{
	(void)scene;
	return files_touch(ATTEMPT_INBOUND);
}

static struct outcome files_chmod(const char *path, mode_t mode)
{
	struct stat before, after;

	if (stat(path, &before) < 0 || chmod(path, mode) < 0 || stat(path, &after) < 0)
		return outcome_failed("chmod");
	(void)chmod(path, before.st_mode & ALLPERMS);
	errno = 0;
	return (after.st_mode & ALLPERMS) == mode ? outcome_succeeded("its mode was set")
						  : outcome_denied("its mode is as it was");
}

static struct outcome chmod_inbound(const struct scene *scene)
{
	(void)scene;
	return files_chmod(ATTEMPT_INBOUND, 0);
}

static struct outcome chmod_outbound(const struct scene *scene)
{
	(void)scene;
	return files_chmod(ATTEMPT_OUTBOUND, 0);
}

static struct outcome chmod_workspace(const struct scene *scene)
{
	(void)scene;
	/* Without it nobody would find the way to undo it. */
	return files_chmod(ATTEMPT_WORKSPACE, S_IXUSR);
}

static struct outcome chown_inbound(const struct scene *scene)
{
	struct stat st;

	(void)scene;
	if (stat(ATTEMPT_INBOUND, &st) < 0 || chown(ATTEMPT_INBOUND, 4321, 4321) < 0)
		return outcome_failed("chown");
	return outcome_of(chown(ATTEMPT_INBOUND, st.st_uid, st.st_gid), "it had another owner");
}

static struct outcome xattr_inbound(const struct scene *scene)
{
	(void)scene;
	if (setxattr(ATTEMPT_INBOUND, "user.escape", "x", 1, 0) < 0)
		return outcome_failed("setxattr");
	return outcome_of(removexattr(ATTEMPT_INBOUND, "user.escape"), "an attribute was set");
}

/* container.json: what the agent may is written there. */

static struct outcome write_config(const struct scene *scene)
{
	(void)scene;
	return attempt_rewrite(CONFIG);
}

static struct outcome rename_over_config(const struct scene *scene)
{
	char text[65536];

	(void)scene;
	(void)unlink(OWN_FILE);
	if (attempt_read(CONFIG, text, sizeof(text)) < 0 ||
	    attempt_write(OWN_FILE, O_CREAT | O_EXCL, text) < 0)
		return outcome_failed("copy");
	return outcome_of(rename(OWN_FILE, CONFIG), "replaced by a copy");
}

static struct outcome unlink_config(const struct scene *scene)
{
	char text[65536];

	(void)scene;
	if (attempt_read(CONFIG, text, sizeof(text)) < 0 || unlink(CONFIG) < 0)
		return outcome_failed("unlink");
	return outcome_of(attempt_write(CONFIG, O_CREAT | O_EXCL, text),
			  "removed, and written again");
}

const struct attempt attempts_files[] = {
	{ "read-inbound", "read inbound.db", read_inbound },
	{ "read-outbound", "read outbound.db", read_outbound },
	{ "read-by-dots", "read it as agent/../inbound.db", read_by_dots },
	{ "read-by-self-root", "read it through /proc/self/root", read_by_self_root },
	{ "read-by-self-cwd", "read it through /proc/self/cwd", read_by_self_cwd },
	{ "read-by-thread-self", "read it through /proc/thread-self/root", read_by_thread_self },
	{ "read-by-symlink", "read it by a symbolic link in agent/", read_by_symlink },
	{ "read-by-hard-link", "read it by a hard link in agent/", read_by_hard_link },
	{ "read-by-path-descriptor", "open it with O_PATH, and that again through /dev/fd",
	  read_by_path_descriptor },
	{ "inherited-descriptors", "find a descriptor that was left open for it", read_inherited },
	{ "read-journal", "read a file that the workspace got after the start", read_journal },
	{ "watch-inbound", "watch inbound.db by inotify", watch_inbound },
	{ "write-inbound", "write inbound.db", write_inbound },
	{ "write-outbound", "write outbound.db", write_outbound },
	{ "write-by-symlink", "write outbound.db by a symbolic link in agent/", write_by_symlink },
	{ "append-inbound", "append to inbound.db", append_inbound },
	{ "truncate-inbound", "truncate(2) inbound.db", truncate_inbound },
	{ "truncate-outbound", "truncate(2) outbound.db", truncate_outbound },
	{ "open-truncating", "open inbound.db with O_TRUNC", open_truncating },
	{ "map-inbound", "write inbound.db through a shared mapping", map_inbound },
	{ "lock-outbound", "lock outbound.db", lock_outbound },
	{ "unlink-inbound", "remove inbound.db", unlink_inbound },
	{ "unlink-outbound", "remove outbound.db", unlink_outbound },
	{ "rename-over-inbound", "rename a file of its own over inbound.db", rename_over_inbound },
	{ "rename-away-inbound", "rename inbound.db into agent/", rename_away_inbound },
	{ "exchange-outbound", "exchange outbound.db with a file of its own", exchange_outbound },
	{ "rename-agent-folder", "rename the folder agent/", rename_agent_folder },
	{ "forge-journal", "put a journal beside inbound.db", forge_journal },
	{ "forge-outbound-journal", "put a journal beside outbound.db", forge_outbound_journal },
	{ "forge-wal", "put a write-ahead log beside outbound.db", forge_wal },
	{ "forge-journal-by-link", "give a file without a name a journal's",
	  forge_journal_by_link },
	{ "create-in-workspace", "make a file in the workspace itself", create_in_workspace },
	{ "mkdir-in-workspace", "make a folder in the workspace itself", mkdir_in_workspace },
	{ "symlink-in-workspace", "make a link in the workspace itself", symlink_in_workspace },
	{ "write-outbox", "put a file into outbox/ without asking", write_outbox },
	{ "write-inbox", "put a file into inbox/", write_inbox },
	{ "write-heartbeat", "write .heartbeat", write_heartbeat },
	{ "unlink-heartbeat", "remove .heartbeat", unlink_heartbeat },
	{ "touch-heartbeat", "set the time of .heartbeat", touch_heartbeat },
	{ "touch-inbound", "set the time of inbound.db", touch_inbound },
	{ "chmod-inbound", "take all rights from inbound.db", chmod_inbound },
	{ "chmod-outbound", "take all rights from outbound.db", chmod_outbound },
	{ "chmod-workspace", "take the rights to list and write from the workspace",
	  chmod_workspace },
	{ "chown-inbound", "give inbound.db to another user", chown_inbound },
	{ "xattr-inbound", "put an extended attribute on inbound.db", xattr_inbound },
	{ "write-config", "write container.json", write_config },
	{ "rename-over-config", "rename a file of its own over container.json",
	  rename_over_config },
	{ "unlink-config", "remove container.json", unlink_config },
	{ NULL, NULL, NULL },
};
