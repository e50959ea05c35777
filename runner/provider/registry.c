/* SPDX-License-Identifier: MIT */
#include "runner/provider/registry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/table.h"
#include "runner/provider/claude.h"
#include "runner/provider/mock.h"

static const struct provider_type *const registry_types[] = {
	&claude_provider,
	&mock_provider,
};

const struct provider_type *registry_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(registry_types); i++)
		if (strcasecmp(name, registry_types[i]->name) == 0)
			return registry_types[i];
	return NULL;
}

const struct provider_type *registry_at(size_t i)
{
	return i < ARRAY_LEN(registry_types) ? registry_types[i] : NULL;
}

void registry_names(char *text, size_t size)
{
	size_t used = 0;

	if (size > 0)
		text[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(registry_types) && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
					 registry_types[i]->name);
}
