/* SPDX-License-Identifier: MIT */
/*
 * Build-time program: turns policy_calls() into the rows of a BPF program, as a C header. Doing it
 * here saves every start 0.15 to 0.5 ms and the memory of libseccomp, of which only the tables of
 * names are used: its rules cannot name a call that it does not know on another architecture.
 *   compile-filter [--arch ARCH]... [--name NAME] OUTPUT
 * ARCH: as libseccomp calls it, of those with little-endian arguments; the first is this one's own,
 * "native", unless it is named. Calls of all others answer ENOSYS.
 *
 * An answer is an errno, with the row's group above it (SECCOMP_GROUP_SHIFT): what it becomes is
 * decided when the filter is installed. The kernel sees at once which calls are always allowed
 * (Linux 5.11), and does not run the program for them.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/policy-calls.h"
#include "entrypoint/seccomp.h"

#define ARCHES_MAX 3
#define CALLS_MAX  256

/* x32 shares the architecture with x86-64, and marks its numbers. */
#define X32_BIT 0x40000000u
/* What a tracer sets to skip a call. */
#define NO_CALL 0xffffffffu

/* How far behind a row may lie that is still led to: a jump's 255, less what is written before it. */
#define REACH 200

/* A row of the policy on one architecture. */
struct entry {
	uint32_t number;
	size_t order; /* rows of one call stay in the table's order */
	const struct policy_call *call;
};

/*
 * The program is made from its end to its start: where a row leads to is there already when the row
 * is written, and what ends alike can end in the same row. The kernel takes a third of a microsecond
 * for each row that it installs.
 */
struct compiler {
	struct sock_filter rows[SECCOMP_ROWS_MAX]; /* the last one first */
	size_t n_rows;
	bool is_full;
	struct entry entries[ARCHES_MAX][CALLS_MAX];
	size_t n_entries[ARCHES_MAX];
	uint32_t arches[ARCHES_MAX];
	size_t n_arches;
};

/* Emitting. A row is named by how many there are from it to the end, itself included. */

static size_t emit(struct compiler *c, unsigned int code, uint32_t k, size_t jt, size_t jf)
{
	if (c->n_rows == SECCOMP_ROWS_MAX || jt > UINT8_MAX || jf > UINT8_MAX) {
		c->is_full = true;
		return 0;
	}
	c->rows[c->n_rows++] = (struct sock_filter){
		.code = (uint16_t)code,
		.jt = (uint8_t)jt,
		.jf = (uint8_t)jf,
		.k = k,
	};
	return c->n_rows;
}

/* Goes to the row holds if the comparison does, else to fails. */
static size_t emit_jump(struct compiler *c, unsigned int code, uint32_t k, size_t holds,
			size_t fails)
{
	return emit(c, BPF_JMP | code | BPF_K, k, c->n_rows - holds, c->n_rows - fails);
}

