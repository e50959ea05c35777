/* SPDX-License-Identifier: MIT */
#include "entrypoint/policy-print.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/capability.h>

#include "common/table.h"
#include "entrypoint/landlock.h"
#include "entrypoint/policy-calls.h"
#include "entrypoint/policy-files.h"
#include "entrypoint/policy.h"

struct policy_print_field {
	const char *key;
	const char *value;
	int width; /* in the text; the last field of a row needs none */
};

/* Where it goes, and how. */
struct policy_print_target {
	FILE *out;
	bool json;
	bool needs_comma;
};

static void policy_print_string(const struct policy_print_target *print, const char *text)
{
	(void)putc('"', print->out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			(void)putc('\\', print->out);
		(void)putc(*text, print->out);
	}
	(void)putc('"', print->out);
}

static void policy_print_row(struct policy_print_target *print, const char *indent,
			     const struct policy_print_field *fields, size_t count)
{
	if (!print->json) {
		(void)fputs(indent, print->out);
		for (size_t i = 0; i < count; i++)
			(void)fprintf(print->out, "%-*s%s", fields[i].width, fields[i].value,
				      i + 1 < count ? "  " : "\n");
		return;
	}
	(void)fputs(print->needs_comma ? ",{" : "{", print->out);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			(void)putc(',', print->out);
		policy_print_string(print, fields[i].key);
		(void)putc(':', print->out);
		policy_print_string(print, fields[i].value);
	}
	(void)putc('}', print->out);
	print->needs_comma = true;
}

/* A list of rows: a title in the text, a member in JSON. */
static void policy_print_open(struct policy_print_target *print, const char *title, const char *key)
{
	if (print->json)
		(void)fprintf(print->out, ",\"%s\":[", key);
	else
		(void)fprintf(print->out, "%s\n", title);
	print->needs_comma = false;
}

static void policy_print_close(struct policy_print_target *print)
{
	if (print->json)
		(void)putc(']', print->out);
	print->needs_comma = true;
}

static void policy_print_protections(struct policy_print_target *print, const struct policy *policy)
{
	policy_print_open(print, "  protections; AGENT_PROTECTION_<NAME> changes them",
			  "protections");
	for (int i = 0; i < POLICY_PROTECTION_COUNT; i++) {
		const struct policy_protection_row *row =
			policy_protection((enum policy_protection)i);
		const struct policy_print_field fields[] = {
			{ "name", row->name, 12 },
			{ "mode", policy_mode_name(policy->modes[i]), 8 },
			{ "why", row->help, 0 },
		};

		policy_print_row(print, "    ", fields, ARRAY_LEN(fields));
	}
	policy_print_close(print);
}

static void policy_print_limits(struct policy_print_target *print, enum policy_role role)
{
	const struct policy_limit *limits;
	size_t n;

	policy_print_open(print, "  limits", "limits");
	limits = policy_limits(&n);
	for (size_t i = 0; i < n; i++) {
		char value[32];
		const struct policy_print_field fields[] = {
			{ "name", limits[i].name, 12 },
			{ "value", value, 8 },
			{ "why", limits[i].why, 0 },
		};

		if (!(limits[i].roles & POLICY_ROLE_BIT(role)))
			continue;
		if (limits[i].most == RLIM_INFINITY)
			(void)snprintf(value, sizeof(value), "-%ju", (uintmax_t)limits[i].reserve);
		else
			(void)snprintf(value, sizeof(value), "<=%ju", (uintmax_t)limits[i].most);
		policy_print_row(print, "    ", fields, ARRAY_LEN(fields));
	}
	policy_print_close(print);
}

static const char *const policy_print_conditions[] = {
	[POLICY_WHEN_ALWAYS] = "",
	[POLICY_WHEN_READ_ALL] = " (unless --read)",
	[POLICY_WHEN_READ_NAMED] = " (with --read)",
	[POLICY_WHEN_NAMESPACES] = " (with --userns)",
	[POLICY_WHEN_NO_SESSION] = " (without a session)",
};
TABLE_COVERS(policy_print_conditions, POLICY_WHEN_COUNT);

static void policy_print_files(struct policy_print_target *print, enum policy_role role)
{
	const struct policy_file *files;
	size_t n;

	policy_print_open(print, "  files, where LANDLOCK is in force; what is not named is denied",
			  "files");
	files = policy_files(&n);
	for (size_t i = 0; i < n; i++) {
		static const char *const bases[] = {
			[POLICY_BASE_ROOT] = "",
			[POLICY_BASE_WORKSPACE] = "WORKSPACE/",
			[POLICY_BASE_VARIABLE] = "$",
			[POLICY_BASE_SELF] = "agent-runner",
			[POLICY_BASE_PROGRAM] = "PROGRAM/",
		};
		TABLE_COVERS(bases, POLICY_BASE_COUNT);
		char path[128];
		const struct policy_print_field fields[] = {
			{ "access", policy_access_name(files[i].access), 6 },
			{ "path", path, 32 },
			{ "why", files[i].why, 0 },
		};

		if (!(files[i].roles & POLICY_ROLE_BIT(role)))
			continue;
		(void)snprintf(path, sizeof(path), "%s%s%s%s", bases[files[i].base], files[i].name,
			       files[i].each ? "/*" : "", policy_print_conditions[files[i].when]);
		policy_print_row(print, "    ", fields, ARRAY_LEN(fields));
	}
	policy_print_close(print);
}

