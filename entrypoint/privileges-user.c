/* SPDX-License-Identifier: MIT */
#include "entrypoint/privileges.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exit-code.h"
#include "common/log.h"
#include "common/number.h"
#include "entrypoint/identity.h"

#define PRIVILEGES_PASSWD "/etc/passwd"
#define PRIVILEGES_GROUP  "/etc/group"

/* Who owns the workspace if it is nobody but root: the user that images commonly have. */
#define PRIVILEGES_DEFAULT_UID 1000
#define PRIVILEGES_DEFAULT_GID 1000

/* The longest --user: two names and a colon. */
#define PRIVILEGES_SPEC_MAX 130

static bool privileges_parse_id(const char *text, unsigned int *ret_id)
{
	int64_t value;

	if (number_parse_int(text, 0, UINT32_MAX - 1, &value) < 0)
		return false;
	*ret_id = (unsigned int)value;
	return true;
}

static void privileges_set_identity(struct privileges_user *user, const struct identity *identity)
{
	(void)snprintf(user->name, sizeof(user->name), "%s", identity->name);
	(void)snprintf(user->home, sizeof(user->home), "%s", identity->home);
}

/* Name, home and groups of user->uid, where the image knows it. */
static void privileges_describe(struct privileges_user *user, bool wants_groups)
{
	struct identity identity;
	struct err err;

	if (identity_by_uid(PRIVILEGES_PASSWD, user->uid, &identity, NULL) < 0)
		return;
	privileges_set_identity(user, &identity);
	if (wants_groups &&
	    identity_groups(PRIVILEGES_GROUP, identity.name, user->gid, user->groups,
			    PRIVILEGES_GROUPS_MAX, &user->n_groups, &err) < 0) {
		log_warning("no supplementary groups: %s", err.text);
		user->n_groups = 0;
	}
}

/* USER[:GROUP]. As in Docker, a group that is named explicitly is the only one. */
static int privileges_parse_spec(const char *spec, struct privileges_user *user, struct err *err)
{
	char text[PRIVILEGES_SPEC_MAX];
	struct identity identity;
	char *group;

	if (strlen(spec) >= sizeof(text) || spec[0] == '\0' || spec[0] == ':')
		return err_set(err, EXIT_CODE_USAGE,
			       "--user %s: it is UID, UID:GID, NAME or NAME:GROUP", spec);
	strcpy(text, spec);
	group = strchr(text, ':');
	if (group)
		*group++ = '\0';
	if (privileges_parse_id(text, &user->uid)) {
		bool is_known = identity_by_uid(PRIVILEGES_PASSWD, user->uid, &identity, NULL) == 0;

		/* Not 0, as in Docker: the group root may own files that matter. */
		user->gid = is_known ? identity.gid : user->uid;
	} else if (identity_by_name(PRIVILEGES_PASSWD, text, &identity, err) == 0) {
		user->uid = identity.uid;
		user->gid = identity.gid;
	} else {
		return err_prefix(err, EXIT_CODE_USAGE, "--user %s", spec);
	}
	if (group && !privileges_parse_id(group, &user->gid) &&
	    identity_group(PRIVILEGES_GROUP, group, &user->gid, err) < 0)
		return err_prefix(err, EXIT_CODE_USAGE, "--user %s", spec);
	privileges_describe(user, !group);
	return 0;
}

static void privileges_use_owner(const char *workspace, struct privileges_user *user)
{
	struct stat st;

	user->uid = PRIVILEGES_DEFAULT_UID;
	user->gid = PRIVILEGES_DEFAULT_GID;
	if (stat(workspace, &st) == 0 && st.st_uid != 0) {
		user->uid = st.st_uid;
		user->gid = st.st_gid;
	}
	privileges_describe(user, true);
}

int privileges_find_user(const char *spec, const char *workspace, struct privileges_user *ret_user,
			 struct err *err)
{
	struct privileges_user user = { .n_groups = 0 };
	int r;

	if (spec) {
		r = privileges_parse_spec(spec, &user, err);
		if (r != 0)
			return r;
	} else if (geteuid() == 0) {
		privileges_use_owner(workspace, &user);
	} else {
		user.uid = geteuid();
		user.gid = getegid();
		privileges_describe(&user, false);
	}
	if (geteuid() != 0 && (user.uid != geteuid() || user.gid != getegid()))
		return err_set(err, EXIT_CODE_NO_PERMISSION,
			       "--user %s: only root can become another user, and this is uid %u; "
			       "start the container with --user %u:%u",
			       spec, geteuid(), user.uid, user.gid);
	if (user.uid == 0)
		return err_set(err, EXIT_CODE_USAGE,
			       "--user %s is root: to stay root, say --allow-root instead of it",
			       spec);
	*ret_user = user;
	return 0;
}

int privileges_run_as(const struct privileges_user *user, void (*fn)(const void *data),
		      const void *data)
{
	uid_t ruid, euid, suid;
	int dumpable = prctl(PR_GET_DUMPABLE);

	if (getresuid(&ruid, &euid, &suid) < 0)
		return -errno;
	if (!user || user->uid == euid) {
		fn(data);
		return 0;
	}
	/* The saved one leads back, and keeps the capabilities that are permitted. */
	if (setresuid((uid_t)-1, user->uid, euid) < 0)
		return -errno;
	fn(data);
	if (setresuid((uid_t)-1, euid, suid) < 0)
		log_error("cannot become uid %u again: %s", euid, strerror(errno));
	/* Each of these calls has made it what fs.suid_dumpable says (proc_sys_fs(5)). */
	if (dumpable == 0 || dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, (unsigned long)dumpable, 0L, 0L, 0L);
	return 0;
}
