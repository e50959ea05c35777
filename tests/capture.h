#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * What the code under test writes to a standard stream, as a string: capture_start(), the call,
 * capture_stop(). Goes to a file in memory, so however much it is, nobody has to read meanwhile.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/test.h"

#define CAPTURE_MAX (256 * 1024)

struct capture {
	int stream; /* STDOUT_FILENO or STDERR_FILENO */
	int saved;
	int file;
	char text[CAPTURE_MAX];
};

static inline void capture_start(struct capture *capture, int stream)
{
	capture->stream = stream;
	capture->saved = dup(stream);
	capture->file = memfd_create("capture", MFD_CLOEXEC);
	assert_true(capture->saved >= 0 && capture->file >= 0);
	assert_int_equal(dup2(capture->file, stream), stream);
}

/* The text lives in capture. */
static inline const char *capture_stop(struct capture *capture)
{
	ssize_t n;

	assert_int_equal(dup2(capture->saved, capture->stream), capture->stream);
	n = pread(capture->file, capture->text, sizeof(capture->text) - 1, 0);
	close(capture->saved);
	close(capture->file);
	assert_true(n >= 0);
	capture->text[n] = '\0';
	return capture->text;
}
