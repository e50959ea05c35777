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

/* A row of the policy on one architecture. */
struct entry {
	uint32_t number;
	size_t order; /* rows of one call stay in the table's order */
	const struct policy_call *call;
};

struct compiler {
	struct sock_filter rows[SECCOMP_ROWS_MAX];
	size_t n_rows;
	bool is_full;
	struct entry entries[ARCHES_MAX][CALLS_MAX];
	size_t n_entries[ARCHES_MAX];
	uint32_t arches[ARCHES_MAX];
	size_t n_arches;
};

/* Emitting */

static size_t emit(struct compiler *c, unsigned int code, uint32_t k, size_t jt, size_t jf)
{
	if (c->n_rows == SECCOMP_ROWS_MAX || jt > UINT8_MAX || jf > UINT8_MAX) {
		c->is_full = true;
		return 0;
	}
	c->rows[c->n_rows] = (struct sock_filter){
		.code = (uint16_t)code,
		.jt = (uint8_t)jt,
		.jf = (uint8_t)jf,
		.k = k,
	};
	return c->n_rows++;
}

static void emit_load(struct compiler *c, size_t offset)
{
	emit(c, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct compiler *c, uint32_t answer)
{
	emit(c, BPF_RET | BPF_K, answer, 0, 0);
}

static void emit_answer(struct compiler *c, const struct policy_call *call)
{
	emit_return(c, SECCOMP_RET_ERRNO | (uint32_t)call->group << SECCOMP_GROUP_SHIFT |
			       (uint32_t)call->answer);
}

/* The jump forward that a row takes if its comparison holds, or does not: it leads to the next row. */
static void land(struct compiler *c, size_t row, bool holds)
{
	const size_t distance = c->n_rows - row - 1;

	if (distance > UINT8_MAX)
		c->is_full = true;
	else if (holds)
		c->rows[row].jt = (uint8_t)distance;
	else
		c->rows[row].jf = (uint8_t)distance;
}

/*
 * The half of an argument, 0 the low one: goes on in the next row if it is equal. Returned is the
 * row that jumps otherwise, to where is not known yet.
 */
static size_t emit_compare(struct compiler *c, const struct policy_condition *condition, int half)
{
	const uint32_t mask = (uint32_t)(condition->mask >> (32 * half));

	emit_load(c, offsetof(struct seccomp_data, args) + sizeof(uint64_t) * condition->argument +
			     sizeof(uint32_t) * (size_t)half);
	if (mask != UINT32_MAX)
		emit(c, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	return emit(c, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(condition->value >> (32 * half)), 0,
		    0);
}

/* A comparison that sends those elsewhere for whom a row does not hold. */
struct miss {
	size_t row;
	bool holds;
};

/* Goes on in the next row if the condition holds; otherwise it is a miss. */
static void emit_condition(struct compiler *c, const struct policy_condition *condition,
			   struct miss *misses, size_t *n_misses)
{
	size_t compared[2], n = 0;

	for (int half = 0; half < 2; half++)
		if (condition->mask >> (32 * half) & UINT32_MAX)
			compared[n++] = emit_compare(c, condition, half);
	if (!condition->is_unequal) {
		for (size_t i = 0; i < n; i++)
			misses[(*n_misses)++] = (struct miss){ compared[i], false };
		return;
	}
	/* One half that differs is enough; if the last one is equal, all are. */
	misses[(*n_misses)++] = (struct miss){ compared[n - 1], true };
	for (size_t i = 0; i + 1 < n; i++)
		land(c, compared[i], false);
}

static void emit_row(struct compiler *c, const struct policy_call *call)
{
	struct miss misses[POLICY_CONDITIONS_MAX * 2];
	size_t n = 0;

	for (size_t i = 0; i < call->n_conditions; i++)
		emit_condition(c, &call->conditions[i], misses, &n);
	emit_answer(c, call);
	for (size_t i = 0; i < n; i++)
		land(c, misses[i].row, misses[i].holds);
}

/* All rows of one call, whose number was found. */
static void emit_call(struct compiler *c, const struct entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		emit_row(c, entries[i].call);
		/* Nothing that follows is ever reached. */
		if (entries[i].call->n_conditions == 0)
			return;
	}
	emit_return(c, SECCOMP_RET_ALLOW);
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

static void emit_leaf(struct compiler *c, const struct entry *entries, size_t n)
{
	const uint32_t first = entries[0].number, last = entries[n - 1].number;

	if (first == last) {
		emit(c, BPF_JMP | BPF_JEQ | BPF_K, first, 1, 0);
	} else {
		emit(c, BPF_JMP | BPF_JGE | BPF_K, first, 0, 1);
		emit(c, BPF_JMP | BPF_JGE | BPF_K, last + 1, 0, 1);
	}
	emit_return(c, SECCOMP_RET_ALLOW);
	emit_call(c, entries, n);
}

/* A binary tree over the numbers: 7 comparisons a call, and not as many as there are rows. */
static void emit_tree(struct compiler *c, const struct entry *entries, size_t n)
{
	size_t middle = count_leaf(entries, n), jump;

	if (middle == n) {
		emit_leaf(c, entries, n);
		return;
	}
	/* The two halves share no leaf. */
	for (size_t next = middle; next < n && next <= n / 2;) {
		middle = next;
		next += count_leaf(entries + next, n - next);
	}
	jump = emit(c, BPF_JMP | BPF_JGE | BPF_K, entries[middle].number, 0, 0);
	emit_tree(c, entries, middle);
	land(c, jump, true);
	emit_tree(c, entries + middle, n - middle);
}

static void emit_arch(struct compiler *c, size_t i)
{
	emit_load(c, offsetof(struct seccomp_data, nr));
	if (c->arches[i] == AUDIT_ARCH_X86_64) {
		emit(c, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 3);
		emit(c, BPF_JMP | BPF_JEQ | BPF_K, NO_CALL, 0, 1);
		emit_return(c, SECCOMP_RET_ALLOW);
		emit_return(c, SECCOMP_RET_ERRNO | ENOSYS);
	}
	emit_tree(c, c->entries[i], c->n_entries[i]);
}

static void emit_program(struct compiler *c)
{
	size_t jumps[ARCHES_MAX];

	emit_load(c, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < c->n_arches; i++) {
		emit(c, BPF_JMP | BPF_JEQ | BPF_K, c->arches[i], 0, 1);
		jumps[i] = emit(c, BPF_JMP | BPF_JA, 0, 0, 0);
	}
	/* Its numbers mean other calls. Not a kill: who tries is told like for any other call. */
	emit_return(c, SECCOMP_RET_ERRNO | ENOSYS);
	for (size_t i = 0; i < c->n_arches && !c->is_full; i++) {
		c->rows[jumps[i]].k = (uint32_t)(c->n_rows - jumps[i] - 1);
		emit_arch(c, i);
	}
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
	for (size_t i = 0; i < c->n_rows; i++)
		fprintf(out, "\t{ 0x%04x, %u, %u, 0x%08x },\n", c->rows[i].code, c->rows[i].jt,
			c->rows[i].jf, c->rows[i].k);
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
