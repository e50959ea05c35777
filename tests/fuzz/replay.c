/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target once over each file of a folder, with any compiler: replay FOLDER. What was
 * found once is not to come back.
 */
#include <dirent.h>
#include <stdlib.h>

#include "common/fd.h"
#include "tests/fuzz/fuzz.h"

#define REPLAY_FILE_MAX (1024 * 1024)

static void replay_file(const char *folder, const char *name)
{
	cleanup_free char *path = NULL, *text = NULL;
	cleanup_free uint8_t *exact = NULL;
	struct err err;
	size_t len;

	fuzz_must(asprintf(&path, "%s/%s", folder, name) > 0);
	if (fd_read_file(path, REPLAY_FILE_MAX, &text, &len, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	/* Without the NUL behind it: a target is not to count on one. */
	exact = malloc(len ? len : 1);
	fuzz_must(exact);
	memcpy(exact, text, len);
	(void)LLVMFuzzerTestOneInput(exact, len);
}

static int replay_is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **entries = NULL;
	int count = argc == 2 ? scandir(argv[1], &entries, replay_is_input, alphasort) : -1;

	if (count < 0) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return EXIT_FAILURE;
	}
	for (int i = 0; i < count; i++) {
		/* Said before it runs: if this is the one that crashes, its name is known. */
		printf("%s\n", entries[i]->d_name);
		(void)fflush(stdout);
		replay_file(argv[1], entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	printf("%d inputs of %s\n", count, argv[1]);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
