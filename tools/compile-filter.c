/* SPDX-License-Identifier: MIT */
/*
 * Build-time program: turns policy_calls() into the rows of a BPF program, as a C header. Doing it
 * here saves every start 0.15 to 0.5 ms and the memory of libseccomp.
 *   compile-filter OUTPUT
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "entrypoint/policy.h"

CLEANUP_DEFINE(filter, scmp_filter_ctx, seccomp_release);
#define cleanup_filter CLEANUP(cleanup_filter_fn)

/* 0, 1: this architecture does not have the call, or -errno. */
static int add_call(scmp_filter_ctx filter, const struct policy_call *call)
{
	struct scmp_arg_cmp condition = {
		.arg = call->argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = call->mask,
		.datum_b = call->value,
	};
	int number = seccomp_syscall_resolve_name(call->name);

	if (number == __NR_SCMP_ERROR)
		number = call->number;
	/* 0 is a call everywhere (read or io_setup): no row of ours means it. */
	if (number == 0)
		return -ENOSYS;
	/* libseccomp's pseudo numbers: the call exists, but not here. */
	if (number < 0)
		return 1;
	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned int)call->answer), number,
				      call->has_condition ? 1 : 0, &condition);
}

static int build(scmp_filter_ctx filter)
{
	const struct policy_call *calls;
	size_t n;
	int r;

	/* A call of a foreign architecture (int 0x80, x32) would escape the numbers below. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r < 0)
		return r;
	/* A binary tree instead of a list: 6 comparisons a call instead of 70. */
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r < 0)
		return r;
	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		r = add_call(filter, &calls[i]);
		if (r < 0) {
			fprintf(stderr, "compile-filter: %s: %s\n", calls[i].name, strerror(-r));
			return r;
		}
	}
	return 0;
}

static int write_header(FILE *bpf, const char *path)
{
	cleanup_fclose FILE *out = fopen(path, "we");
	struct sock_filter row;

	if (!out)
		return -errno;
	fprintf(out,
		"#pragma once\n"
		"/* Made by tools/compile-filter from entrypoint/policy.c; change it there. */\n"
		"#include <linux/filter.h>\n\n"
		"static const struct sock_filter seccomp_filter[] = {\n");
	while (fread(&row, sizeof(row), 1, bpf) == 1)
		fprintf(out, "\t{ 0x%04x, %u, %u, 0x%08x },\n", row.code, row.jt, row.jf, row.k);
	fprintf(out, "};\n");
	return ferror(bpf) || fflush(out) != 0 ? -EIO : 0;
}

int main(int argc, char **argv)
{
	cleanup_filter scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	cleanup_fclose FILE *bpf = tmpfile();
	int r;

	if (argc != 2 || !filter || !bpf) {
		fprintf(stderr, "compile-filter: usage: compile-filter OUTPUT\n");
		return 1;
	}
	r = build(filter);
	if (r == 0)
		r = seccomp_export_bpf(filter, fileno(bpf));
	if (r == 0) {
		rewind(bpf);
		r = write_header(bpf, argv[1]);
	}
	if (r < 0)
		fprintf(stderr, "compile-filter: %s: %s\n", argv[1], strerror(-r));
	return r < 0 ? 1 : 0;
}
