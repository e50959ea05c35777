/* SPDX-License-Identifier: MIT */
/*
 * Rows to prompt: message/content, command, overflow and format. A line of the input is a row: its
 * columns, separated by tabs, are kind, seq, id, timestamp, channel type, platform id, content; what
 * is missing is null. A line "output", a tab and JSON is what the script of the rows behind it said.
 */
#include "common/utf8.h"
#include "runner/io/json.h"
#include "runner/message/command.h"
#include "runner/message/format.h"
#include "tests/fuzz/fuzz.h"

#define ROWS_MAX 8

static const struct {
	const char *kind, *open, *close;
} tags[] = {
	{ "chat", "<message", "</message>" },
	{ "chat-sdk", "<message", "</message>" },
	{ "task", "<task", "</task>" },
	{ "webhook", "<webhook", "</webhook>" },
	{ "system", "<system_response", "</system_response>" },
};

struct world {
	struct inbound_row rows[ROWS_MAX];
	struct format_item items[ROWS_MAX];
	bool failed[ROWS_MAX];
	size_t count;
	json_t *output;
};

static char *column(struct fuzz_text *line)
{
	return line->len ? fuzz_dup(fuzz_cut(line, '\t')) : NULL;
}

static void read_row(struct world *world, struct fuzz_text line)
{
	struct inbound_row *row = &world->rows[world->count];
	cleanup_free char *kind = column(&line), *seq = NULL;

	if (kind && strcmp(kind, "output") == 0) {
		json_decref(world->output);
		world->output = NULL;
		(void)json_parse(line.data, line.len, &world->output, NULL);
		return;
	}
	seq = column(&line);
	*row = (struct inbound_row){
		.seq = seq ? atoi(seq) : -1,
		.wakes = true,
		.id = column(&line),
		.kind = steal_ptr(kind),
		.timestamp = column(&line),
		.channel_type = column(&line),
		.platform_id = column(&line),
		.content = fuzz_dup(line),
		.content_len = line.len,
	};
	if (!row->kind)
		row->kind = fuzz_dup((struct fuzz_text){ "", 0 });
	world->items[world->count++] = (struct format_item){ row, json_incref(world->output) };
}

static size_t count_of(const struct strbuf *text, const char *needle)
{
	size_t count = 0;

	for (const char *p = text->data; (p = strstr(p, needle)); p += strlen(needle))
		count++;
	return count;
}

/* Is the tag at p one that a prompt may have? Returns what stands behind its name, or NULL. */
static const char *tag_name_end(const char *p)
{
	static const char *const names[] = {
		"<context ",	    "<omitted ",	"<messages>",	    "</messages>",
		"<message ",	    "</message>",	"<task ",	    "</task>",
		"<webhook ",	    "</webhook>",	"<system_response", "</system_response>",
		"<quoted_message ", "</quoted_message>"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(p, names[i], strlen(names[i])) == 0)
			return p + strlen(names[i]) - 1;
	return NULL;
}

/*
 * No character of the input is mark-up: each < begins a tag of ours, in it quotes hold values, and
 * outside of it no > and no quote stands.
 */
static void check_markup(const char *p)
{
	while (*p) {
		bool in_value = false;

		if (*p == '&')
			fuzz_must(strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&lt;", 4) == 0 ||
				  strncmp(p, "&gt;", 4) == 0 || strncmp(p, "&quot;", 6) == 0);
		fuzz_must(*p != '>' && *p != '"');
		if (*p++ != '<')
			continue;
		p = tag_name_end(p - 1);
		fuzz_must(p);
		for (; in_value || *p != '>'; p++) {
			fuzz_must(*p && *p != '<' && *p != '>');
			if (*p == '"')
				in_value = !in_value;
		}
		p++;
	}
}

static void check_prompt(const struct world *world, const struct strbuf *prompt)
{
	size_t chats = 0, others[sizeof(tags) / sizeof(tags[0])] = { 0 };

	fuzz_must(strlen(prompt->data) == prompt->len);
	fuzz_must(utf8_is_valid(prompt->data, prompt->len));
	fuzz_must(prompt->len <= (world->count + 1) * FORMAT_ROW_MAX);
	check_markup(prompt->data);
	for (size_t i = 0; i < world->count; i++)
		for (size_t t = 0; t < sizeof(tags) / sizeof(tags[0]); t++)
			if (strcmp(world->rows[i].kind, tags[t].kind) == 0) {
				fuzz_must(!world->failed[i]);
				others[t]++;
				chats += t < 2;
			}
	/* "<messages>" is no "<message ". */
	fuzz_must(count_of(prompt, "<message ") == chats);
	fuzz_must(count_of(prompt, "</message>") == chats);
	fuzz_must(count_of(prompt, "<messages>") == (chats > 1));
	fuzz_must(count_of(prompt, "<quoted_message ") <= chats);
	for (size_t t = 2; t < sizeof(tags) / sizeof(tags[0]); t++) {
		fuzz_must(count_of(prompt, tags[t].open) == others[t]);
		fuzz_must(count_of(prompt, tags[t].close) == others[t]);
	}
}

static bool knows_all(void *userdata, const char *word)
{
	(void)userdata;
	fuzz_must(word[0] == '/' && word[1]);
	return true;
}

static void check_command(const struct inbound_row *row)
{
	cleanup_free char *text = NULL;
	enum command command;

	fuzz_must(command_classify(row, knows_all, NULL, &command, &text) == 0);
	fuzz_must(command == COMMAND_NONE || command_is_candidate(row));
	fuzz_must((command == COMMAND_AGENT) == (text != NULL));
	fuzz_must(!text || (text[0] == '/' && utf8_is_valid(text, strlen(text))));
}

/* Long rows became files. */
static void clean_workspace(void)
{
	char inbox[512];

	(void)snprintf(inbox, sizeof(inbox), "%s/inbox", fuzz_folder());
	if (access(inbox, F_OK) == 0)
		fuzz_remove(inbox);
}

static void render(struct world *world)
{
	static struct inbound_destination rows[] = {
		{ (char *)(uintptr_t) "c<a>s&a", NULL, false, (char *)(uintptr_t) "slack",
		  (char *)(uintptr_t) "C1" },
	};
	static const struct inbound_destinations destinations = { rows, 1 };
	const struct format_context context = {
		.destinations = &destinations,
		.timezone = "UTC",
		.workspace = fuzz_folder(),
		.passed_over = world->count % 2,
	};
	cleanup_strbuf struct strbuf prompt = STRBUF_EMPTY;

	fuzz_must(format_prompt(&context, world->items, world->count, world->failed, &prompt,
				NULL) == 0);
	check_prompt(world, &prompt);
	clean_workspace();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_text rest = { (const char *)data, size };
	struct world world = { .count = 0 };

	while (rest.len > 0 && world.count < ROWS_MAX)
		read_row(&world, fuzz_cut(&rest, '\n'));
	for (size_t i = 0; i < world.count; i++)
		check_command(&world.rows[i]);
	render(&world);
	for (size_t i = 0; i < world.count; i++) {
		json_decref((json_t *)(uintptr_t)world.items[i].script_output);
		inbound_row_deinit(&world.rows[i]);
	}
	json_decref(world.output);
	return 0;
}
