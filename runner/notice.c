/* SPDX-License-Identifier: MIT */
#include "runner/notice.h"

#include <string.h>
#include <time.h>

#include "common/table.h"
#include "common/utf8.h"

#define NOTICE_DETAIL_MAX 400

static const char *const notice_texts[] = {
	[PROVIDER_OK] = "I have no answer.",
	[PROVIDER_TRANSIENT] = "I could not reach the AI service: it is overloaded or the network "
			       "is down. Please send your message again in a few minutes.",
	[PROVIDER_AUTH] = "I cannot log in to the AI service: its key or login is missing, wrong "
			  "or expired. Whoever runs me has to renew it.",
	[PROVIDER_QUOTA] = "The AI service's usage limit is reached, so I cannot answer now.",
	[PROVIDER_TOO_LONG] =
		"Our conversation and this message are together too long for me, even "
		"in a fresh session. Please send less at once.",
	[PROVIDER_INVALID_SESSION] = "I could not open our conversation. Please send your message "
				     "again.",
	[PROVIDER_CRASHED] = "My agent program broke off while it worked on your message. Please "
			     "try again, or ask in another way.",
	[PROVIDER_OUT_OF_MEMORY] =
		"My container ran out of memory, and the kernel ended my agent program. Please ask "
		"for less at once; whoever runs me can raise the limit.",
	[PROVIDER_UNAVAILABLE] = "I cannot work: my agent program is missing or does not start. "
				 "Whoever runs me has to repair it.",
	[PROVIDER_OTHER] = "Something went wrong while I worked on your message.",
};
TABLE_COVERS(notice_texts, PROVIDER_ERROR_COUNT);

const char notice_given_up[] =
	"I have begun to answer your message several times, and each time my work was broken off. "
	"I leave it now, so that I can go on with others. Please try again, or ask in another way.";

int notice_compose(enum provider_error error, const char *detail, int64_t retry_at_ms,
		   struct strbuf *out)
{
	size_t len = strlen(detail), cut = utf8_prefix(detail, len, NOTICE_DETAIL_MAX);
	time_t reset = (time_t)(retry_at_ms / 1000);
	struct tm local;
	char when[64];

	strbuf_puts(out, notice_texts[error]);
	if (retry_at_ms > 0 && localtime_r(&reset, &local) &&
	    strftime(when, sizeof(when), "%Y-%m-%d %H:%M %Z", &local) > 0)
		strbuf_printf(out, " The limit ends at %s.", when);
	if (cut == 0)
		return out->error;
	strbuf_puts(out, "\n\n(Error: ");
	strbuf_append(out, detail, cut);
	return strbuf_puts(out, cut < len ? "…)" : ")");
}

int notice_compose_silence(int64_t silent_ms, struct strbuf *out)
{
	long long seconds = (long long)(silent_ms / 1000), minutes = seconds / 60;

	strbuf_puts(out, "My agent program has given no sign of life for ");
	if (minutes > 0)
		strbuf_printf(out, "%lld minute%s", minutes, minutes == 1 ? "" : "s");
	else
		strbuf_printf(out, "%lld second%s", seconds, seconds == 1 ? "" : "s");
	return strbuf_puts(out, ". I stop what it does, and let it go on with your message.");
}
