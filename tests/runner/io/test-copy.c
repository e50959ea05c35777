/* SPDX-License-Identifier: MIT */
#include "runner/io/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "common/fd.h"
#include "tests/folder.h"

#define MIB (1024 * 1024)

struct world {
	struct folder folder;
	struct loop *loop;
	struct copy *copy;
	struct loop_timer *other; /* somebody else who wants a turn each round */
	int source;
	int target; /* the folder */
	char *bytes;
	size_t size;
	int chunks;
	int64_t told; /* bytes, at the last progress */
	int turns;    /* of the other */
	int result;
	struct err err;
	void (*at_first_chunk)(struct world *w);
};

static struct world world;

static int setup(void **state)
{
	struct world *w = &world;

	*w = (struct world){ .source = -1, .result = 1 };
	folder_make(&w->folder);
	folder_mkdir(&w->folder, "to");
	w->target = open(w->folder.file, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(w->target >= 0);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	copy_free(w->copy);
	loop_timer_free(w->other);
	loop_free(w->loop);
	close(w->source);
	close(w->target);
	free(w->bytes);
	folder_remove(&w->folder);
	return 0;
}

/* Bytes of which none follows from the one before. */
static void fill(struct world *w, size_t size)
{
	uint32_t x = 1;

	w->size = size;
	w->bytes = malloc(size + 1);
	assert_non_null(w->bytes);
	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		w->bytes[i] = (char)(x >> 24);
	}
}

static void make_source(struct world *w, size_t size)
{
	fill(w, size);
	w->source = open(folder_file(&w->folder, "from"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(w->source >= 0);
	assert_int_equal(fd_write_all(w->source, w->bytes, size), 0);
}

/* A file that lives elsewhere than the copy: the kernel does not copy it by itself. */
static void make_source_in_memory(struct world *w, size_t size)
{
	fill(w, size);
	w->source = memfd_create("from", MFD_CLOEXEC);
	assert_true(w->source >= 0);
	assert_int_equal(fd_write_all(w->source, w->bytes, size), 0);
}

static void on_done(void *userdata, int result, const struct err *err)
{
	struct world *w = userdata;

	assert_int_equal(w->result, 1);
	w->result = result;
	w->err = *err;
	loop_stop(w->loop, 0);
}

static void on_progress(void *userdata, int64_t bytes, int64_t total)
{
	struct world *w = userdata;

	assert_int_equal(total, w->size);
	assert_true(bytes > w->told && bytes - w->told <= COPY_CHUNK);
	w->told = bytes;
	if (++w->chunks == 1 && w->at_first_chunk)
		w->at_first_chunk(w);
}

static void on_other(void *userdata)
{
	struct world *w = userdata;

	w->turns++;
	loop_timer_arm(w->other, 0);
}

static void start(struct world *w, const char *name)
{
	const struct copy_job job = {
		.source = w->source, .folder = w->target, .name = name, .mode = 0644
	};
	const struct copy_events events = { .done = on_done, .progress = on_progress };
	struct err err = { "" };

	if (copy_start(w->loop, &job, &events, w, &w->copy, &err) < 0)
		fail_msg("%s", err.text);
}

static int run_copy(struct world *w)
{
	start(w, "copy");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	return w->result;
}

/* The names in the copy's folder, each with a blank behind it; of temporary ones the dot. */
static const char *names(struct world *w)
{
	static char text[256];
	struct dirent *entry;
	DIR *dir = opendir(folder_file(&w->folder, "to"));

	assert_non_null(dir);
	text[0] = '\0';
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s ",
				       entry->d_name[0] == '.' ? 1 : 32, entry->d_name);
	(void)closedir(dir);
	return text;
}

static void assert_copied(struct world *w)
{
	char *text;
	size_t len;

	if (run_copy(w) != 0)
		fail_msg("%s", w->err.text);
	assert_string_equal(w->err.text, "");
	assert_int_equal(w->told, w->size);
	assert_string_equal(names(w), "copy ");
	assert_int_equal(
		fd_read_file(folder_file(&w->folder, "to/copy"), w->size + 1, &text, &len, NULL),
		0);
	assert_int_equal(len, w->size);
	assert_memory_equal(text, w->bytes, len);
	free(text);
}

static void test_small(void **state)
{
	struct world *w = *state;
	struct stat st;

	make_source(w, 5);
	assert_copied(w);
	assert_int_equal(w->chunks, 1);
	assert_int_equal(stat(folder_file(&w->folder, "to/copy"), &st), 0);
	assert_int_equal(st.st_mode & 0755, 0644);
	/* Done is done: nothing is taken back. */
	copy_free(w->copy);
	w->copy = NULL;
	assert_string_equal(names(w), "copy ");
}

static void test_empty(void **state)
{
	struct world *w = *state;

	make_source(w, 0);
	assert_copied(w);
	assert_int_equal(w->chunks, 0);
}

/* Where the source's offset is does not matter, and others have their turn between the chunks. */
static void test_large(void **state)
{
	struct world *w = *state;

	make_source(w, 5 * MIB + 7);
	assert_int_equal(lseek(w->source, 77, SEEK_SET), 77);
	assert_int_equal(loop_timer_new(w->loop, on_other, w, &w->other), 0);
	loop_timer_arm(w->other, 0);
	assert_copied(w);
	assert_true(w->chunks >= 6);
	assert_true(w->turns >= w->chunks);
}

static void test_exactly_a_chunk(void **state)
{
	struct world *w = *state;

	make_source(w, MIB);
	assert_copied(w);
}

static void test_through_memory(void **state)
{
	struct world *w = *state;

	make_source_in_memory(w, 18 * MIB + 1);
	assert_int_equal(lseek(w->source, 0, SEEK_SET), 0);
	assert_copied(w);
	assert_true(w->chunks >= 19);
}

static void test_nobody_wants_progress(void **state)
{
	struct world *w = *state;
	const struct copy_events events = { .done = on_done };
	struct copy_job job = { .folder = w->target, .name = "copy", .mode = 0600 };

	make_source(w, 2 * MIB);
	job.source = w->source;
	assert_int_equal(copy_start(w->loop, &job, &events, w, &w->copy, NULL), 0);
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->result, 0);
}

