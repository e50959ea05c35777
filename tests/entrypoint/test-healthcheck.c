/* SPDX-License-Identifier: MIT */
/*
 * The probe looks at processes, so there are some: this program executes itself again, under the
 * name and with the arguments of an agent-runner on a private workspace.
 */
#include "entrypoint/healthcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "tests/test.h"

#define PATH_SIZE   128
#define OUTPUT_SIZE 8192

/* What the re-executed program is: its child's name, or nothing. */
#define LOOP_NAME "TEST_HEALTHCHECK_LOOP"
/* The workspace of which its child starts something that looks the same. */
#define AGENT_NAME "TEST_HEALTHCHECK_DECOY"

struct scene {
	char workspace[64];
	pid_t init;
	char output[OUTPUT_SIZE];
};

/* The re-executed program: runs until it is killed. */

/* Becomes what looks like a session of its own, and says when it is ready. */
static _Noreturn void play_decoy(const char *workspace)
{
	char word[PATH_SIZE];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)unsetenv(AGENT_NAME);
	(void)snprintf(word, sizeof(word), "--workspace=%s", workspace);
	execl("/proc/self/exe", "agent-runner", word, NULL);
	_exit(1);
}

static _Noreturn void play_loop(pid_t init)
{
	const char *workspace = getenv(AGENT_NAME);

	if (workspace && fork() == 0)
		play_decoy(workspace);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, getenv(LOOP_NAME));
	(void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
	/* Ready; or else what it starts is, a moment later. */
	if ((!workspace && write(STDOUT_FILENO, "r", 1) != 1) || getppid() != init)
		_exit(1);
	for (;;)
		(void)pause();
}

static int play_init(void)
{
	pid_t init = getpid();

	(void)prctl(PR_SET_NAME, "agent-runner");
	if (getenv(LOOP_NAME) && fork() == 0)
		play_loop(init);
	if (!getenv(LOOP_NAME) && write(STDOUT_FILENO, "r", 1) != 1)
		return 1;
	(void)close(STDOUT_FILENO);
	for (;;)
		(void)pause();
}

static void start_as(struct scene *s, const char *loop, const char *name, const char *first,
		     const char *second)
{
	char byte;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	s->init = fork();
	assert_true(s->init >= 0);
	if (s->init == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (loop)
			setenv(LOOP_NAME, loop, 1);
		execl("/proc/self/exe", name, first, second, NULL);
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
}

static void start(struct scene *s, const char *loop, const char *mode)
{
	char workspace[PATH_SIZE];

	(void)snprintf(workspace, sizeof(workspace), "--workspace=%s", s->workspace);
	start_as(s, loop, "agent-runner", workspace, mode);
}

static void stop(struct scene *s)
{
	if (s->init > 0) {
		assert_int_equal(kill(s->init, SIGKILL), 0);
		assert_int_equal(waitpid(s->init, NULL, 0), s->init);
	}
	s->init = 0;
}

static int setup(void **state)
{
	static struct scene s;
	char path[PATH_SIZE];

	s = (struct scene){ .workspace = "/tmp/test-health-XXXXXX" };
	assert_non_null(mkdtemp(s.workspace));
	(void)snprintf(path, sizeof(path), "%s/agent", s.workspace);
	assert_int_equal(mkdir(path, 0700), 0);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	char command[PATH_SIZE];

	stop(s);
	(void)snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", s->workspace,
		       s->workspace);
	return system(command);
}

/* Runs the probe with its output in s->output. */
static int probe(struct scene *s, bool json)
{
	const struct healthcheck_spec spec = {
		.workspace = s->workspace,
		.self = "/proc/self/exe",
		.json = json,
	};
	int saved = dup(STDOUT_FILENO), fds[2], r;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDOUT_FILENO) >= 0);
	close(fds[1]);
	r = healthcheck_run(&spec);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	n = read(fds[0], s->output, sizeof(s->output) - 1);
	close(fds[0]);
	assert_true(n > 0);
	s->output[n] = '\0';
	return r;
}

static void check_line(const struct scene *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void check_line(const struct scene *s, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!strstr(s->output, line))
		fail_msg("no \"%s\" in:\n%s", line, s->output);
}

static void test_nothing_runs(void **state)
{
	struct scene *s = *state;

	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   init       there is no agent-runner process\n");
	check_line(s, "ok       workspace  %s can be written\n", s->workspace);
	check_line(s, "failed   loop       there is no session loop");
}

/* The databases are missing, so it is unhealthy; but what we look at ourselves is fine. */
static void test_a_session(void **state)
{
	struct scene *s = *state;

	start(s, "agent-session", NULL);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "ok       init       process %d, mode session\n", (int)s->init);
	check_line(s, "ok       loop       the session loop is process ");
	check_line(s, "failed   inbound    ");
	check_line(s, "ok       config     ");
}

