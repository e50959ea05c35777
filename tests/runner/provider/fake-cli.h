#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * A Claude Code as rude as a test wants it: a shell script under AGENT_CLAUDE_PATH, in a folder of
 * its own that is also its working folder.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "tests/test.h"

struct fake_cli {
	char folder[64];
	char path[80];
};

static inline void fake_cli_make(struct fake_cli *cli, const char *script)
{
	FILE *file;

	strcpy(cli->folder, "/tmp/test-claude-XXXXXX");
	assert_non_null(mkdtemp(cli->folder));
	snprintf(cli->path, sizeof(cli->path), "%s/claude", cli->folder);
	file = fopen(cli->path, "we");
	assert_non_null(file);
	assert_true(fprintf(file, "#!/bin/sh\n%s\n", script) > 0);
	fclose(file);
	assert_int_equal(chmod(cli->path, 0755), 0);
	setenv("AGENT_CLAUDE_PATH", cli->path, 1);
}

/* What the script wrote to this file of its folder; the caller frees it. */
static inline char *fake_cli_read(const struct fake_cli *cli, const char *name)
{
	char path[128], *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", cli->folder, name);
	assert_int_equal(fd_read_file(path, 16 << 20, &text, &len, NULL), 0);
	return text;
}

static inline void fake_cli_remove(const struct fake_cli *cli)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", cli->folder);
	assert_int_equal(system(command), 0);
	unsetenv("AGENT_CLAUDE_PATH");
}
