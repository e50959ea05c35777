/* SPDX-License-Identifier: MIT */
#include "runner/provider/transcript.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/strbuf.h"
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/io/ndjson.h"

/* A longer line holds a picture or a tool's output: nothing that was said. */
#define TRANSCRIPT_LINE_MAX (4 * 1024 * 1024)
/*
 * What a transcript is read of, and what is kept of it; the rest of a longer one is left out. The
 * agent can make it as long as it likes, and the loop does nothing else meanwhile.
 */
#define TRANSCRIPT_READ_MAX  (64 * 1024 * 1024)
#define TRANSCRIPT_SAID_MAX  (8 * 1024 * 1024)
#define TRANSCRIPT_INDEX_MAX (16 * 1024 * 1024)
/* Characters of one text, and of the summary in a file's name. */
#define TRANSCRIPT_TEXT_MAX 2000
#define TRANSCRIPT_SLUG_MAX 50

/* Finding */

/* An id is part of a path: nothing but what a UUID is made of. */
static bool transcript_is_id(const char *id)
{
	return *id && strspn(id, "0123456789abcdefABCDEF-") == strlen(id);
}

/* Opens a regular file that the agent may have replaced by anything. fd or -errno. */
static int transcript_open_file(int dir, const char *name)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* One with a second name may be anything that the agent could not read by its first one. */
	return S_ISREG(st.st_mode) && st.st_nlink == 1 ? steal_fd(&fd) : -EINVAL;
}

/*
 * The project folder that holds the conversation. How its name is made of the working folder's is
 * the CLI's business, so each is looked into. fd of the folder with *ret_file, or -ENOENT.
 */