/* The name on the command line says nothing, and it names no workspace: the environment does. */
static void test_a_session_under_the_name_of_bun(void **state)
{
	struct scene *s = *state;

	assert_int_equal(setenv("AGENT_WORKSPACE", s->workspace, 1), 0);
	start_as(s, "agent-session", "bun", "run", "/app/src/index.ts");
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "ok       init       process %d, mode session\n", (int)s->init);
	check_line(s, "ok       loop       the session loop is process ");
	stop(s);
	/* A helper that is called bun is none, nor what becomes the real one. */
	start_as(s, NULL, "bun", "run", "/app/src/mcp-tools/index.ts");
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   init       there is no agent-runner process\n");
	stop(s);
	start_as(s, NULL, "bun", "run", "x.ts");
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   init       there is no agent-runner process\n");
	assert_int_equal(unsetenv("AGENT_WORKSPACE"), 0);
}

static void test_the_loop_is_gone(void **state)
{
	struct scene *s = *state;

	start(s, NULL, NULL);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "ok       init       process %d, mode session\n", (int)s->init);
	check_line(s, "failed   loop       there is no session loop: it has ended, or is being "
		      "started again\n");
}

static void test_keep_alive_has_no_session(void **state)
{
	struct scene *s = *state;

	start(s, NULL, "--keep-alive");
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	check_line(s, "ok       init       process %d, mode keep-alive\n", (int)s->init);
	assert_null(strstr(s->output, "loop"));
	assert_null(strstr(s->output, "inbound"));
}

static void test_dependencies(void **state)
{
	struct scene *s = *state;

	assert_int_equal(setenv("AGENT_WORKSPACE", s->workspace, 1), 0);
	start_as(s, "agent-install", "agent-runner", "--keep-alive", "--install-deps");
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   dependencies they are being installed: process ");
	stop(s);
	start_as(s, NULL, "agent-runner", "--keep-alive", "--install-deps");
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	check_line(s, "ok       dependencies nothing is being installed\n");
	stop(s);
	/* Nobody asked for it: the name is another program's. */
	start_as(s, "agent-install", "agent-runner", "--keep-alive", NULL);
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	assert_null(strstr(s->output, "dependencies"));
	assert_int_equal(unsetenv("AGENT_WORKSPACE"), 0);
}

/* The agent that somebody is to start by hand: who names none may do without. */
static void test_agent_of_a_keep_alive_container(void **state)
{
	struct scene *s = *state;

	start(s, NULL, "--keep-alive");
	assert_int_equal(setenv("AGENT_PROVIDER", "mock", 1), 0);
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	check_line(s, "ok       agent      mock: nothing is needed\n");
	assert_int_equal(setenv("AGENT_CLAUDE_PATH", "/no/claude", 1), 0);
	assert_int_equal(setenv("AGENT_PROVIDER", "claude", 1), 0);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   agent      ");
	assert_int_equal(unsetenv("AGENT_PROVIDER"), 0);
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	check_line(s, "warning  agent      ");
	assert_int_equal(unsetenv("AGENT_CLAUDE_PATH"), 0);
}

static void test_a_command_has_no_session(void **state)
{
	struct scene *s = *state;

	start(s, NULL, "sleep");
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	check_line(s, "ok       init       process %d, mode command\n", (int)s->init);
	assert_null(strstr(s->output, "loop"));
}

static void test_a_request_has_no_session(void **state)
{
	struct scene *s = *state;

	start(s, "agent-once", NULL);
	assert_int_equal(probe(s, false), EXIT_CODE_OK);
	check_line(s, "ok       init       process %d, mode once\n", (int)s->init);
}

static void test_a_workspace_that_cannot_be_used(void **state)
{
	struct scene *s = *state;
	char path[PATH_SIZE];
	int fd;

	start(s, NULL, "--keep-alive");
	(void)snprintf(path, sizeof(path), "%s/agent", s->workspace);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(s->workspace), 0);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   workspace  %s does not exist", s->workspace);
	fd = open(s->workspace, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   workspace  %s is not a folder", s->workspace);
}