static void test_replaces(void **state)
{
	struct world *w = *state;

	folder_write(&w->folder, "to/copy", "older");
	make_source(w, 9);
	assert_copied(w);
}

static void test_never_follows_a_link(void **state)
{
	struct world *w = *state;
	char *text;
	size_t len;

	folder_write(&w->folder, "elsewhere", "mine");
	assert_int_equal(symlink("../elsewhere", folder_file(&w->folder, "to/copy")), 0);
	make_source(w, 9);
	assert_copied(w);
	assert_int_equal(fd_read_file(folder_file(&w->folder, "elsewhere"), 64, &text, &len, NULL),
			 0);
	assert_string_equal(text, "mine");
	free(text);
}

static void grow(struct world *w)
{
	assert_int_equal(pwrite(w->source, "x", 1, (off_t)w->size), 1);
}

static void shrink(struct world *w)
{
	assert_int_equal(ftruncate(w->source, MIB + 1), 0);
}

static void touch(struct world *w)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000 } };

	assert_int_equal(futimens(w->source, times), 0);
}

static void test_changed_meanwhile(void **state)
{
	struct world *w = *state;

	make_source(w, 3 * MIB);
	w->at_first_chunk = grow;
	assert_int_equal(run_copy(w), -EBUSY);
	assert_string_equal(w->err.text, "the file changed while it was copied");
	assert_string_equal(names(w), "");
}

static void test_touched_meanwhile(void **state)
{
	struct world *w = *state;

	make_source(w, 3 * MIB);
	w->at_first_chunk = touch;
	assert_int_equal(run_copy(w), -EBUSY);
	assert_string_equal(names(w), "");
}

static void test_shortened_meanwhile(void **state)
{
	struct world *w = *state;

	make_source(w, 3 * MIB);
	w->at_first_chunk = shrink;
	assert_int_equal(run_copy(w), -EIO);
	assert_string_equal(w->err.text, "the file ended after 1048577 of 3145728 bytes");
	assert_string_equal(names(w), "");
	/* What failed is gone already. */
	copy_free(w->copy);
	w->copy = NULL;
	assert_string_equal(names(w), "");
}

/* The kernel's own files are regular and empty, and yet hold something. */
static void test_size_says_nothing(void **state)
{
	struct world *w = *state;

	w->source = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_true(w->source >= 0);
	assert_int_equal(run_copy(w), -EBUSY);
	assert_string_equal(w->err.text, "the file holds more than its size says");
	assert_string_equal(names(w), "");
}

static void cancel(struct world *w)
{
	assert_string_equal(names(w), ". ");
	copy_free(w->copy);
	w->copy = NULL;
	assert_string_equal(names(w), "");
	loop_stop(w->loop, 3);
}

static void test_cancel(void **state)
{
	struct world *w = *state;

	make_source(w, 3 * MIB);
	start(w, "copy");
	assert_string_equal(names(w), ". ");
	copy_free(w->copy);
	w->copy = NULL;
	assert_string_equal(names(w), "");
	w->at_first_chunk = cancel;
	start(w, "copy");
	assert_int_equal(loop_run(w->loop, NULL), 3);
	assert_int_equal(w->result, 1);
	copy_free(NULL);
}

/* A limit stands in for a disk that is full. */
static void assert_full(struct world *w, const char *text)
{
	struct rlimit before, limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ .rlim_cur = MIB + 77, .rlim_max = before.rlim_max };
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	(void)run_copy(w);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(w->result, -EFBIG);
	assert_string_equal(w->err.text, text);
	assert_string_equal(names(w), "");
}

