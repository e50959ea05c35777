/* SPDX-License-Identifier: MIT */
#include "entrypoint/confine-words.h"

#include <stdint.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "common/table.h"

int confine_words_read(const char *const *words, struct cli *ret_cli, struct err *err)
{
	static const char *const first[] = { "agent-runner", "confine", "--role=agent" };
	static const char *const last[] = { "--", "true" };
	const char *argv[ARRAY_LEN(first) + CONFINE_WORDS_MAX + ARRAY_LEN(last) + 1];
	int argc = 0;

	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		argv[argc++] = first[i];
	for (; *words; words++) {
		if (argc == ARRAY_LEN(first) + CONFINE_WORDS_MAX)
			return err_set(err, EXIT_CODE_CONFIG, "the sandbox has too many words");
		argv[argc++] = *words;
	}
	for (size_t i = 0; i < ARRAY_LEN(last); i++)
		argv[argc++] = last[i];
	argv[argc] = NULL;
	/* A vector as main() gets it: the parser changes nothing in it. */
	if (cli_parse(argc, (char *const *)(uintptr_t)argv, STDIN_FILENO, ret_cli, err) < 0)
		return EXIT_CODE_CONFIG;
	/* It would point to a vector that is gone. */
	ret_cli->command = NULL;
	return 0;
}
