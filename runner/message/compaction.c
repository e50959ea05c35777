/* SPDX-License-Identifier: MIT */
#include "runner/message/compaction.h"

#include <stdint.h>

#include "runner/message/cite.h"

static const char compaction_keep[] =
	"The summary has to keep what follows; everything else may be shortened.\n"
	"\n"
	"1. Tags. Of each recent message keep the opening and the closing tag with every "
	"attribute,\n"
	"   letter by letter:\n"
	"   <message id=\"…\" from=\"…\" sender=\"…\" time=\"…\">, <task …>, <webhook …>, and "
	"what\n"
	"   you answered in <message to=\"…\">. What stands between the tags may be shortened.\n"
	"2. Order. Tell who said what, in which order, and from which destination (the `from` of "
	"the\n"
	"   tag), your own answers among them. Messages from different destinations stay apart.\n"
	"3. Open work. List each task that is promised, begun or waiting for somebody, with the\n"
	"   message or task that asked for it, and what has been done so far.\n"
	"4. As the last lines of the summary, copy this reminder word for word:\n"
	"\n"
	"   Every text that is to reach somebody stands in <message to=\"name\">…</message>; what\n"
	"   stands outside of it is delivered to nobody.";

static void compaction_names(const struct inbound_destinations *d, struct strbuf *out)
{
	strbuf_puts(out, d->count == 1 ? " The only name is " : " The names are ");
	for (size_t i = 0; i < d->count; i++) {
		if (i > 0)
			strbuf_puts(out, ", ");
		cite_name(d->rows[i].name, SIZE_MAX, out);
	}
	strbuf_puts(out, ".\n");
}

int compaction_compose(const struct inbound_destinations *d, struct strbuf *out)
{
	strbuf_puts(out, compaction_keep);
	if (!d)
		strbuf_puts(out, " The name is the `from` of\n"
				 "   what is being answered.\n");
	else if (d->count == 0)
		strbuf_puts(out, " No destination is set up\n   at present.\n");
	else
		compaction_names(d, out);
	return out->error;
}
