/* SPDX-License-Identifier: MIT */
/* Data only: what each tool is called, what a model is told of it, and who carries it out. */
#include "common/table.h"
#include "runner/mcp/tool-file.h"
#include "runner/mcp/tool-host.h"
#include "runner/mcp/tool-message.h"
#include "runner/mcp/tool-question.h"
#include "runner/mcp/tool-task.h"
#include "runner/mcp/tools.h"

#define FIELDS(list) .fields = (list), .field_count = ARRAY_LEN(list)

#define ABOUT_TO                                                                              \
	"Name of the destination, as your instructions list it. Default: the chat that this " \
	"session belongs to, or else your only destination."
#define ABOUT_TASK_ID "Id of the task, as schedule_task or list_tasks tells it."
static const struct schema_field send_message[] = {
	{ "text", SCHEMA_STRING, true, "What to say, in plain text or Markdown." },
	{ "to", SCHEMA_STRING, false, ABOUT_TO },
};

static const struct schema_field send_file[] = {
	{ "path", SCHEMA_STRING, true,
	  "The file: an absolute path, or one relative to /workspace/agent." },
	{ "to", SCHEMA_STRING, false, ABOUT_TO },
	{ "text", SCHEMA_STRING, false, "Words that go with the file. Default: none." },
	{ "filename", SCHEMA_STRING, false,
	  "Name that people see, without a folder. Default: the file's own." },
};

static const struct schema_field edit_message[] = {
	{ "messageId", SCHEMA_SEQ, true,
	  "Its id: the number that you were told when you sent it." },
	{ "text", SCHEMA_STRING, true, "The whole new text, not only what changes." },
};

static const struct schema_field add_reaction[] = {
	{ "messageId", SCHEMA_SEQ, true,
	  "Its id: the number in the `id` of the <message>, or the one that you were told when you "
	  "sent it." },
	{ "emoji", SCHEMA_STRING, true,
	  "Name of the emoji in lower case, with underscores and without colons: thumbs_up, heart, "
	  "check, eyes." },
};

static const struct schema_field ask_user_question[] = {
	{ "title", SCHEMA_STRING, true, "Heading of a few words: \"Delete the folder?\"" },
	{ "question", SCHEMA_STRING, true,
	  "The question, with all that one has to know to decide." },
	{ "options", SCHEMA_OPTIONS, true,
	  "The choices, in order, at most 25; few are best. Each is a string, or an object: label "
	  "is on the "
	  "button, selectedLabel is shown in its place once it was chosen, value is what you are "
	  "told. Both are the label by default." },
	{ "timeout", SCHEMA_SECONDS, false,
	  "How many seconds to wait for an answer. Default: 300." },
};

static const struct schema_field send_card[] = {
	{ "card", SCHEMA_OBJECT, true,
	  "{\"title\": \"…\", \"description\": \"…\", \"children\": [{\"text\": \"…\"}, …]}: the "
	  "body stands in children, a line each." },
	{ "fallbackText", SCHEMA_STRING, false,
	  "The same as plain text, for platforms that show no cards: better always given. Default: "
	  "none." },
};

static const struct schema_field schedule_task[] = {
	{ "prompt", SCHEMA_STRING, true,
	  "What you are to do then. Make it complete in itself: what you know now may be forgotten "
	  "by then." },
	{ "processAfter", SCHEMA_STRING, true,
	  "When, for the first time: an ISO 8601 date and time. With Z or an offset "
	  "(2026-03-01T08:00:00+01:00) it is that moment; without one (2026-03-01T08:00) it is the "
	  "clock in the user's time zone, the one that <context> names." },
	{ "recurrence", SCHEMA_STRING, false,
	  "For a task that repeats: a cron expression of five fields in the user's time zone, such "
	  "as \"0 9 * * 1-5\" for 9:00 from Monday to Friday. Default: it runs once." },
	{ "script", SCHEMA_STRING, false,
	  "Bash script that decides each time, before you are woken, whether there is anything to "
	  "do: the last line that it prints is JSON, {\"wakeAgent\": true, \"data\": …}; with "
	  "false "
	  "you are left alone. You are given data. It has 30 seconds. Default: you are always "
	  "woken." },
};

