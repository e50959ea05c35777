/* SPDX-License-Identifier: MIT */
/* A conversation's transcript, which the agent can write: provider/transcript. The first line is
 * sessions-index.json. */
#include "runner/provider/transcript.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#define CONVERSATION "0a0a0a0a-0000-4000-8000-000000000001"
#define ARCHIVE_MAX  (1024 * 1024)

static char archive[512];
static int transcript_fd = -1, index_fd = -1;

static int make_file(const char *name)
{
	char path[1024];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/projects/p/%s", fuzz_folder(), name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fuzz_must(fd >= 0);
	return fd;
}

static void make_folders(void)
{
	static const char *const folders[] = { "projects", "projects/p" };
	char path[512];

	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), folders[i]);
		fuzz_must(mkdir(path, 0700) == 0);
	}
	(void)snprintf(archive, sizeof(archive), "%s/archive", fuzz_folder());
	transcript_fd = make_file(CONVERSATION ".jsonl");
	index_fd = make_file("sessions-index.json");
}

/* One Markdown file with a name of our form, of UTF-8; it is removed again. */
static void check_archive(void)
{
	cleanup_closedir DIR *folder = opendir(archive);
	const struct dirent *entry;
	size_t count = 0;

	fuzz_must(folder);
	while ((entry = readdir(folder))) {
		cleanup_free char *path = NULL, *text = NULL;
		size_t len = strlen(entry->d_name), text_len;

		if (entry->d_name[0] == '.' && len <= 2)
			continue;
		fuzz_must(strspn(entry->d_name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len);
		fuzz_must(len > 3 && strcmp(entry->d_name + len - 3, ".md") == 0);
		fuzz_must(asprintf(&path, "%s/%s", archive, entry->d_name) > 0);
		fuzz_must(fd_read_file(path, ARCHIVE_MAX, &text, &text_len, NULL) == 0);
		fuzz_must(utf8_is_valid(text, text_len));
		fuzz_must(unlink(path) == 0);
		count++;
	}
	fuzz_must(count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct transcript transcript = {
		.config_dir = fuzz_folder(),
		.conversation = CONVERSATION,
		.archive_dir = archive,
		.now_ms = 1770211800000,
	};
	struct fuzz_text rest = { (const char *)data, size }, index = fuzz_cut(&rest, '\n');
	struct err err = { "" };
	int r;

	if (transcript_fd < 0)
		make_folders();
	fuzz_fill(index_fd, index.data, index.len);
	fuzz_fill(transcript_fd, rest.data, rest.len);
	r = transcript_archive(&transcript, &err);
	fuzz_must(r == 0 || r == 1);
	if (r == 0)
		check_archive();
	return 0;
}
