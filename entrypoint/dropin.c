/* SPDX-License-Identifier: MIT */
#include "entrypoint/dropin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "common/log.h"
#include "common/table.h"

#define DROPIN_NAME	"bun"
#define DROPIN_VARIABLE "AGENT_REAL_BUN"

/*
 * "PID COUNT": this process has already become a bun, taken from the first COUNT folders of PATH. If
 * it is we again it was a copy of us, or a script that leads back, and the search goes on behind it.
 * A bun that is started by the real one is another process, and is not concerned.
 */
#define DROPIN_MARK "_AGENT_RUNNER_BUN"

static const struct {
	const char *script;
	enum cli_mode mode;
} dropin_scripts[] = {
	{ "/app/src/index.ts", CLI_SESSION },
	{ "/app/src/mcp-tools/index.ts", CLI_MCP },
	{ "/app/src/cli/ncl.ts", CLI_NCL },
	{ "/app/src/compact-instructions.ts", CLI_COMPACT_INSTRUCTIONS },
};

bool dropin_is_bun(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strcmp(slash ? slash + 1 : name, DROPIN_NAME) == 0;
}

enum cli_mode dropin_mode(int argc, char *const *argv, int *ret_index)
{
	int i = argc > 1 && strcmp(argv[1], "run") == 0 ? 2 : 1;

	for (size_t row = 0; i < argc && row < ARRAY_LEN(dropin_scripts); row++)
		if (strcmp(argv[i], dropin_scripts[row].script) == 0) {
			*ret_index = i + 1;
			return dropin_scripts[row].mode;
		}
	return CLI_MODES;
}

/* The real one */

/* Can it be executed, and is it not this very file under another name? */
static bool dropin_is_other(const char *path)
{
	struct stat st, self;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
		return false;
	return stat("/proc/self/exe", &self) < 0 || st.st_dev != self.st_dev ||
	       st.st_ino != self.st_ino;
}

/* How many folders of PATH are done with; -1: this process has not looked yet. */
static int dropin_done(void)
{
	const char *mark = getenv(DROPIN_MARK);
	int pid, count;

	if (!mark || sscanf(mark, "%d %d", &pid, &count) != 2 || pid != (int)getpid())
		return -1;
	return count;
}

static int dropin_become(const char *path, int done, char *const *argv)
{
	char mark[32];

	(void)snprintf(mark, sizeof(mark), "%d %d", (int)getpid(), done);
	(void)setenv(DROPIN_MARK, mark, 1);
	(void)execv(path, argv);
	log_error("bun: %s: cannot be executed: %s", path, strerror(errno));
	return EXIT_CODE_NOT_EXECUTABLE;
}

/* Writes the path of the next bun in PATH: how many folders are done with then; -1: none. */
static int dropin_search(int done, char path[PATH_MAX])
{
	const char *folder = getenv("PATH");

	for (int i = 1; folder && *folder; i++) {
		int len = (int)strcspn(folder, ":");

		/* Not from the current folder: anybody's file may lie there. */
		if (i > done && *folder == '/' &&
		    snprintf(path, PATH_MAX, "%.*s/" DROPIN_NAME, len, folder) < PATH_MAX &&
		    dropin_is_other(path))
			return i;
		folder += len;
		folder += *folder == ':';
	}
	return -1;
}

int dropin_exec(char *const *argv)
{
	const char *named = getenv(DROPIN_VARIABLE), *word = argv[0] ? argv[1] : NULL;
	int done = dropin_done();
	char path[PATH_MAX];

	if (named && *named && done < 0 && dropin_is_other(named))
		return dropin_become(named, 0, argv);
	if (named && *named) {
		log_error("bun: " DROPIN_VARIABLE "=%s: %s", named,
			  done < 0 ? "no program, or this one" : "leads back to this program");
		return EXIT_CODE_NOT_FOUND;
	}
	done = dropin_search(done, path);
	if (done > 0)
		return dropin_become(path, done, argv);
	log_error(
		"bun%s%s: agent-runner stands in for some scripts only, and there is no other bun "
		"in PATH; " DROPIN_VARIABLE " can name one",
		word ? " " : "", word ? word : "");
	return EXIT_CODE_NOT_FOUND;
}
