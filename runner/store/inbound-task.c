/* SPDX-License-Identifier: MIT */
#include "runner/store/inbound-task.h"

#include <errno.h>
#include <stdlib.h>

#include "common/table.h"
#include "runner/store/inbound-look.h"

static void inbound_task_deinit(struct inbound_task *task)
{
	free(task->id);
	free(task->status);
	free(task->process_after);
	free(task->recurrence);
}

void inbound_tasks_deinit(struct inbound_tasks *tasks)
{
	for (size_t i = 0; i < tasks->count; i++)
		inbound_task_deinit(&tasks->rows[i]);
	free(tasks->rows);
	*tasks = (struct inbound_tasks){ .rows = NULL };
}

/*
 * SQLite's length() of a text reads all of it; opening it as a blob reads its size only. What cannot
 * be opened so is null or a number, or reading it will say what is wrong.
 */
static bool inbound_task_is_long(struct inbound *inbound, int64_t rowid)
{
	sqlite3_blob *content = NULL;
	bool is_long;

	if (sqlite3_blob_open(db_handle(inbound_db(inbound)), "main", "messages_in", "content",
			      rowid, 0, &content) != SQLITE_OK)
		return false;
	is_long = sqlite3_blob_bytes(content) > INBOUND_TASK_CONTENT_MAX;
	sqlite3_blob_close(content);
	return is_long;
}

static int inbound_add_task(struct inbound *inbound, struct inbound_tasks *tasks, sqlite3_stmt *s)
{
	struct inbound_task *rows = reallocarray(tasks->rows, tasks->count + 1, sizeof(*rows));
	struct inbound_task task = { .rowid = sqlite3_column_int64(s, 0) };
	char **const columns[] = { &task.id, &task.status, &task.process_after, &task.recurrence };

	if (!rows)
		return -ENOMEM;
	tasks->rows = rows;
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (db_column_dup(s, (int)i + 1, columns[i], NULL) < 0) {
			inbound_task_deinit(&task);
			return -ENOMEM;
		}
	task.is_long = inbound_task_is_long(inbound, task.rowid);
	tasks->total = sqlite3_column_int64(s, 5);
	rows[tasks->count++] = task;
	return 0;
}

int inbound_tasks(struct inbound *inbound, const char *status, size_t limit,
		  struct inbound_tasks *ret_tasks, struct err *err)
{
	struct inbound_tasks tasks = { .rows = NULL };
	sqlite3_stmt *s;
	int r = inbound_statement(inbound, INBOUND_SQL_TASKS, &s, err);

	if (r < 0)
		return r;
	db_bind_text(s, ":status", status);
	db_bind_int(s, ":limit", (int64_t)limit);
	while (r >= 0 && (r = db_step(inbound_db(inbound), s, err)) > 0)
		if (inbound_add_task(inbound, &tasks, s) < 0)
			r = err_sys(err, -ENOMEM, "cannot read tasks");
	sqlite3_reset(s);
	if (r < 0) {
		inbound_tasks_deinit(&tasks);
		return r;
	}
	*ret_tasks = tasks;
	return 0;
}
