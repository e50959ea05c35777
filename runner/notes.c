/* SPDX-License-Identifier: MIT */
#include "runner/notes.h"

#include <stdlib.h>
#include <string.h>

void notes_deinit(struct notes *notes)
{
	strbuf_deinit(&notes->text);
	group_mark_deinit(&notes->mark);
}

void notes_add(struct notes *notes, const char *text, const struct outbound_state *mark)
{
	if (text) {
		strbuf_puts(&notes->text, text);
		if (strbuf_putc(&notes->text, '\n') < 0) {
			strbuf_reset(&notes->text);
			group_mark_deinit(&notes->mark);
			return;
		}
	}
	if (mark) {
		struct group_mark copy = { mark->key, strdup(mark->value) };

		/* Out of memory: the next container tells it again, which is better than never. */
		if (copy.value)
			group_mark_move(&notes->mark, &copy);
	}
}

void notes_give(struct notes *notes, struct group *group)
{
	group->note_len = notes->text.len;
	strbuf_reset(&notes->text);
	group_mark_move(&group->mark, &notes->mark);
}

void notes_untell(struct notes *untold, struct group *group)
{
	if (group->note_len == 0)
		return;
	strbuf_append(&untold->text, group->text, group->note_len);
	group_mark_move(&untold->mark, &group->mark);
}

void notes_put_back(struct notes *notes, struct notes *untold)
{
	struct strbuf newer = notes->text;

	if (untold->text.len > 0 && strbuf_append(&untold->text, newer.data, newer.len) == 0) {
		notes->text = untold->text;
		untold->text = newer;
		/* That of the newer ones stands for these, too. */
		if (!notes->mark.key)
			group_mark_move(&notes->mark, &untold->mark);
	}
	notes_deinit(untold);
}