static size_t emit_load(struct compiler *c, size_t offset)
{
	return emit(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* A row that returns the answer, one that is there already if the rows to come can reach it. */
static size_t emit_return(struct compiler *c, uint32_t answer)
{
	for (size_t row = c->n_rows; row > 0 && c->n_rows - row <= REACH; row--)
		if (c->rows[row - 1].code == (BPF_RET | BPF_K) && c->rows[row - 1].k == answer)
			return row;
	return emit(c, BPF_RET | BPF_K, answer, 0, 0);
}

static size_t emit_answer(struct compiler *c, const struct policy_call *call)
{
	return emit_return(c, SECCOMP_RET_ERRNO | (uint32_t)call->group << SECCOMP_GROUP_SHIFT |
				      (uint32_t)call->answer);
}

/* Is it a flag, set or not? */
static bool is_flag(uint32_t mask, uint32_t value)
{
	return mask != UINT32_MAX && (value == 0 || (value == mask && (mask & (mask - 1)) == 0));
}

/* The half of an argument, 0 the low one: goes to the row equal if it is, else to differs. */
static size_t emit_compare(struct compiler *c, const struct policy_condition *condition, int half,
			   size_t equal, size_t differs)
{
	const uint32_t mask = (uint32_t)(condition->mask >> (32 * half));
	const uint32_t value = (uint32_t)(condition->value >> (32 * half));

	if (is_flag(mask, value))
		emit_jump(c, BPF_JSET, mask, value ? equal : differs, value ? differs : equal);
	else
		emit_jump(c, BPF_JEQ, value, equal, differs);
	if (mask != UINT32_MAX && !is_flag(mask, value))
		emit(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	return emit_load(c, offsetof(struct seccomp_data, args) +
				    sizeof(uint64_t) * condition->argument +
				    sizeof(uint32_t) * (size_t)half);
}

static size_t emit_condition(struct compiler *c, const struct policy_condition *condition,
			     size_t holds, size_t fails)
{
	const size_t equal = condition->is_unequal ? fails : holds;
	const size_t differs = condition->is_unequal ? holds : fails;
	size_t next = equal;

	/* One half that differs is enough. */
	for (int half = 1; half >= 0; half--)
		if (condition->mask >> (32 * half) & UINT32_MAX)
			next = emit_compare(c, condition, half, next, differs);
	return next;
}

/* A row of the policy; fails: where it goes if not all of its conditions hold. */
static size_t emit_row(struct compiler *c, const struct policy_call *call, size_t fails)
{
	size_t next = emit_answer(c, call);

	for (size_t i = call->n_conditions; i > 0; i--)
		next = emit_condition(c, &call->conditions[i - 1], next, fails);
	return next;
}

/* All rows of one call, whose number was found. */
static size_t emit_call(struct compiler *c, const struct entry *entries, size_t n)
{
	size_t next = 0;

	/* Nothing is reached after a row without conditions. */
	for (size_t i = 0; i < n; i++)
		if (entries[i].call->n_conditions == 0)
			n = i + 1;
	if (entries[n - 1].call->n_conditions > 0)
		next = emit_return(c, SECCOMP_RET_ALLOW);
	for (size_t i = n; i > 0; i--)
		next = emit_row(c, entries[i - 1].call, next);
	return next;
}

static size_t count_same(const struct entry *entries, size_t n)
{
	size_t same = 1;

	while (same < n && entries[same].number == entries[0].number)
		same++;
	return same;
}

/* Is b the neighbour of a, and answered alike whatever the arguments are? */
static bool is_neighbour(const struct entry *a, const struct entry *b)
{
	return b->number == a->number + 1 && b->call->n_conditions == 0 &&
	       b->call->answer == a->call->answer && b->call->group == a->call->group;
}

/* How many entries are one leaf of the tree: all rows of a call, or neighbours answered alike. */
static size_t count_leaf(const struct entry *entries, size_t n)
{
	size_t leaf = count_same(entries, n);

	if (leaf > 1 || entries[0].call->n_conditions > 0)
		return leaf;
	while (leaf < n && is_neighbour(&entries[leaf - 1], &entries[leaf]) &&
	       count_same(entries + leaf, n - leaf) == 1)
		leaf++;
	return leaf;
}

/* from: no smaller number comes here. */
static size_t emit_leaf(struct compiler *c, const struct entry *entries, size_t n, uint32_t from)
{
	const uint32_t first = entries[0].number, last = entries[n - 1].number;
	const size_t allow = emit_return(c, SECCOMP_RET_ALLOW);
	const size_t call = emit_call(c, entries, n);
	size_t next;

	if (first == last)
		return emit_jump(c, BPF_JEQ, first, call, allow);
	next = emit_jump(c, BPF_JGE, last + 1, allow, call);
	return from == first ? next : emit_jump(c, BPF_JGE, first, next, allow);
}

/* A binary tree over the numbers: 7 comparisons a call, and not as many as there are rows. */
static size_t emit_tree(struct compiler *c, const struct entry *entries, size_t n, uint32_t from)
{
	size_t middle = count_leaf(entries, n), above, below;

	if (middle == n)
		return emit_leaf(c, entries, n, from);
	/* The two halves share no leaf. */
	for (size_t next = middle; next < n && next <= n / 2;) {
		middle = next;
		next += count_leaf(entries + next, n - next);
	}
	above = emit_tree(c, entries + middle, n - middle, entries[middle].number);
	below = emit_tree(c, entries, middle, from);
	return emit_jump(c, BPF_JGE, entries[middle].number, above, below);
}

static size_t emit_arch(struct compiler *c, size_t i)
{
	size_t next = emit_tree(c, c->entries[i], c->n_entries[i], 0);

	if (c->arches[i] == AUDIT_ARCH_X86_64) {
		const size_t absent = emit_return(c, SECCOMP_RET_ERRNO | ENOSYS);
		const size_t allow = emit_return(c, SECCOMP_RET_ALLOW);
		const size_t marked = emit_jump(c, BPF_JEQ, NO_CALL, allow, absent);

		emit_jump(c, BPF_JGE, X32_BIT, marked, next);
	}
	return emit_load(c, offsetof(struct seccomp_data, nr));
}

static void emit_program(struct compiler *c)
{
	size_t trees[ARCHES_MAX], next;

	for (size_t i = c->n_arches; i > 0; i--)
		trees[i - 1] = emit_arch(c, i - 1);
	/* Its numbers mean other calls. Not a kill: who tries is told like for any other call. */
	next = emit_return(c, SECCOMP_RET_ERRNO | ENOSYS);
	for (size_t i = c->n_arches; i > 0; i--) {
		/* The other trees may lie between: too far for a comparison. */
		const size_t jump =
			emit(c, BPF_JMP | BPF_JA, (uint32_t)(c->n_rows - trees[i - 1]), 0, 0);

		next = emit_jump(c, BPF_JEQ, c->arches[i - 1], jump, next);
	}
	emit_load(c, offsetof(struct seccomp_data, arch));
}

/* Collecting */

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* 0, or -EINVAL: has said why. */
static int add_arch(struct compiler *c, const char *name)
{
	const uint32_t token = strcmp(name, "native") == 0 ? seccomp_arch_native()
							   : seccomp_arch_resolve_name(name);
	const size_t arch = c->n_arches;
	const struct policy_call *calls;
	size_t n;

	if (token == 0 || arch == ARCHES_MAX || !(token & __AUDIT_ARCH_LE)) {
		fprintf(stderr, "compile-filter: --arch %s: unknown, big-endian or one too many\n",
			name);
		return -EINVAL;
	}
	c->arches[arch] = token;
	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		int number = seccomp_syscall_resolve_name_arch(token, calls[i].name);

		if (number == __NR_SCMP_ERROR)
			number = calls[i].number;
		/* 0 is a call everywhere (read, io_setup, …): no row of ours means it. */
		if (number == 0 || c->n_entries[arch] == CALLS_MAX) {
			fprintf(stderr, "compile-filter: %s: no such call, or one too many\n",
				calls[i].name);
			return -EINVAL;
		}
		/* libseccomp's pseudo numbers: the call exists, but not here. */
		if (number < 0)
			continue;
		c->entries[arch][c->n_entries[arch]++] = (struct entry){
			.number = (uint32_t)number,
			.order = i,
			.call = &calls[i],
		};
	}
	qsort(c->entries[arch], c->n_entries[arch], sizeof(c->entries[arch][0]), compare_entries);
	c->n_arches++;
	return 0;
}

/* Writing */

static void write_names(FILE *out, const struct compiler *c, const char *name)
{
	fprintf(out, "\nstatic const struct seccomp_name %s_names[] = {\n", name);
	for (size_t i = 0; i < c->n_arches; i++)
		for (size_t j = 0; j < c->n_entries[i]; j++)
			if (j == 0 || c->entries[i][j].number != c->entries[i][j - 1].number)
				fprintf(out, "\t{ 0x%08x, %u, \"%s\" },\n", c->arches[i],
					c->entries[i][j].number, c->entries[i][j].call->name);
	fprintf(out, "};\n");
}

static int write_header(const struct compiler *c, const char *name, const char *path)
{
	cleanup_fclose FILE *out = fopen(path, "we");

	if (!out)
		return -errno;
	fprintf(out,
		"#pragma once\n"
		"/* Made by tools/compile-filter from entrypoint/policy-calls.c; change it there. "
		"*/\n"
		"#include <linux/filter.h>\n\n"
		"#include \"entrypoint/seccomp.h\"\n\n"
		"static const struct sock_filter %s_filter[] = {\n",
		name);
	for (size_t i = c->n_rows; i > 0; i--)
		fprintf(out, "\t{ 0x%04x, %u, %u, 0x%08x },\n", c->rows[i - 1].code,
			c->rows[i - 1].jt, c->rows[i - 1].jf, c->rows[i - 1].k);
	fprintf(out, "};\n");
	write_names(out, c, name);
	return ferror(out) || fflush(out) != 0 ? -EIO : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "arch", required_argument, NULL, 'a' },
		{ "name", required_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	static struct compiler compiler;
	const char *name = "seccomp";
	int option, r;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'n')
			name = optarg;
		else if (option != 'a' || add_arch(&compiler, optarg) < 0)
			return 1;
	}
	if (compiler.n_arches == 0 && add_arch(&compiler, "native") < 0)
		return 1;
	if (optind + 1 != argc) {
		fprintf(stderr, "compile-filter: usage: compile-filter [--arch ARCH]... "
				"[--name NAME] OUTPUT\n");
		return 1;
	}
	emit_program(&compiler);
	if (compiler.is_full) {
		fprintf(stderr,
			"compile-filter: more than SECCOMP_ROWS_MAX rows, or a jump too far\n");
		return 1;
	}
	r = write_header(&compiler, name, argv[optind]);
	if (r < 0)
		fprintf(stderr, "compile-filter: %s: %s\n", argv[optind], strerror(-r));
	return r < 0 ? 1 : 0;
}
