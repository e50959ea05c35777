/* SPDX-License-Identifier: MIT */
#include "entrypoint/probe.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe_answer {
	bool is_there;
	int value;
	struct err err;
};

static _Noreturn void probe_child(const struct privileges_user *user, probe_fn *fn, void *data,
				  struct probe_answer *answer)
{
	answer->value = privileges_switch_user(user, &answer->err);
	if (answer->value == 0)
		answer->value = fn(data, &answer->err);
	answer->is_there = true;
	_exit(0);
}

int probe_run(const struct privileges_user *user, probe_fn *fn, void *data, struct err *err)
{
	struct probe_answer theirs = { .is_there = false };
	/* Volatile: the compiler cannot know that what only the child's branch writes is written before ours goes on. */
	struct probe_answer *volatile answer = &theirs;
	int dumpable = prctl(PR_GET_DUMPABLE);
	pid_t pid;

	if (!user || geteuid() != 0 || user->uid == geteuid())
		return fn(data, err);
	/* A start asks three times: copies of our memory would cost it half a millisecond. */
	pid = vfork();
	if (pid < 0)
		return err_sys(err, -errno, "fork");
	if (pid == 0)
		probe_child(user, fn, data, answer);
	/* ECHILD, where SIGCHLD is ignored, is fine: the answer is there. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* The memory is ours, too: its new user has made it what fs.suid_dumpable says (proc_sys_fs(5)). */
	if (dumpable == 0 || dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, (unsigned long)dumpable, 0L, 0L, 0L);
	if (!answer->is_there)
		return err_sys(err, -ECHILD, "the probe for uid %u ended without an answer",
			       user->uid);
	if (err)
		*err = answer->err;
	return answer->value;
}