static void policy_print_hidden(struct policy_print_target *print, enum policy_role role)
{
	const char *const *hidden;
	size_t n;

	if (role != POLICY_ROLE_AGENT)
		return;
	policy_print_open(print, "  hidden, whatever else is said", "hidden");
	hidden = policy_hidden(&n);
	for (size_t i = 0; i < n; i++) {
		const struct policy_print_field fields[] = { { "path", hidden[i], 0 } };

		policy_print_row(print, "    WORKSPACE/", fields, ARRAY_LEN(fields));
	}
	policy_print_close(print);
}

static void policy_print_role(struct policy_print_target *print, enum policy_role role)
{
	const struct policy *policy = policy_of(role);

	if (print->json)
		(void)fprintf(print->out, "%s{\"name\":\"%s\"", role > 0 ? "," : "", policy->name);
	else
		(void)fprintf(print->out, "role %s: %s\n", policy->name, policy->help);
	policy_print_protections(print, policy);
	policy_print_limits(print, role);
	if (policy->modes[POLICY_PROTECTION_LANDLOCK] != POLICY_MODE_OFF) {
		policy_print_files(print, role);
		policy_print_hidden(print, role);
	}
	if (print->json)
		(void)putc('}', print->out);
}

static void policy_print_init_caps(struct policy_print_target *print)
{
	const struct policy_kept_cap *kept;
	size_t n;

	policy_print_open(print, "capabilities that PID 1 keeps if it was started as root",
			  "init_capabilities");
	kept = policy_init_caps(&n);
	for (size_t i = 0; i < n; i++) {
		char *name = cap_to_name((cap_value_t)kept[i].cap);
		const struct policy_print_field fields[] = {
			{ "name", name ? name : "?", 12 },
			{ "why", kept[i].why, 0 },
		};

		policy_print_row(print, "    ", fields, ARRAY_LEN(fields));
		if (name)
			(void)cap_free(name);
	}
	policy_print_close(print);
}

static const char *policy_print_answer(int answer)
{
	static const struct {
		int answer;
		const char *name;
	} names[] = {
		{ EPERM, "EPERM" }, { ENOSYS, "ENOSYS" }, { EAFNOSUPPORT, "EAFNOSUPPORT" },
		{ EBUSY, "EBUSY" }, { EACCES, "EACCES" }, { POLICY_MARKER_ERRNO, "a mark" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].answer == answer)
			return names[i].name;
	return strerror(answer);
}

static const char *const policy_print_groups[] = {
	[POLICY_GROUP_ALWAYS] = "",
	[POLICY_GROUP_NAMESPACES] = "unless --userns",
	[POLICY_GROUP_TRUNCATE] = "Landlock < 3",
	[POLICY_GROUP_LISTENER] = "where denied calls are told",
};
TABLE_COVERS(policy_print_groups, POLICY_GROUP_COUNT);

/* When a call is denied: its group, and what its arguments are. */
static void policy_print_condition(const struct policy_call *call, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "%s", policy_print_groups[call->group]);

	for (unsigned int i = 0; i < call->n_conditions && used < size; i++) {
		const struct policy_condition *c = &call->conditions[i];
		int n = snprintf(text + used, size - used, "%sarg%u & 0x%" PRIx64 " %s 0x%" PRIx64,
				 used > 0 ? ", " : "", c->argument, c->mask,
				 c->is_unequal ? "!=" : "==", c->value);

		used += n > 0 ? (size_t)n : 0;
	}
}

static void policy_print_calls(struct policy_print_target *print)
{
	const struct policy_call *calls;
	size_t n;

	policy_print_open(print, "system calls that SECCOMP denies to all roles", "denied_calls");
	calls = policy_calls(&n);
	for (size_t i = 0; i < n; i++) {
		char condition[160] = "";
		const struct policy_print_field fields[] = {
			{ "call", calls[i].name, 20 },
			{ "if", condition, 50 },
			{ "answer", policy_print_answer(calls[i].answer), 12 },
			{ "why", calls[i].why, 0 },
		};

		policy_print_condition(&calls[i], condition, sizeof(condition));
		policy_print_row(print, "    ", fields, ARRAY_LEN(fields));
	}
	policy_print_close(print);
}

static void policy_print_all(FILE *out, bool json)
{
	struct policy_print_target print = { .out = out, .json = json };
	int version = landlock_version();

	if (json)
		(void)fprintf(out, "{\"kernel\":{\"landlock\":%d},\"roles\":[", version);
	for (int i = 0; i < POLICY_ROLE_COUNT; i++)
		policy_print_role(&print, (enum policy_role)i);
	if (json)
		(void)putc(']', out);
	policy_print_init_caps(&print);
	policy_print_calls(&print);
	if (json)
		(void)fputs("}\n", out);
	else if (version > 0)
		(void)fprintf(out, "this kernel's Landlock: version %d\n", version);
	else
		(void)fputs("this kernel's Landlock: none\n", out);
}

void policy_print(FILE *out)
{
	policy_print_all(out, false);
}

void policy_print_json(FILE *out)
{
	policy_print_all(out, true);
}
