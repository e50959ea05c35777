/* SPDX-License-Identifier: MIT */
#include "common/pages.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * A segment that was never writable is the file's as it is. Not so the constants that the start
 * sets (RELRO): they are read-only by now, but lie in a writable segment.
 */
static bool pages_is_of_file(const ElfW(Phdr) * segment)
{
	return segment->p_type == PT_LOAD && !(segment->p_flags & PF_W);
}

static int pages_release_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	const uintptr_t page = *(const uintptr_t *)userdata;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;
		uintptr_t end = start + segment->p_memsz;

		if (!pages_is_of_file(segment))
			continue;
		start &= ~(page - 1);
		end = (end + page - 1) & ~(page - 1);
		(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void pages_release(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)dl_iterate_phdr(pages_release_object, &page);
}
