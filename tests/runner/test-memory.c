/* SPDX-License-Identifier: MIT */
/* The texts are those of real containers: the machine that runs this has one kind of them only. */
#include "runner/memory.h"

#include <errno.h>

#include "common/table.h"
#include "tests/test.h"

/* The rest of what /proc/self/mountinfo has to say. */
#define OTHER_MOUNTS                                                                    \
	"621 529 0:113 / / rw,relatime - overlay overlay rw,lowerdir=/var/l,upper=/u\n" \
	"622 621 0:117 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"        \
	"630 621 8:1 /sess /workspace rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n"

#define V1_MEMORY(root) \
	"640 632 0:32 " root " /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n"

static const struct {
	const char *what;
	const char *cgroups;
	const char *mounts;
	int result;
	enum memory_version version;
	const char *folder;
} places[] = {
	{
		.what = "v2, with a namespace: Docker, Podman, Kubernetes of today",
		.cgroups = "0::/\n",
		.mounts = OTHER_MOUNTS "631 630 0:27 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup "
				       "rw,nsdelegate,memory_recursiveprot\n",
		.version = MEMORY_V2,
		.folder = "/sys/fs/cgroup",
	},
	{
		.what = "v2 without a namespace, and the container's folder mounted",
		.cgroups = "0::/system.slice/docker-4c2f.scope\n",
		.mounts = OTHER_MOUNTS "631 630 0:27 /system.slice/docker-4c2f.scope "
				       "/sys/fs/cgroup ro - cgroup2 cgroup rw\n",
		.version = MEMORY_V2,
		.folder = "/sys/fs/cgroup",
	},
	{
		.what = "v2 of the host itself",
		.cgroups = "0::/user.slice/session-2.scope\n",
		.mounts = OTHER_MOUNTS "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		.version = MEMORY_V2,
		.folder = "/sys/fs/cgroup/user.slice/session-2.scope",
	},
	{
		.what = "v2 in a group that the namespace's root is not above",
		.cgroups = "0::/../other\n",
		.mounts = OTHER_MOUNTS "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		.version = MEMORY_V2,
		.folder = "/sys/fs/cgroup",
	},
	{
		.what = "v1 without a namespace: Docker and Podman of before",
		.cgroups = "9:name=systemd:/docker/4c2f\n5:cpu,cpuacct:/docker/4c2f\n"
			   "4:memory:/docker/4c2f\n0::/docker/4c2f\n",
		.mounts = OTHER_MOUNTS "639 632 0:31 /docker/4c2f /sys/fs/cgroup/cpu ro - cgroup "
				       "cgroup rw,cpu,cpuacct\n" V1_MEMORY("/docker/4c2f"),
		.version = MEMORY_V1,
		.folder = "/sys/fs/cgroup/memory",
	},
	{
		.what = "v1 with another controller beside it, in a group below the container's",
		.cgroups = "3:pids:/docker/4c2f\n2:blkio,memory:/docker/4c2f/inner\n",
		.mounts = "640 632 0:32 /docker/4c2f /cg rw - cgroup cgroup rw,blkio,memory\n",
		.version = MEMORY_V1,
		.folder = "/cg/inner",
	},
	{
		.what = "v1, with a namespace",
		.cgroups = "4:memory:/\n0::/\n",
		.mounts = OTHER_MOUNTS V1_MEMORY("/"),
		.version = MEMORY_V1,
		.folder = "/sys/fs/cgroup/memory",
	},
	{
		.what = "a name that begins like ours",
		.cgroups = "4:memory:/docker/4c2f\n",
		.mounts = V1_MEMORY("/docker/4c"),
		.version = MEMORY_V1,
		.folder = "/sys/fs/cgroup/memory",
	},
	{
		.what = "v1 has the controller, and it is not mounted: v2 would tell nothing",
		.cgroups = "4:memory:/\n0::/\n",
		.mounts = OTHER_MOUNTS "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
		.result = -ENOENT,
	},
	{ .what = "gVisor", .cgroups = "", .mounts = OTHER_MOUNTS, .result = -ENOENT },
	{ .what = "nothing", .cgroups = "", .mounts = "", .result = -ENOENT },
	{
		.what = "nonsense",
		.cgroups = "\n:\n::\n0:memory\nmemory\n0::",
		.mounts = " \n - \n - cgroup2\n1 2 3 4 5 6\n- - - - - - - cgroup2\n",
		.result = -ENOENT,
	},
};

static void test_places(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		enum memory_version version = MEMORY_VERSIONS;
		char *folder = NULL;
		int r = memory_find(places[i].cgroups, places[i].mounts, &version, &folder);

		if (r != places[i].result)
			fail_msg("%s: %d", places[i].what, r);
		if (r == 0) {
			assert_string_equal(folder, places[i].folder);
			assert_int_equal(version, places[i].version);
		}
		free(folder);
	}
}

static void test_kills(void **state)
{
	(void)state;
	/* v2 */
	assert_int_equal(memory_parse_kills("low 0\nhigh 0\nmax 2914\noom 3\noom_kill 2\n"
					    "oom_group_kill 1\n"),
			 2);
	/* v1 */
	assert_int_equal(memory_parse_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), 7);
	assert_int_equal(memory_parse_kills("oom_kill 0"), 0);
	/* Linux before 4.13, and what is no number. */
	assert_int_equal(memory_parse_kills("oom_kill_disable 0\nunder_oom 0\n"), -1);
	assert_int_equal(memory_parse_kills("oom_kill \n"), -1);
	assert_int_equal(memory_parse_kills("oom_kill -1\n"), -1);
	assert_int_equal(memory_parse_kills("oom_kill 99999999999999999999999\n"), -1);
	assert_int_equal(memory_parse_kills("no oom_kill 1\n"), -1);
	assert_int_equal(memory_parse_kills(""), -1);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(memory_parse_limit("268435456\n"), 268435456);
	assert_int_equal(memory_parse_limit("0\n"), 0);
	assert_int_equal(memory_parse_limit("max\n"), -1);
	assert_int_equal(memory_parse_limit("9223372036854771712\n"), -1);
	assert_int_equal(memory_parse_limit(""), -1);
}

static void assert_size(int64_t bytes, const char *want)
{
	char text[MEMORY_SIZE_TEXT];

	memory_size_text(bytes, text);
	assert_string_equal(text, want);
}

static void test_sizes(void **state)
{
	(void)state;
	assert_size(0, "0 bytes");
	assert_size(1000, "1000 bytes");
	assert_size(1024, "1 KB");
	assert_size(268435456, "256 MB");
	assert_size(1610612736, "1536 MB");
	assert_size(2147483648, "2 GB");
	assert_size(500000000, "488281 KB");
	assert_size(INT64_MAX, "8388607 TB");
}

/* Whatever this machine has: nothing of it is an error. */
static void test_here(void **state)
{
	struct memory *memory = NULL;

	(void)state;
	assert_int_equal(memory_open(&memory), 0);
	assert_true(memory_oom_kills(memory) >= -1);
	assert_true(memory_limit(memory) >= -1);
	memory_close(memory);
	memory_close(NULL);
	assert_int_equal(memory_oom_kills(NULL), -1);
	assert_int_equal(memory_limit(NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places), cmocka_unit_test(test_kills),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
