/* SPDX-License-Identifier: MIT */
#include "runner/provider/provider.h"

#include <errno.h>
#include <string.h>

#include "common/table.h"

static const char *const provider_error_names[] = {
	[PROVIDER_OK] = "ok",
	[PROVIDER_TRANSIENT] = "transient",
	[PROVIDER_AUTH] = "auth",
	[PROVIDER_QUOTA] = "quota",
	[PROVIDER_TOO_LONG] = "too_long",
	[PROVIDER_INVALID_SESSION] = "invalid_session",
	[PROVIDER_CRASHED] = "crashed",
	[PROVIDER_OUT_OF_MEMORY] = "out_of_memory",
	[PROVIDER_UNAVAILABLE] = "unavailable",
	[PROVIDER_OTHER] = "other",
};
TABLE_COVERS(provider_error_names, PROVIDER_ERROR_COUNT);

const char *provider_error_name(enum provider_error error)
{
	return (unsigned int)error < PROVIDER_ERROR_COUNT ? provider_error_names[error] : "other";
}

int provider_error_from_name(const char *name, enum provider_error *ret_error)
{
	for (unsigned int i = 0; i < PROVIDER_ERROR_COUNT; i++)
		if (strcmp(name, provider_error_names[i]) == 0) {
			*ret_error = (enum provider_error)i;
			return 0;
		}
	return -EINVAL;
}
