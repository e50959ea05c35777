/* SPDX-License-Identifier: MIT */
#include "runner/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runner/task/script.h"

/* A task that waits for its script, or whose script runs (the first of the list). */
struct gate_task {
	struct gate_task *next;
	struct inbound_row row;
};

struct gate {
	struct loop *loop;
	struct children *children;
	char *cwd;
	gate_fn *fn;
	void *userdata;
	struct loop_timer *timer; /* starts the next script from the loop */
	struct gate_task *tasks;
	struct script *script;
};

/* Takes the first task out of the list and hands its row on. */
static void gate_finish(struct gate *gate, bool wake, const json_t *data)
{
	struct gate_task *task = gate->tasks;
	struct inbound_row row = task->row;

	gate->tasks = task->next;
	free(task);
	if (gate->tasks)
		loop_timer_arm(gate->timer, 0);
	gate->fn(gate->userdata, &row, wake, data);
}

static void gate_on_script(void *userdata, const struct script_outcome *outcome)
{
	struct gate *gate = userdata;
	/* Freed after the row was handed on: data lives in it. */
	struct script *script = steal_ptr(gate->script);

	if (outcome->problem)
		log_warning("task %s: %s: the agent is not woken", gate->tasks->row.id,
			    outcome->problem);
	gate_finish(gate, outcome->wake, outcome->data);
	script_free(script);
}

/* Starts the script of the first task. 0 or -errno. */
static int gate_start(struct gate *gate, struct err *err)
{
	const struct inbound_row *row = &gate->tasks->row;
	struct script_spec spec = { .cwd = gate->cwd, .id = row->id };
	cleanup_free char *text = NULL;
	int r;

	r = script_text(row->content, row->content_len, &text);
	if (r == 0)
		return err_set(err, -EINVAL, "it has no script");
	if (r < 0)
		return err_sys(err, r, "cannot read its script");
	spec.text = text;
	return script_start(gate->loop, gate->children, &spec, gate_on_script, gate, &gate->script,
			    err);
}

static void gate_on_timer(void *userdata)
{
	struct gate *gate = userdata;
	struct err err;

	if (gate->script || !gate->tasks || gate_start(gate, &err) == 0)
		return;
	log_warning("task %s: %s: the agent is not woken", gate->tasks->row.id, err.text);
	gate_finish(gate, false, NULL);
}

int gate_new(struct loop *loop, struct children *children, const char *cwd, gate_fn *fn,
	     void *userdata, struct gate **ret_gate)
{
	struct gate *gate = calloc(1, sizeof(*gate));

	if (!gate)
		return -ENOMEM;
	gate->loop = loop;
	gate->children = children;
	gate->fn = fn;
	gate->userdata = userdata;
	gate->cwd = strdup(cwd);
	if (!gate->cwd || loop_timer_new(loop, gate_on_timer, gate, &gate->timer) < 0) {
		gate_free(gate);
		return -ENOMEM;
	}
	*ret_gate = gate;
	return 0;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	script_free(gate->script);
	while (gate->tasks) {
		struct gate_task *task = gate->tasks;

		gate->tasks = task->next;
		inbound_row_deinit(&task->row);
		free(task);
	}
	loop_timer_free(gate->timer);
	free(gate->cwd);
	free(gate);
}

int gate_add(struct gate *gate, struct inbound_row *row)
{
	struct gate_task *task = calloc(1, sizeof(*task)), **end = &gate->tasks;

	if (!task)
		return -ENOMEM;
	task->row = *row;
	*row = (struct inbound_row){ .seq = -1 };
	while (*end)
		end = &(*end)->next;
	*end = task;
	if (!gate->script)
		loop_timer_arm(gate->timer, 0);
	return 0;
}

bool gate_holds(const struct gate *gate, const char *id)
{
	for (const struct gate_task *task = gate->tasks; task; task = task->next)
		if (strcmp(task->row.id, id) == 0)
			return true;
	return false;
}

bool gate_is_busy(const struct gate *gate)
{
	return gate->tasks != NULL;
}
