/* SPDX-License-Identifier: MIT */
#include "entrypoint/identity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fd.h"
#include "common/number.h"

/* passwd(5): name:password:uid:gid:gecos:home:shell; group(5): name:password:gid:members */
enum identity_passwd_field {
	IDENTITY_PASSWD_NAME = 0,
	IDENTITY_PASSWD_UID = 2,
	IDENTITY_PASSWD_GID = 3,
	IDENTITY_PASSWD_HOME = 5,
	IDENTITY_PASSWD_FIELDS = 7,
};

enum identity_group_field {
	IDENTITY_GROUP_NAME = 0,
	IDENTITY_GROUP_GID = 2,
	IDENTITY_GROUP_MEMBERS = 3,
	IDENTITY_GROUP_FIELDS = 4,
};

/* Cuts the line at its colons; a line with fewer or more fields than n is malformed. */
static bool identity_split(char *line, char **fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fields[i] = strsep(&line, ":");
		if (!fields[i])
			return false;
	}
	return line == NULL;
}

static bool identity_number(const char *text, unsigned int *ret_number)
{
	int64_t value;

	/* (uid_t)-1 means "leave it" to setresuid(2): it is nobody's. */
	if (number_parse_int(text, 0, UINT32_MAX - 1, &value) < 0)
		return false;
	*ret_number = (unsigned int)value;
	return true;
}

/* name NULL: the entry with this uid. */
static int identity_find(const char *passwd, const char *name, uid_t uid, struct identity *ret,
			 struct err *err)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	size_t len;
	int r;

	r = fd_read_file(passwd, IDENTITY_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;) {
		char *fields[IDENTITY_PASSWD_FIELDS];
		struct identity found;

		if (!identity_split(line, fields, IDENTITY_PASSWD_FIELDS) ||
		    !identity_number(fields[IDENTITY_PASSWD_UID], &found.uid) ||
		    !identity_number(fields[IDENTITY_PASSWD_GID], &found.gid))
			continue;
		if (name ? strcmp(fields[IDENTITY_PASSWD_NAME], name) != 0 : found.uid != uid)
			continue;
		if (strlen(fields[IDENTITY_PASSWD_NAME]) >= sizeof(found.name) ||
		    strlen(fields[IDENTITY_PASSWD_HOME]) >= sizeof(found.home))
			continue;
		strcpy(found.name, fields[IDENTITY_PASSWD_NAME]);
		strcpy(found.home, fields[IDENTITY_PASSWD_HOME]);
		*ret = found;
		return 0;
	}
	if (name)
		return err_set(err, -ENOENT, "%s has no user \"%s\"", passwd, name);
	return err_set(err, -ENOENT, "%s has no user %u", passwd, uid);
}

int identity_by_name(const char *passwd, const char *name, struct identity *ret, struct err *err)
{
	return identity_find(passwd, name, 0, ret, err);
}

int identity_by_uid(const char *passwd, uid_t uid, struct identity *ret, struct err *err)
{
	return identity_find(passwd, NULL, uid, ret, err);
}

int identity_group(const char *group, const char *name, gid_t *ret_gid, struct err *err)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	size_t len;
	int r;

	r = fd_read_file(group, IDENTITY_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r;
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;) {
		char *fields[IDENTITY_GROUP_FIELDS];

		if (identity_split(line, fields, IDENTITY_GROUP_FIELDS) &&
		    strcmp(fields[IDENTITY_GROUP_NAME], name) == 0 &&
		    identity_number(fields[IDENTITY_GROUP_GID], ret_gid))
			return 0;
	}
	return err_set(err, -ENOENT, "%s has no group \"%s\"", group, name);
}

static bool identity_is_member(char *members, const char *name)
{
	char *member;

	while ((member = strsep(&members, ",")) != NULL)
		if (strcmp(member, name) == 0)
			return true;
	return false;
}

int identity_groups(const char *group, const char *name, gid_t primary, gid_t *ret_groups,
		    size_t max, size_t *ret_count, struct err *err)
{
	cleanup_free char *text = NULL;
	size_t len, count = 0;
	char *rest, *line;
	int r;

	*ret_count = 0;
	r = fd_read_file(group, IDENTITY_FILE_MAX, &text, &len, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (rest = text; (line = strsep(&rest, "\n")) != NULL;) {
		char *fields[IDENTITY_GROUP_FIELDS];
		gid_t gid;

		if (!identity_split(line, fields, IDENTITY_GROUP_FIELDS) ||
		    !identity_number(fields[IDENTITY_GROUP_GID], &gid) || gid == primary ||
		    !identity_is_member(fields[IDENTITY_GROUP_MEMBERS], name))
			continue;
		if (count == max)
			return err_set(err, -E2BIG, "%s is in more than %zu groups", name, max);
		ret_groups[count++] = gid;
	}
	*ret_count = count;
	return 0;
}