static void test_no_room(void **state)
{
	struct world *w = *state;

	make_source(w, 3 * MIB);
	assert_full(w, "cannot copy: File too large");
}

static void test_no_room_through_memory(void **state)
{
	struct world *w = *state;

	make_source_in_memory(w, 3 * MIB);
	assert_full(w, "cannot write the copy: File too large");
}

static void test_folder_vanishes(void **state)
{
	struct world *w = *state;

	make_source(w, 9);
	start(w, "no/copy");
	assert_int_equal(loop_run(w->loop, NULL), 0);
	assert_int_equal(w->result, -ENOENT);
	assert_string_equal(w->err.text,
			    "cannot give the copy its name: No such file or directory");
	assert_string_equal(names(w), "");
}

static void test_cannot_start(void **state)
{
	struct world *w = *state;
	const struct copy_events events = { .done = on_done };
	struct copy_job job = {
		.source = w->target, .folder = w->target, .name = "copy", .mode = 0600
	};
	struct err err;

	assert_int_equal(copy_start(w->loop, &job, &events, w, &w->copy, &err), -EINVAL);
	assert_string_equal(err.text, "it is no regular file");
	make_source(w, 9);
	job.source = w->source;
	assert_int_equal(rmdir(folder_file(&w->folder, "to")), 0);
	assert_int_equal(copy_start(w->loop, &job, &events, w, &w->copy, &err), -ENOENT);
	assert_string_equal(err.text, "cannot make the copy: No such file or directory");
	job.source = -1;
	assert_int_equal(copy_start(w->loop, &job, &events, w, &w->copy, &err), -EBADF);
	assert_null(w->copy);
}

/* What a copy is called while it is under way. */
#define LEFT(digit) "to/.copy-000000000000000" digit

static void test_names_of_unfinished_copies(void **state)
{
	(void)state;
	assert_true(copy_is_temporary(".copy-0123456789abcdef"));
	assert_false(copy_is_temporary(".copy-0123456789abcde"));
	assert_false(copy_is_temporary(".copy-0123456789abcdef0"));
	assert_false(copy_is_temporary(".copy-0123456789abcdeg"));
	assert_false(copy_is_temporary("copy-0123456789abcdef"));
	assert_false(copy_is_temporary(".copy-"));
	assert_false(copy_is_temporary(""));
}

static void assert_there(struct world *w, const char *name, bool is_there)
{
	struct stat st;

	assert_int_equal(lstat(folder_file(&w->folder, name), &st) == 0, is_there);
}

static void test_sweep(void **state)
{
	struct world *w = *state;

	assert_int_equal(copy_sweep(w->target), 0);
	folder_write(&w->folder, LEFT("1"), "x");
	folder_write(&w->folder, LEFT("2"), "");
	folder_write(&w->folder, "to/.copy-of-a-letter", "x");
	folder_write(&w->folder, "to/a", "x");
	folder_mkdir(&w->folder, LEFT("3"));
	assert_int_equal(symlink("a", folder_file(&w->folder, LEFT("4"))), 0);
	assert_int_equal(mkfifo(folder_file(&w->folder, LEFT("5")), 0600), 0);
	assert_int_equal(copy_sweep(w->target), 2);
	assert_there(w, LEFT("1"), false);
	assert_there(w, LEFT("2"), false);
	assert_there(w, "to/.copy-of-a-letter", true);
	assert_there(w, "to/a", true);
	assert_there(w, LEFT("3"), true);
	assert_there(w, LEFT("4"), true);
	assert_there(w, LEFT("5"), true);
	assert_int_equal(copy_sweep(w->target), 0);
	assert_int_equal(copy_sweep(-1), 0);
}

static void sweep_meanwhile(struct world *w)
{
	folder_write(&w->folder, LEFT("1"), "x");
	assert_int_equal(copy_sweep(w->target), 1);
}

static void test_a_copy_under_way_is_not_swept(void **state)
{
	struct world *w = *state;

	make_source(w, 3 * MIB);
	w->at_first_chunk = sweep_meanwhile;
	assert_copied(w);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_small),
		CASE(test_empty),
		CASE(test_large),
		CASE(test_exactly_a_chunk),
		CASE(test_through_memory),
		CASE(test_nobody_wants_progress),
		CASE(test_replaces),
		CASE(test_never_follows_a_link),
		CASE(test_changed_meanwhile),
		CASE(test_touched_meanwhile),
		CASE(test_shortened_meanwhile),
		CASE(test_size_says_nothing),
		CASE(test_cancel),
		CASE(test_no_room),
		CASE(test_no_room_through_memory),
		CASE(test_folder_vanishes),
		CASE(test_cannot_start),
		CASE(test_names_of_unfinished_copies),
		CASE(test_sweep),
		CASE(test_a_copy_under_way_is_not_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
