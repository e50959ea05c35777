#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What /proc says about a process, from its world-readable part only: it works for any uid and for
 * processes that are not dumpable.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_status {
	char name[64]; /* "" if /proc does not say (and so with all that follows) */
	char state;    /* R, S, D, T, t, Z, X; 0: unknown */
	pid_t parent;  /* -1: unknown */
	int threads;   /* 0: unknown */
	bool has_ids;  /* the next two, effective ones, are known */
	uid_t uid;
	gid_t gid;
};

/* pid 0: the calling process. 0; -ENOENT or -ESRCH: no such process; or -errno. */
int proc_status(pid_t pid, struct proc_status *ret_status);

/*
 * Its arguments, each ended by a NUL, cut at size. 0 with the length, or -errno. A kernel thread
 * and a zombie have none.
 */
int proc_cmdline(pid_t pid, char *buffer, size_t size, size_t *ret_len);

/* Its name (prctl(PR_SET_NAME)), cut at size, or "". Cheaper than its status. */
void proc_name(pid_t pid, char *buffer, size_t size);

/*
 * Our own oom_score_adj becomes value, unless it is higher already (proc(5)). 0 or -errno: /proc may
 * be missing or not writable.
 */
int proc_raise_oom_score(int value);

/* Is it in our control groups? What docker starts in a container is; false where nothing tells. */
bool proc_is_in_our_cgroup(pid_t pid);

/* The next process in an open /proc; 0: there are no more. */
pid_t proc_next(DIR *proc);
