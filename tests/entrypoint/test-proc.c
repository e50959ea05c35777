/* SPDX-License-Identifier: MIT */
#include "entrypoint/proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/test.h"

static void test_our_own_status(void **state)
{
	struct proc_status status;

	(void)state;
	assert_int_equal(proc_status(0, &status), 0);
	assert_string_equal(status.name, "test-entrypoint"); /* cut by the kernel at 15 bytes */
	assert_int_equal(status.state, 'R');
	assert_int_equal(status.parent, getppid());
	assert_true(status.has_ids);
	assert_int_equal(status.uid, geteuid());
	assert_int_equal(status.gid, getegid());
}

/* A process that waits for its pipe to close, non-dumpable and with a name of ours. */
static pid_t start_child(int *ret_writer)
{
	int go[2], ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		(void)prctl(PR_SET_NAME, "agent: (x)\ny");
		(void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
		close(ready[1]);
		(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	close(go[0]);
	close(ready[1]);
	(void)!read(ready[0], &byte, 1);
	close(ready[0]);
	*ret_writer = go[1];
	return pid;
}

static void test_another_process(void **state)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	struct proc_status status;
	bool seen = false;
	char line[4096], name[32];
	int writer;
	size_t len;
	pid_t pid = start_child(&writer), found;

	(void)state;
	assert_int_equal(proc_status(pid, &status), 0);
	/* Whatever is in a name stays on its line: the kernel escapes the newline. */
	assert_string_equal(status.name, "agent: (x)\\ny");
	assert_int_equal(status.parent, getpid());
	proc_name(pid, name, sizeof(name));
	assert_string_equal(name, "agent: (x)");
	assert_int_equal(proc_cmdline(pid, line, sizeof(line), &len), 0);
	assert_non_null(strstr(line, "test-entrypoint-proc"));
	assert_int_equal(line[len - 1], '\0');
	assert_int_equal(proc_cmdline(pid, line, 3, &len), 0);
	assert_int_equal(len, 3);
	while ((found = proc_next(proc)) != 0)
		seen |= found == pid;
	assert_true(seen);
	close(writer);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(proc_status(pid, &status), -ENOENT);
	proc_name(pid, name, sizeof(name));
	assert_string_equal(name, "");
}

static void test_control_groups(void **state)
{
	(void)state;
	/* Its own, wherever there are any. */
	assert_int_equal(proc_is_in_our_cgroup(getpid()), access("/proc/self/cgroup", R_OK) == 0);
	assert_false(proc_is_in_our_cgroup(0x7ffffffe));
}

static void assert_oom_score(const char *want)
{
	char text[16] = "";
	FILE *file = fopen("/proc/self/oom_score_adj", "re");

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	assert_string_equal(text, want);
}

/* Up only. The last test of this process, which nobody need lower again. */
static void test_oom_score(void **state)
{
	(void)state;
	assert_int_equal(proc_raise_oom_score(990), 0);
	assert_oom_score("990\n");
	assert_int_equal(proc_raise_oom_score(500), 0);
	assert_oom_score("990\n");
	assert_int_equal(proc_raise_oom_score(1001), -EINVAL);
	assert_oom_score("990\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_our_own_status),
		cmocka_unit_test(test_another_process),
		cmocka_unit_test(test_control_groups),
		cmocka_unit_test(test_oom_score),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