static void test_json(void **state)
{
	struct scene *s = *state;
	char wanted[512];

	start(s, NULL, "--keep-alive");
	assert_int_equal(setenv("AGENT_PROVIDER", "mock", 1), 0);
	assert_int_equal(probe(s, true), EXIT_CODE_OK);
	assert_int_equal(unsetenv("AGENT_PROVIDER"), 0);
	(void)snprintf(wanted, sizeof(wanted),
		       "{\"healthy\":true,\"checks\":[{\"name\":\"init\",\"status\":\"ok\","
		       "\"text\":\"process %d, mode keep-alive\"},{\"name\":\"workspace\","
		       "\"status\":\"ok\",\"text\":\"%s can be written\"},{\"name\":\"agent\","
		       "\"status\":\"ok\",\"text\":\"mock: nothing is needed\"}]}\n",
		       (int)s->init, s->workspace);
	assert_string_equal(s->output, wanted);
	stop(s);
	assert_int_equal(probe(s, true), EXIT_CODE_UNHEALTHY);
	check_line(s, "{\"healthy\":false,\"checks\":[{\"name\":\"init\",\"status\":\"failed\"");
}

static void test_init_is_stopped(void **state)
{
	struct scene *s = *state;
	int status;

	start(s, NULL, "--keep-alive");
	assert_int_equal(kill(s->init, SIGSTOP), 0);
	assert_int_equal(waitpid(s->init, &status, WUNTRACED), s->init);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   init       process %d is in state T\n", (int)s->init);
}

/* A path can hold any byte. */
static void test_odd_bytes(void **state)
{
	struct scene *s = *state;
	char own[sizeof(s->workspace)];

	(void)strcpy(own, s->workspace);
	(void)strcpy(s->workspace, "/tmp/no\nsuch\xff\"\\");
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "\nfailed   workspace  /tmp/no?such\xef\xbf\xbd\"\\ does not exist");
	assert_int_equal(probe(s, true), EXIT_CODE_UNHEALTHY);
	check_line(s, "\"text\":\"/tmp/no?such\xef\xbf\xbd\\\"\\\\ does not exist");
	(void)strcpy(s->workspace, own);
}

/*
 * What an agent starts is below the loop of the real one: it may name the workspace and have a loop
 * of its own, and no memory that others may look at.
 */
static void test_a_decoy(void **state)
{
	struct scene *s = *state;

	assert_int_equal(setenv("AGENT_WORKSPACE", s->workspace, 1), 0);
	assert_int_equal(setenv(AGENT_NAME, s->workspace, 1), 0);
	/* The loop starts it, and it is there before the real one is ready. */
	start_as(s, "agent-session", "agent-runner", NULL, NULL);
	assert_int_equal(unsetenv(AGENT_NAME), 0);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "ok       init       process %d, mode session\n", (int)s->init);
	/* Nor if the real one has no loop, or is stopped. */
	assert_int_equal(kill(s->init, SIGSTOP), 0);
	assert_int_equal(waitpid(s->init, NULL, WUNTRACED), s->init);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "failed   init       process %d is in state T\n", (int)s->init);
	assert_int_equal(unsetenv("AGENT_WORKSPACE"), 0);
}

/* Of those who do not say which workspace is theirs it is the one that has a loop. */
static void test_a_neighbour_without_a_loop(void **state)
{
	struct scene *s = *state, other = *s;

	assert_int_equal(setenv("AGENT_WORKSPACE", s->workspace, 1), 0);
	start_as(&other, NULL, "agent-runner", "sleep", "9");
	start_as(s, "agent-session", "agent-runner", NULL, NULL);
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	check_line(s, "ok       init       process %d, mode session\n", (int)s->init);
	stop(&other);
	assert_int_equal(unsetenv("AGENT_WORKSPACE"), 0);
}

/* Another workspace's processes are not ours. */
static void test_neighbours(void **state)
{
	struct scene *s = *state;
	char own[sizeof(s->workspace)];

	start(s, "agent-session", NULL);
	(void)strcpy(own, s->workspace);
	(void)strcpy(s->workspace, "/tmp");
	assert_int_equal(probe(s, false), EXIT_CODE_UNHEALTHY);
	(void)strcpy(s->workspace, own);
	check_line(s, "failed   init       there is no agent-runner process\n");
}

/*
 * Other sessions on this machine are no part of the test: it goes on in a process that sees only its
 * own ones. Where that is not allowed, they may be seen.
 */
static void become_alone(void)
{
	int flags = CLONE_NEWPID | CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER), status;
	pid_t pid;

	if (unshare(flags) < 0)
		return;
	pid = fork();
	if (pid > 0) {
		(void)waitpid(pid, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	if (pid < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0) {
		perror("a /proc of its own");
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_session_under_the_name_of_bun, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_loop_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive_has_no_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dependencies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_agent_of_a_keep_alive_container, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_command_has_no_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_request_has_no_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_workspace_that_cannot_be_used, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init_is_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neighbours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_decoy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_neighbour_without_a_loop, setup, teardown),
	};

	if (argc > 0 && (strcmp(argv[0], "agent-runner") == 0 || strcmp(argv[0], "bun") == 0))
		return play_init();
	become_alone();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
