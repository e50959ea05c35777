#pragma once
/* SPDX-License-Identifier: MIT */
/*
 * The folder in the outbox that a row's file lies in, outbox/<id of the row>/, and what a file may
 * be called there. Nothing is made or removed anywhere else: no symbolic link is followed.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* The longest name in bytes that file systems know, and its NUL. */
#define FILE_OUTBOX_NAME_SIZE 256

/*
 * Copies a name that a file can have there; one that is too long is cut before its extension.
 * -EINVAL: it can have no such name, and err is a sentence for the model.
 */
int file_outbox_name(const char *given, char name[FILE_OUTBOX_NAME_SIZE], struct err *err);

struct file_outbox {
	int outbox;	/* the folder of all rows' folders */
	int folder;	/* this row's */
	const char *id; /* borrowed */
};

#define FILE_OUTBOX_NONE                   \
	(struct file_outbox)               \
	{                                  \
		.outbox = -1, .folder = -1 \
	}

/* Makes the folder, durably. -errno: it is not there. */
int file_outbox_make(const char *workspace, const char *id, struct file_outbox *ret_outbox,
		     struct err *err);

/* Takes it back with the file of this name, if it is there. */
void file_outbox_remove(const struct file_outbox *outbox, const char *name);

void file_outbox_close(struct file_outbox *outbox);

/* So many folders are looked at, in no order; the loop waits meanwhile. */
#define FILE_OUTBOX_SWEEP_MAX 1000

/* Which folders belong to a row. */
struct file_outbox_rows {
	int64_t before_ms; /* by the clock: the row of a later folder may be on its way */
	int (*has)(void *userdata, const char *id); /* 1, 0, or <0: it cannot be told */
	void *userdata;
};

/*
 * Removes from the outbox what copies have left there that a kill cut off, with their folders where
 * nothing else lies in them; what is under way stays (copy_sweep()). A kill between the copy and its
 * row leaves a folder without a row: it goes, too, if it bears an id of ours (rows NULL: it stays).
 * How many copies that were.
 */
size_t file_outbox_sweep(const char *workspace, const struct file_outbox_rows *rows);
