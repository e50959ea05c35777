/* SPDX-License-Identifier: MIT */
#include "entrypoint/environment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "tests/test.h"

#define PATH_SIZE 256

struct scene {
	char workspace[64]; /* HOME lies in it */
	char home[PATH_SIZE];
};

static int setup(void **state)
{
	static struct scene s;

	s = (struct scene){ .workspace = "/tmp/test-environment-XXXXXX" };
	assert_non_null(mkdtemp(s.workspace));
	(void)snprintf(s.home, sizeof(s.home), "%s/home", s.workspace);
	assert_int_equal(mkdir(s.home, 0700), 0);
	clearenv();
	setenv("HOME", s.home, 1);
	/* The machine's own git settings must not decide about the tests. */
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	char command[PATH_SIZE];

	setenv("PATH", "/usr/bin:/bin", 1);
	(void)snprintf(command, sizeof(command), "rm -rf %s", s->workspace);
	return system(command);
}

static void prepare_as(const struct scene *s, bool is_session)
{
	const struct environment_spec spec = {
		.workspace = s->workspace,
		.is_session = is_session,
	};
	struct err err;
	int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	/* Whether a person sits at the tests' terminal must not matter. */
	assert_true(dup2(null, STDOUT_FILENO) >= 0);
	assert_int_equal(environment_prepare(&spec, &err), 0);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	close(out);
	close(null);
}

