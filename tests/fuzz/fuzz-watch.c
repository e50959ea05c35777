/* SPDX-License-Identifier: MIT */
/* The header of inbound.db: store/watch. */
#include "runner/store/watch.h"

#include "tests/fuzz/fuzz.h"

/* https://www.sqlite.org/fileformat.html, "The Database Header" */
#define HEADER_SIZE    28
#define CHANGE_COUNTER 27

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file(data, size);
	enum watch_header header = watch_header(path);
	cleanup_free uint8_t *later = NULL;
	struct watch *watch;

	fuzz_must(header != WATCH_MISSING && (header == WATCH_EMPTY) == (size == 0));
	fuzz_must(size >= HEADER_SIZE || header == WATCH_EMPTY || header == WATCH_ALIEN);
	fuzz_must(header == WATCH_EMPTY || header == WATCH_ALIEN ||
		  memcmp(data, "SQLite format 3", 16) == 0);

	fuzz_must(watch_new(path, false, &watch, NULL) == 0);
	fuzz_must(watch_changed(watch));
	watch_mark(watch);
	/* What has no header yet may get one at any time. */
	fuzz_must(watch_changed(watch) == (size < HEADER_SIZE));
	if (size >= HEADER_SIZE) {
		later = malloc(size);
		fuzz_must(later);
		memcpy(later, data, size);
		later[CHANGE_COUNTER]++;
		(void)fuzz_file(later, size);
		fuzz_must(watch_changed(watch));
	}
	watch_unmark(watch);
	fuzz_must(watch_changed(watch));
	watch_free(watch);
	return 0;
}
