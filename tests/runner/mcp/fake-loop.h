#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * Plays the session loop for one client: a process that listens where clients look, takes one
 * connection, and does with it what the test says.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/fd.h"
#include "runner/io/rundir.h"
#include "tests/folder.h"
#include "tests/test.h"

struct fake_loop {
	struct folder folder;
	pid_t pid;
};

/* The first line of what comes, without its break; cut at size. */
static inline void fake_loop_read(int fd, char *line, size_t size)
{
	size_t len = 0;

	while (len < size - 1 && read(fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
}

static inline void fake_loop_say(int fd, const char *text)
{
	(void)fd_write_all(fd, text, strlen(text));
}

/* Until the client has hung up. */
static inline void fake_loop_wait(int fd)
{
	char byte;

	while (read(fd, &byte, 1) > 0)
		;
}

/* Whatever serve() returns is what fake_loop_stop() does. */
static inline void fake_loop_start(struct fake_loop *loop, int (*serve)(int fd))
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	folder_make(&loop->folder);
	(void)strcpy(address.sun_path, folder_file(&loop->folder, "socket"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(setenv(RUNDIR_SOCKET_VARIABLE, address.sun_path, 1), 0);
	loop->pid = fork();
	assert_true(loop->pid >= 0);
	if (loop->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_IGN);
		_exit(serve(accept(fd, NULL, NULL)));
	}
	close(fd);
}

static inline int fake_loop_stop(struct fake_loop *loop)
{
	int status = -1;

	assert_int_equal(waitpid(loop->pid, &status, 0), loop->pid);
	folder_remove(&loop->folder);
	unsetenv(RUNDIR_SOCKET_VARIABLE);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