static int transcript_find(const char *config_dir, const char *name, int *ret_file)
{
	cleanup_closedir DIR *projects = NULL;
	cleanup_free char *path = NULL;
	const struct dirent *entry;

	if (asprintf(&path, "%s/projects", config_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	projects = opendir(path);
	while (projects && (entry = readdir(projects))) {
		cleanup_close int dir = -1;

		if (entry->d_name[0] == '.')
			continue;
		dir = openat(dirfd(projects), entry->d_name,
			     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		*ret_file = dir < 0 ? -1 : transcript_open_file(dir, name);
		if (*ret_file >= 0)
			return steal_fd(&dir);
	}
	return -ENOENT;
}

/* The title: sessions-index.json beside the transcript may know one. Appends nothing otherwise. */
static void transcript_title(int dir, const char *conversation, struct strbuf *out)
{
	cleanup_close int fd = transcript_open_file(dir, "sessions-index.json");
	cleanup_free char *text = NULL;
	cleanup_json json_t *index = NULL;
	const json_t *entry;
	size_t len, i;

	if (fd < 0 || fd_read_all(fd, TRANSCRIPT_INDEX_MAX, &text, &len, NULL) < 0 ||
	    json_parse(text, len, &index, NULL) < 0)
		return;
	json_array_foreach(json_member(index, "entries"), i, entry)
	{
		const char *id = json_member_string(entry, "sessionId");
		const char *summary = json_member_string(entry, "summary");

		if (id && summary && strcmp(id, conversation) == 0) {
			strbuf_puts(out, summary);
			return;
		}
	}
}

/* Reading */

static void transcript_append_texts(struct strbuf *out, const json_t *content)
{
	const json_t *block;
	size_t i;

	if (json_is_string(content))
		strbuf_append(out, json_string_value(content), json_string_length(content));
	json_array_foreach(content, i, block)
	{
		const char *type = json_member_string(block, "type");
		const json_t *text = json_member(block, "text");

		if (type && strcmp(type, "text") == 0 && json_is_string(text))
			strbuf_append(out, json_string_value(text), json_string_length(text));
	}
}

/* Was this said to or by the agent itself? The CLI's own notes stand among the lines too. */
static bool transcript_is_said(const json_t *line, const struct strbuf *text)
{
	static const char *const flags[] = { "isMeta", "isSidechain", "isCompactSummary",
					     "isVisibleInTranscriptOnly", "isApiErrorMessage" };
	static const char *const notes[] = { "<command-name>", "<local-command-" };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (json_member_bool(line, flags[i], false))
			return false;
	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (text->len > 0 && strncmp(text->data, notes[i], strlen(notes[i])) == 0)
			return false;
	return text->len > 0;
}

/* The length in bytes of the first `limit` characters. */
static size_t transcript_cut(const struct strbuf *text, size_t limit)
{
	size_t at = 0;

	for (size_t n = 0; n < limit && at < text->len; n++) {
		size_t step = utf8_sequence(text->data + at, text->len - at);

		at += step > 0 ? step : 1;
	}
	return at;
}

static void transcript_append_line(struct strbuf *out, const char *line, size_t len,
				   const char *assistant)
{
	cleanup_json json_t *value = NULL;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;
	const char *type;
	bool is_user;
	size_t cut;

	/* Most lines are something else, and large: not worth parsing. */
	if ((!memmem(line, len, "\"user\"", 6) && !memmem(line, len, "\"assistant\"", 11)) ||
	    json_parse(line, len, &value, NULL) < 0)
		return;
	type = json_member_string(value, "type");
	is_user = type && strcmp(type, "user") == 0;
	if (!is_user && (!type || strcmp(type, "assistant") != 0))
		return;
	transcript_append_texts(&text, json_member(json_member(value, "message"), "content"));
	if (text.error || !transcript_is_said(value, &text))
		return;
	cut = transcript_cut(&text, TRANSCRIPT_TEXT_MAX);
	strbuf_printf(out, "**%s**: ", is_user ? "User" : assistant);
	strbuf_append(out, text.data, cut);
	strbuf_puts(out, cut < text.len ? "...\n\n" : "\n\n");
}

/* Appends all that was said. 0 or -errno. */
static int transcript_read(int file, const char *assistant, struct strbuf *out)
{
	struct ndjson reader;
	size_t total = 0, size, len;
	char *room, *line;
	ssize_t n = 1;
	int r = 0;

	ndjson_init(&reader, TRANSCRIPT_LINE_MAX);
	while (r == 0 && n > 0 && total < TRANSCRIPT_READ_MAX && out->len < TRANSCRIPT_SAID_MAX) {
		r = ndjson_room(&reader, &room, &size);
		if (r < 0)
			break;
		n = read(file, room, size);
		if (n < 0) {
			r = -errno;
			break;
		}
		total += (size_t)n;
		ndjson_filled(&reader, (size_t)n);
		while ((r = ndjson_next(&reader, &line, &len)) != 0)
			if (r > 0)
				transcript_append_line(out, line, len, assistant);
	}
	ndjson_deinit(&reader);
	return r < 0 ? r : out->error;
}

/* Writing */

/* "2026-02-04-fix-the-lights.md", or "2026-02-04-conversation-1330.md" without a title. */
static void transcript_name(const struct tm *now, const struct strbuf *title, struct strbuf *out)
{
	char slug[TRANSCRIPT_SLUG_MAX + 1], date[16], minute[8];
	size_t n = 0;

	for (size_t i = 0; i < title->len && n < TRANSCRIPT_SLUG_MAX; i++) {
		unsigned char c = (unsigned char)title->data[i];

		if (isascii(c) && isalnum(c))
			slug[n++] = (char)tolower(c);
		else if (n > 0 && slug[n - 1] != '-')
			slug[n++] = '-';
	}
	while (n > 0 && slug[n - 1] == '-')
		n--;
	slug[n] = '\0';
	(void)strftime(date, sizeof(date), "%Y-%m-%d", now);
	(void)strftime(minute, sizeof(minute), "%H%M", now);
	if (n > 0)
		strbuf_printf(out, "%s-%s.md", date, slug);
	else
		strbuf_printf(out, "%s-conversation-%s.md", date, minute);
}

static void transcript_head(const struct tm *now, const struct strbuf *title, struct strbuf *out)
{
	char day[32], time[32];

	(void)strftime(day, sizeof(day), "%b %-d", now);
	(void)strftime(time, sizeof(time), "%-I:%M %p", now);
	strbuf_printf(out, "# %s\n\nArchived: %s, %s\n\n---\n\n",
		      title->len > 0 ? title->data : "Conversation", day, time);
}

/* Writes the file beside its place and moves it there: a link that stands there is replaced. */
static int transcript_write(const char *folder, const char *name, const struct strbuf *text,
			    struct err *err)
{
	static const char fresh[] = ".archive.new";
	cleanup_close int dir = -1, fd = -1;
	int r = 0;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return err_sys(err, -errno, "cannot make %s", folder);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, -errno, "cannot open %s", folder);
	(void)unlinkat(dir, fresh, 0);
	fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : fd_write_all(fd, text->data, text->len);
	if (r == 0 && renameat(dir, fresh, dir, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, fresh, 0);
	return r < 0 ? err_sys(err, r, "cannot write %s/%s", folder, name) : 0;
}

int transcript_archive(const struct transcript *transcript, struct err *err)
{
	const char *assistant =
		transcript->assistant_name ? transcript->assistant_name : "Assistant";
	cleanup_strbuf struct strbuf title = STRBUF_EMPTY, name = STRBUF_EMPTY;
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY, said = STRBUF_EMPTY;
	time_t now = (time_t)(transcript->now_ms / 1000);
	cleanup_close int dir = -1, file = -1;
	struct tm local;
	int r;

	if (!transcript_is_id(transcript->conversation))
		return err_set(err, -EINVAL, "the conversation's id cannot be part of a path");
	strbuf_printf(&name, "%s.jsonl", transcript->conversation);
	dir = name.error ? name.error : transcript_find(transcript->config_dir, name.data, &file);
	if (dir < 0)
		return dir == -ENOENT ? 1 : err_sys(err, dir, "cannot look for the transcript");
	r = transcript_read(file, assistant, &said);
	if (r < 0)
		return err_sys(err, r, "cannot read the transcript %s", name.data);
	if (said.len == 0)
		return 1;
	transcript_title(dir, transcript->conversation, &title);
	if (!localtime_r(&now, &local))
		return err_set(err, -EOVERFLOW, "cannot tell the time");
	transcript_head(&local, &title, &text);
	strbuf_append(&text, said.data, said.len);
	strbuf_reset(&name);
	transcript_name(&local, &title, &name);
	if (text.error || name.error)
		return err_sys(err, -ENOMEM, "cannot archive the transcript");
	return transcript_write(transcript->archive_dir, name.data, &text, err);
}
