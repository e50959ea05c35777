/* SPDX-License-Identifier: MIT */
/* inbound.db as a file of anybody's making: store/inbound and what else reads from it. */
#include "runner/store/inbound.h"

#include <errno.h>
#include <fcntl.h>

#include "runner/store/inbound-batch.h"
#include "runner/store/inbound-lookup.h"
#include "runner/store/inbound-task.h"
#include "tests/fuzz/fuzz.h"

#define LIMIT 4

/* What the header says of failures. */
static int check(int r, const struct err *err)
{
	fuzz_must(r >= 0 || r == -EAGAIN || r == -EBADMSG || r == -ENOTSUP || r == -EIO ||
		  r == -ENOMEM);
	fuzz_must(r >= 0 || err->text[0]);
	return r;
}

static int is_acked(void *userdata, const char *id)
{
	(void)userdata;
	return id[0] == 'a';
}

static enum inbound_pick pick(void *userdata, struct inbound_row *row)
{
	(void)userdata;
	fuzz_must(row->id && row->kind && row->content);
	fuzz_must(strlen(row->content) == row->content_len && row->seq >= -1);
	return (enum inbound_pick)(row->content_len % 4);
}

static void read_batch(struct inbound *inbound)
{
	const struct inbound_choice choice = { .first_look = true,
					       .limit = LIMIT,
					       .is_acked = is_acked,
					       .is_begun = is_acked,
					       .pick = pick };
	struct inbound_batch batch;
	struct err err = { "" };

	if (check(inbound_batch_read(inbound, &choice, &batch, &err), &err) < 0)
		return;
	fuzz_must(batch.count <= LIMIT && batch.next_due_ms >= -1);
	inbound_batch_deinit(&batch);
}

static void read_addresses(struct inbound *inbound)
{
	struct inbound_destinations destinations;
	struct inbound_address address;
	struct inbound_row row;
	struct err err = { "" };

	if (check(inbound_destinations(inbound, &destinations, &err), &err) == 0) {
		for (size_t i = 0; i < destinations.count; i++)
			fuzz_must(destinations.rows[i].name && destinations.rows[i].display_name);
		inbound_destinations_deinit(&destinations);
	}
	if (check(inbound_session_address(inbound, &address, &err), &err) == 1)
		inbound_address_deinit(&address);
	if (check(inbound_newest_from(inbound, "slack", "C1", is_acked, NULL, &row, &err), &err) ==
	    1)
		inbound_row_deinit(&row);
}

static void read_others(struct inbound *inbound)
{
	struct inbound_failures failures;
	struct inbound_tasks tasks;
	struct inbound_address address;
	struct err err = { "" };
	int64_t seq;
	char *id;

	if (check(inbound_failures(inbound, 1, &failures, &err), &err) == 0)
		inbound_failures_deinit(&failures);
	if (check(inbound_tasks(inbound, NULL, LIMIT, &tasks, &err), &err) == 0) {
		fuzz_must(tasks.count <= LIMIT && tasks.total >= (int64_t)tasks.count);
		for (size_t i = 0; i < tasks.count; i++)
			fuzz_must(tasks.rows[i].id && tasks.rows[i].status);
		inbound_tasks_deinit(&tasks);
	}
	if (check(inbound_find(inbound, 2, &id, &address, &err), &err) == 1) {
		free(id);
		inbound_address_deinit(&address);
	}
	if (check(inbound_delivered_id(inbound, "out-1", &id, &err), &err) == 1)
		free(id);
	if (check(inbound_max_seq(inbound, &seq, &err), &err) == 0)
		fuzz_must(seq >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[512];
	static int fd = -1;
	struct inbound *inbound;
	struct err err = { "" };

	/* SQLite follows a link to a file that has no name to nowhere: it has to have one. */
	if (fd < 0) {
		(void)snprintf(path, sizeof(path), "%s/inbound.db", fuzz_folder());
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		fuzz_must(fd >= 0);
	}
	fuzz_quiet();
	fuzz_fill(fd, data, size);
	if (check(inbound_try(path, &inbound, &err), &err) < 0)
		return 0;
	read_batch(inbound);
	read_addresses(inbound);
	read_others(inbound);
	inbound_close(inbound);
	return 0;
}
