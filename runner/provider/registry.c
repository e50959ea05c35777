/* SPDX-License-Identifier: MIT */
#include "runner/provider/registry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/table.h"
#include "runner/provider/acp-agents.h"
#include "runner/provider/claude.h"
#include "runner/provider/mock.h"

/* And behind them each row of acp-agents.c. */
static const struct provider_type *const registry_types[] = {
	&claude_provider,
	&mock_provider,
};

const struct provider_type *registry_at(size_t i)
{
	const struct acp_agent *agent;

	if (i < ARRAY_LEN(registry_types))
		return registry_types[i];
	agent = acp_agents_at(i - ARRAY_LEN(registry_types));
	return agent ? &agent->type : NULL;
}

const struct provider_type *registry_find(const char *name)
{
	const struct provider_type *type;

	for (size_t i = 0; (type = registry_at(i)); i++)
		if (strcasecmp(name, type->name) == 0)
			return type;
	return NULL;
}

void registry_names(char *text, size_t size)
{
	const struct provider_type *type;
	size_t used = 0;

	if (size > 0)
		text[0] = '\0';
	for (size_t i = 0; (type = registry_at(i)) && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
					 type->name);
}