static void prepare(const struct scene *s)
{
	prepare_as(s, false);
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[PATH_SIZE * 2];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void test_what_is_missing_is_set(void **state)
{
	const struct scene *s = *state;

	prepare(s);
	assert_string_equal(getenv("HOME"), s->home);
	assert_string_equal(getenv("PATH"),
			    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	assert_string_equal(getenv("LANG"), "C.UTF-8");
	assert_string_equal(getenv("NO_COLOR"), "1");
	assert_string_equal(getenv("GIT_TERMINAL_PROMPT"), "0");
	assert_string_equal(getenv("DISABLE_AUTOUPDATER"), "1");
	assert_string_equal(getenv("DISABLE_TELEMETRY"), "1");
	assert_string_equal(getenv("USER"), geteuid() == 0 ? "root" : "agent");
	assert_string_equal(getenv("LOGNAME"), getenv("USER"));
	assert_int_equal(access(getenv("SHELL"), X_OK), 0);
}

static void test_what_the_host_set_wins(void **state)
{
	const struct scene *s = *state;

	setenv("PATH", "/pnpm", 1);
	setenv("LC_ALL", "de_DE.UTF-8", 1);
	setenv("USER", "joe", 1);
	setenv("FORCE_COLOR", "1", 1);
	setenv("DISABLE_TELEMETRY", "", 1);
	prepare(s);
	assert_string_equal(getenv("PATH"), "/pnpm");
	assert_null(getenv("LANG"));
	assert_string_equal(getenv("USER"), "joe");
	assert_null(getenv("NO_COLOR"));
	assert_string_equal(getenv("DISABLE_TELEMETRY"), "");
}

static void test_the_name_of_the_user(void **state)
{
	const struct scene *s = *state;
	struct privileges_user user = { .uid = geteuid(), .gid = getegid(), .name = "node" };
	const struct environment_spec spec = { .user = &user, .workspace = s->workspace };
	struct err err;

	assert_int_equal(environment_prepare(&spec, &err), 0);
	assert_string_equal(getenv("USER"), "node");
}

static void test_home_is_replaced(void **state)
{
	const struct scene *s = *state;
	char wanted[PATH_SIZE];

	setenv("HOME", "/nonexistent", 1);
	setenv("TMPDIR", s->workspace, 1);
	prepare(s);
	(void)snprintf(wanted, sizeof(wanted), "%s/agent-home-%u", s->workspace, geteuid());
	assert_string_equal(getenv("HOME"), wanted);
}

/* What somebody else said in these names is nothing that PID 1 said. */
static void test_our_own_names(void **state)
{
	const struct scene *s = *state;

	setenv(ENVIRONMENT_HOST_HOME, "/etc", 1);
	setenv(ENVIRONMENT_TMPDIR, "/etc", 1);
	prepare(s);
	assert_null(getenv(ENVIRONMENT_HOST_HOME));
	assert_null(getenv(ENVIRONMENT_TMPDIR));
	setenv(ENVIRONMENT_HOST_HOME, "/etc", 1);
	setenv(ENVIRONMENT_TMPDIR, "/etc", 1);
	setenv("TMPDIR", "/var/tmp", 1);
	prepare_as(s, true);
	assert_null(getenv(ENVIRONMENT_HOST_HOME));
	assert_null(getenv(ENVIRONMENT_TMPDIR));
	assert_string_equal(getenv("TMPDIR"), "/var/tmp");
}

static void test_home_holds_the_workspace(void **state)
{
	const struct scene *s = *state;
	char wanted[PATH_SIZE];

	setenv("HOME", s->workspace, 1);
	setenv("TMPDIR", "/var/tmp", 1);
	prepare(s);
	assert_string_equal(getenv("HOME"), s->workspace);
	prepare_as(s, true);
	(void)snprintf(wanted, sizeof(wanted), "%s/.home", s->workspace);
	assert_string_equal(getenv("HOME"), wanted);
	assert_string_equal(getenv(ENVIRONMENT_HOST_HOME), s->workspace);
}

static void test_tmp_holds_the_workspace(void **state)
{
	const struct scene *s = *state;
	char wanted[PATH_SIZE];
	struct stat st;

	prepare(s);
	assert_null(getenv("TMPDIR"));
	/* As programs read it, an empty one is none. */
	setenv("TMPDIR", "", 1);
	prepare_as(s, true);
	(void)snprintf(wanted, sizeof(wanted), "/tmp/agent-tmp-%u", geteuid());
	assert_string_equal(getenv("TMPDIR"), wanted);
	assert_string_equal(getenv(ENVIRONMENT_TMPDIR), wanted);
	assert_int_equal(lstat(wanted, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	(void)rmdir(wanted);
}

static void test_git(void **state)
{
	const struct scene *s = *state;

	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "3");
	assert_string_equal(getenv("GIT_CONFIG_KEY_0"), "safe.directory");
	assert_string_equal(getenv("GIT_CONFIG_VALUE_0"), "*");
	assert_string_equal(getenv("GIT_CONFIG_KEY_1"), "user.name");
	assert_string_equal(getenv("GIT_CONFIG_VALUE_1"), "Agent");
	assert_string_equal(getenv("GIT_CONFIG_KEY_2"), "user.email");
	assert_string_equal(getenv("GIT_CONFIG_VALUE_2"), "agent@localhost");
}

static void test_git_settings_of_the_host_stay(void **state)
{
	const struct scene *s = *state;

	setenv("GIT_CONFIG_COUNT", "1", 1);
	setenv("GIT_CONFIG_KEY_0", "user.name", 1);
	setenv("GIT_CONFIG_VALUE_0", "Joe", 1);
	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "2");
	assert_string_equal(getenv("GIT_CONFIG_VALUE_0"), "Joe");
	assert_string_equal(getenv("GIT_CONFIG_KEY_1"), "safe.directory");
	assert_null(getenv("GIT_CONFIG_KEY_2"));
}

/* GIT_CONFIG_* would win over each of them. */
static void test_git_identities_of_files_stay(void **state)
{
	const struct scene *s = *state;

	write_file(s->home, ".gitconfig", "[core]\n[user]\n\tname = Joe\n");
	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "1");
	assert_string_equal(getenv("GIT_CONFIG_KEY_0"), "safe.directory");
}

static void test_git_files_are_where_git_has_them(void **state)
{
	const struct scene *s = *state;
	char path[PATH_SIZE * 2];

	/* With GIT_CONFIG_GLOBAL git does not look into HOME. */
	write_file(s->home, ".gitconfig", "[user]\n\tname = Joe\n");
	setenv("GIT_CONFIG_GLOBAL", "/nonexistent", 1);
	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "3");
	unsetenv("GIT_CONFIG_COUNT");
	(void)snprintf(path, sizeof(path), "%s/.gitconfig", s->home);
	setenv("GIT_CONFIG_SYSTEM", path, 1);
	unsetenv("GIT_CONFIG_NOSYSTEM");
	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "1");
}

static void test_git_identity_of_the_agents_folder_stays(void **state)
{
	const struct scene *s = *state;
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/agent", s->workspace);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/agent/.git", s->workspace);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(path, "config", "[core]\n");
	setenv("EMAIL", "joe@example.org", 1);
	prepare(s);
	/* No identity in it: only the name, since the host's EMAIL is what git falls back to. */
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "2");
	assert_string_equal(getenv("GIT_CONFIG_KEY_1"), "user.name");
	unsetenv("GIT_CONFIG_COUNT");
	write_file(path, "config", "[user]\n\temail = a@example.org\n");
	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "1");
}

static void test_a_count_that_is_none(void **state)
{
	const struct scene *s = *state;

	setenv("GIT_CONFIG_COUNT", "many", 1);
	prepare(s);
	assert_string_equal(getenv("GIT_CONFIG_COUNT"), "many");
	assert_null(getenv("GIT_CONFIG_KEY_0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_missing_is_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_the_host_set_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_name_of_the_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_home_is_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_our_own_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_home_holds_the_workspace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tmp_holds_the_workspace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_git, setup, teardown),
		cmocka_unit_test_setup_teardown(test_git_settings_of_the_host_stay, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_git_identities_of_files_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_git_files_are_where_git_has_them, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_git_identity_of_the_agents_folder_stays, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_count_that_is_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