static const struct schema_field list_tasks[] = {
	{ "status", SCHEMA_STRING, false,
	  "Only tasks that are so: pending or paused. Default: both." },
};

static const struct schema_field one_task[] = {
	{ "taskId", SCHEMA_STRING, true, ABOUT_TASK_ID },
};

static const struct schema_field update_task[] = {
	{ "taskId", SCHEMA_STRING, true, ABOUT_TASK_ID },
	{ "prompt", SCHEMA_STRING, false, "What you are to do then." },
	{ "recurrence", SCHEMA_STRING, false,
	  "A cron expression as for schedule_task, or \"\": it runs once more only." },
	{ "processAfter", SCHEMA_STRING, false, "When it runs next, as for schedule_task." },
	{ "script", SCHEMA_STRING, false, "A script as for schedule_task, or \"\": none." },
};

static const struct schema_field create_agent[] = {
	{ "name", SCHEMA_STRING, true,
	  "Its name, short and on one line: the destination by which you write to it." },
	{ "instructions", SCHEMA_STRING, false,
	  "Who it is, what it is there for and how it works: becomes its CLAUDE.md. Default: "
	  "none." },
};

static const struct schema_field install_packages[] = {
	{ "apt", SCHEMA_STRINGS, false,
	  "Names of Debian packages, without versions or options. Default: none." },
	{ "npm", SCHEMA_STRINGS, false,
	  "Names of npm packages to be installed globally, without versions. Default: none." },
	{ "reason", SCHEMA_STRING, false,
	  "What they are needed for, in a sentence: the administrator decides by it. Default: "
	  "none." },
};

static const struct schema_field add_mcp_server[] = {
	{ "name", SCHEMA_STRING, true,
	  "Its name: letters, digits, _ and -. Its tools will be called mcp__<name>__<tool>." },
	{ "command", SCHEMA_STRING, true,
	  "Program that is the server, speaking MCP on its stdio." },
	{ "args", SCHEMA_STRINGS, false, "Its arguments, one by one. Default: none." },
	{ "env", SCHEMA_VARIABLES, false,
	  "Environment variables that it gets besides yours. Default: none." },
};

