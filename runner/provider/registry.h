#pragma once
/* SPDX-License-Identifier: MIT */
/* The table of providers. */
#include <stddef.h>

#include "runner/provider/provider.h"

/* Finds a provider by name, ignoring case; NULL if there is none. */
const struct provider_type *registry_find(const char *name);

/* The one at this place of the table, from 0 on; NULL behind the last. */
const struct provider_type *registry_at(size_t i);

/* Writes the known names, separated by ", ", into text (cut if it does not fit). */
void registry_names(char *text, size_t size);
