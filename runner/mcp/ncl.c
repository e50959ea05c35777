/* SPDX-License-Identifier: MIT */
#include "runner/mcp/ncl.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/err.h"
#include "common/exit-code.h"
#include "common/fd.h"
#include "common/strbuf.h"
#include "runner/io/json.h"
#include "runner/mcp/client.h"
#include "runner/mcp/methods.h"
#include "runner/mcp/ncl-print.h"
#include "runner/mcp/ncl-words.h"

/* The loop gives the host 30 s, and then says so itself. */
#define NCL_TIMEOUT_MS 35000

static const char ncl_usage[] =
	"Usage: ncl COMMAND... [--KEY [VALUE]]... [--json]\n"
	"\n"
	"Has the host carry out a command and prints its answer, with --json the whole of it.\n"
	"`ncl help` asks the host which commands there are.\n";

/* Text that was composed: all of it, or a complaint. */
static int ncl_write(int fd, const struct strbuf *text, int code)
{
	int r = text->error ? text->error : fd_write_all(fd, text->data, text->len);
	struct err err;

	if (r == 0 || fd == STDERR_FILENO)
		return code;
	(void)err_sys(&err, r, "ncl: cannot write the answer");
	(void)dprintf(STDERR_FILENO, "%s\n", err.text);
	return EXIT_CODE_FAILED;
}

static int ncl_complain(const struct err *err, int code)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)ncl_print_complaint(err->text, &text);
	return ncl_write(STDERR_FILENO, &text, code);
}

static int ncl_help(void)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	(void)strbuf_puts(&text, ncl_usage);
	return ncl_write(STDOUT_FILENO, &text, EXIT_CODE_OK);
}

/* 0 with the host's frame; else an exit code, and err says why. */
static int ncl_ask(const char *workspace, const struct ncl_words *words, json_t **ret_frame,
		   struct err *err)
{
	cleanup_json json_t *params =
		json_pack("{s:s, s:O}", "command", words->command, "args", words->args);
	const struct client_request request = {
		.method = METHODS_NCL,
		.params = params,
		.timeout_ms = NCL_TIMEOUT_MS,
	};
	int64_t code = 0;
	int r;

	if (!params) {
		err_sys(err, -ENOMEM, "cannot ask");
		return EXIT_CODE_FAILED;
	}
	r = client_ask(workspace, &request, ret_frame, &code, err);
	if (r == -ETIMEDOUT || (r == CLIENT_REFUSED && code == METHODS_TIMED_OUT))
		return EXIT_CODE_NCL_USAGE;
	return r == 0 ? 0 : EXIT_CODE_FAILED;
}

static int ncl_print(const json_t *frame, bool json)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	int code = ncl_print_is_ok(frame) ? EXIT_CODE_OK : EXIT_CODE_FAILED;

	if (json)
		(void)ncl_print_frame(frame, &text);
	else if (code == EXIT_CODE_OK)
		(void)ncl_print_data(frame, &text);
	else
		(void)ncl_print_error(frame, &text);
	return ncl_write(json || code == EXIT_CODE_OK ? STDOUT_FILENO : STDERR_FILENO, &text, code);
}

int ncl_run(const char *workspace, char *const *words)
{
	CLEANUP(ncl_words_deinit) struct ncl_words parsed = { .command = NULL };
	cleanup_json json_t *frame = NULL;
	struct err err;
	int r = ncl_words_parse(words, &parsed, &err);

	if (r == NCL_WORDS_HELP)
		return ncl_help();
	if (r < 0)
		return ncl_complain(&err, EXIT_CODE_NCL_USAGE);
	r = ncl_ask(workspace, &parsed, &frame, &err);
	return r != 0 ? ncl_complain(&err, r) : ncl_print(frame, parsed.json);
}