static const struct tools_row tools_rows[] = {
	{
		.name = "send_message",
		.title = "Send a message",
		.description =
			"Sends a message to a person, a group or another agent at once, while you "
			"go on working: to say that you have begun, how far you are, or what "
			"cannot wait. Not for your final answer: that goes into a <message "
			"to=\"…\"> block of your reply, which is delivered by itself, and need not "
			"repeat what was sent here. You are told the message's id.",
		FIELDS(send_message),
		.is_open_world = true,
		.run = tool_message_send,
	},
	{
		.name = "send_file",
		.title = "Send a file",
		.description =
			"Sends a copy of a file, as it is now, to a person, a group or another "
			"agent. Regular files only: pack a folder into an archive first. Text that "
			"is short enough to be read in a chat belongs into a message instead.",
		FIELDS(send_file),
		.is_open_world = true,
		.run = tool_file_send,
	},
	{
		.name = "edit_message",
		.title = "Edit a message",
		.description =
			"Replaces the text of a message that you sent, where its platform allows "
			"that: to correct it, or to keep one line about your progress current "
			"instead of sending many. People are not notified of it, so news of weight "
			"deserve a new message. What others wrote cannot be edited.",
		FIELDS(edit_message),
		.is_destructive = true,
		.is_idempotent = true,
		.is_open_world = true,
		.run = tool_message_edit,
	},
	{
		.name = "add_reaction",
		.title = "React to a message",
		.description =
			"Puts an emoji on a message: a light sign that you saw it, agree or are "
			"done, where words would only be noise. It does not answer a question.",
		FIELDS(add_reaction),
		.is_idempotent = true,
		.is_open_world = true,
		.run = tool_message_react,
	},
	{
		.name = "ask_user_question",
		.title = "Ask the user",
		.description = "Asks a question with buttons in this session's chat, waits until "
			       "somebody presses one, and answers with what was chosen. Use it for "
			       "a decision that you cannot go on without and that has few answers, "
			       "above all before you do what cannot be undone. It blocks you until "
			       "the answer or the timeout; an answer that comes later reaches you "
			       "as a note. A question with an open answer is better sent as a "
			       "message: end your turn, and the answer begins the next one.",
		FIELDS(ask_user_question),
		.is_open_world = true,
		.run = tool_question_ask,
	},
	{
		.name = "send_card",
		.title = "Show a card",
		.description = "Shows a card in this session's chat, a heading with lines below "
			       "it: for facts or a summary that read better so than as running "
			       "text. It has no buttons: for a choice use ask_user_question.",
		FIELDS(send_card),
		.is_open_world = true,
		.run = tool_message_card,
	},
	{
		.name = "schedule_task",
		.title = "Schedule a task",
		.description =
			"Has you woken later with a prompt, once or again and again: reminders, "
			"reports, checks. Use it instead of sleeping, polling or background jobs, "
			"which end with this container; a task does not. It comes to you as a "
			"<task>, to be answered as a message is. You are told its id.",
		FIELDS(schedule_task),
		.run = tool_task_schedule,
	},
	{
		.name = "list_tasks",
		.title = "List the tasks",
		.description = "Lists the tasks that are scheduled, a line each with id, status, "
			       "next time, recurrence and the beginning of the prompt. Look here "
			       "before you schedule what may be scheduled already, and for the id "
			       "of a task that is to be changed.",
		FIELDS(list_tasks),
		.is_read_only = true,
		.is_idempotent = true,
		.run = tool_task_list,
	},
	{
		.name = "cancel_task",
		.title = "Cancel a task",
		.description = "Removes a task for good, with all its repetitions. To stop it for "
			       "a while use pause_task, to change it update_task.",
		FIELDS(one_task),
		.is_destructive = true,
		.is_idempotent = true,
		.run = tool_task_cancel,
	},
	{
		.name = "pause_task",
		.title = "Pause a task",
		.description = "Keeps a task from running until resume_task.",
		FIELDS(one_task),
		.is_idempotent = true,
		.run = tool_task_pause,
	},
	{
		.name = "resume_task",
		.title = "Resume a task",
		.description = "Lets a task that was paused run again, from its next time on.",
		FIELDS(one_task),
		.is_idempotent = true,
		.run = tool_task_resume,
	},
	{
		.name = "update_task",
		.title = "Change a task",
		.description = "Changes what is given of a task; the rest of it stays as it is. "
			       "Better than to cancel it and schedule another one.",
		FIELDS(update_task),
		.is_destructive = true,
		.is_idempotent = true,
		.run = tool_task_update,
	},
	{
		.name = "create_agent",
		.title = "Create an agent",
		.description =
			"Asks the host for a further agent that stays, with a folder, a memory and "
			"conversations of its own. It becomes a destination of yours. For a field "
			"of work that goes on for long; a single piece of work is done sooner by "
			"yourself. The host may refuse; you are told when the agent is there.",
		FIELDS(create_agent),
		.run = tool_host_create_agent,
	},
	{
		.name = "install_packages",
		.title = "Install packages",
		.description =
			"Asks an administrator for apt or npm packages that your container is to "
			"have for good. With a yes it is built anew and restarted, which ends what "
			"is running in it. What is needed once is quicker installed into your own "
			"folder. You are told what was decided: do not wait for it.",
		FIELDS(install_packages),
		.is_open_world = true,
		.run = tool_host_install_packages,
	},
	{
		.name = "add_mcp_server",
		.title = "Add an MCP server",
		.description = "Asks an administrator for the tools of a further MCP server, to be "
			       "started in your container. Know its command for certain before you "
			       "ask. With a yes the container is restarted. You are told what was "
			       "decided: do not wait for it.",
		FIELDS(add_mcp_server),
		.is_open_world = true,
		.run = tool_host_add_mcp_server,
	},
};

const struct tools_row *tools_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(tools_rows);
	return tools_rows;
}
