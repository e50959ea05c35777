/* SPDX-License-Identifier: MIT */
#include "common/pages.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* So many are given back: three of each of a program's dozen libraries. */
#define PAGES_RANGES 48

struct pages_ranges {
	struct pages_range {
		uintptr_t start, end;
	} all[PAGES_RANGES];
	size_t count;
};

/*
 * A segment that was never writable is the file's as it is. Not so the constants that the start
 * sets (RELRO): they are read-only by now, but lie in a writable segment.
 */
static bool pages_is_of_file(const ElfW(Phdr) * segment)
{
	return segment->p_type == PT_LOAD && !(segment->p_flags & PF_W);
}

static int pages_add_object(struct dl_phdr_info *info, size_t size, void *userdata)
{
	struct pages_ranges *ranges = userdata;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum && ranges->count < PAGES_RANGES; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + segment->p_vaddr;

		if (pages_is_of_file(segment))
			ranges->all[ranges->count++] = (struct pages_range){
				.start = start,
				.end = start + segment->p_memsz,
			};
	}
	return 0;
}

void pages_release(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	struct pages_ranges ranges = { .count = 0 };

	/* All of them first: what the search for them runs through would be back with each release. */
	(void)dl_iterate_phdr(pages_add_object, &ranges);
	for (size_t i = 0; i < ranges.count; i++) {
		uintptr_t start = ranges.all[i].start & ~(page - 1);
		uintptr_t end = (ranges.all[i].end + page - 1) & ~(page - 1);

		(void)madvise((void *)start, end - start, MADV_DONTNEED);
	}
}
