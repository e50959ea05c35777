#pragma once
/* SPDX-License-Identifier: MIT */
/* The rights of the calling process as /proc/self/status tells them (proc(5)): not as it asks itself. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct rights {
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	int no_new_privs, seccomp; /* seccomp 2: a filter */
};

/* False: a line of them is missing. */
static inline bool rights_read(struct rights *rights)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[4096];
	int found = 0;

	while (file && fgets(line, sizeof(line), file))
		found += sscanf(line, "CapInh: %" SCNx64, &rights->cap_inheritable) == 1 ||
			 sscanf(line, "CapPrm: %" SCNx64, &rights->cap_permitted) == 1 ||
			 sscanf(line, "CapEff: %" SCNx64, &rights->cap_effective) == 1 ||
			 sscanf(line, "CapBnd: %" SCNx64, &rights->cap_bounding) == 1 ||
			 sscanf(line, "CapAmb: %" SCNx64, &rights->cap_ambient) == 1 ||
			 sscanf(line, "NoNewPrivs: %d", &rights->no_new_privs) == 1 ||
			 sscanf(line, "Seccomp: %d", &rights->seccomp) == 1;
	if (file)
		(void)fclose(file);
	return found == 7;
}
