/* SPDX-License-Identifier: MIT */
#include "entrypoint/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/table.h"
#include "entrypoint/policy-calls.h"
#include "entrypoint/seccomp-filter.h"

#define SECCOMP_ERRNO_MASK ((1u << SECCOMP_GROUP_SHIFT) - 1)

/* Linux 5.0; headers of before lack them. */
#ifndef SECCOMP_RET_USER_NOTIF
#define SECCOMP_RET_USER_NOTIF 0x7fc00000u
#endif
#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif

/* What the marker's errno says of a filter, in bits above POLICY_MARKER_ERRNO. */
enum seccomp_mark {
	SECCOMP_MARK_NAMESPACES = 1 << 0, /* POLICY_GROUP_NAMESPACES is denied */
	SECCOMP_MARK_TRUNCATE = 1 << 1,	  /* POLICY_GROUP_TRUNCATE is denied */
	SECCOMP_MARK_FINAL = 1 << 2,	  /* no child's filter answers for it */
	SECCOMP_MARKS = (1 << 3) - 1,
};

static unsigned int seccomp_marks_of(const struct seccomp_options *options)
{
	unsigned int marks = options->is_for_children ? 0 : SECCOMP_MARK_FINAL;

	if (!options->namespaces_allowed)
		marks |= SECCOMP_MARK_NAMESPACES;
	if (options->truncate_denied)
		marks |= SECCOMP_MARK_TRUNCATE;
	return marks;
}

/* The marks of the filter in place, or -ENOENT: there is none of ours. */
static int seccomp_marks_in_place(void)
{
	/*
	 * Of several filters that answer with an errno the one installed last wins: the runtime's,
	 * installed before, cannot answer for ours.
	 */
	if (syscall(SYS_nfsservctl, 0, NULL, NULL) >= 0 ||
	    ((unsigned int)errno & ~(unsigned int)SECCOMP_MARKS) != POLICY_MARKER_ERRNO)
		return -ENOENT;
	return errno & SECCOMP_MARKS;
}

bool seccomp_is_installed(const struct seccomp_options *options)
{
	const unsigned int wanted = seccomp_marks_of(options);
	const int marks = seccomp_marks_in_place();

	return marks >= 0 && ((unsigned int)marks & wanted) == wanted;
}

/* What a row of the compiled filter answers under these options. */
static uint32_t seccomp_answer(unsigned int marks, uint32_t denied, uint32_t compiled)
{
	const unsigned int code = compiled & SECCOMP_ERRNO_MASK;
	/* For each group, the mark with which it is denied; 0: always. */
	static const unsigned int needs[] = {
		[POLICY_GROUP_ALWAYS] = 0,
		[POLICY_GROUP_NAMESPACES] = SECCOMP_MARK_NAMESPACES,
		[POLICY_GROUP_TRUNCATE] = SECCOMP_MARK_TRUNCATE,
		[POLICY_GROUP_LISTENER] = SECCOMP_MARK_FINAL,
	};
	TABLE_COVERS(needs, POLICY_GROUP_COUNT);
	const unsigned int group = (compiled & SECCOMP_RET_DATA) >> SECCOMP_GROUP_SHIFT;
	const unsigned int need = needs[group];

	if ((marks & need) != need)
		return SECCOMP_RET_ALLOW;
	/* Truncating is nothing to tell of: whether it is denied depends on the kernel alone. */
	if (code == EPERM && group != POLICY_GROUP_TRUNCATE)
		return denied;
	return SECCOMP_RET_ERRNO | (code == POLICY_MARKER_ERRNO ? code | marks : code);
}

static size_t seccomp_fill(unsigned int marks, uint32_t denied, struct sock_filter *rows)
{
	memcpy(rows, seccomp_filter, sizeof(seccomp_filter));
	for (size_t i = 0; i < ARRAY_LEN(seccomp_filter); i++)
		if (rows[i].code == (BPF_RET | BPF_K) && rows[i].k != SECCOMP_RET_ALLOW)
			rows[i].k = seccomp_answer(marks, denied, rows[i].k);
	return ARRAY_LEN(seccomp_filter);
}

size_t seccomp_program(const struct seccomp_options *options, uint32_t denied,
		       struct sock_filter ret_rows[SECCOMP_ROWS_MAX])
{
	return seccomp_fill(seccomp_marks_of(options), denied, ret_rows);
}

/* 0, or with that flag the listener; -errno. */
static int seccomp_load(unsigned int marks, uint32_t denied, unsigned long flags)
{
	struct sock_filter rows[ARRAY_LEN(seccomp_filter)];
	struct sock_fprog program = {
		.len = (unsigned short)seccomp_fill(marks, denied, rows),
		.filter = rows,
	};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);

	if (r >= 0)
		return (int)r;
	if (errno != ENOSYS || flags)
		return -errno;
	/* Linux before 3.17 */
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

/* An action that the kernel does not know kills. */
static bool seccomp_can_notify(void)
{
	const uint32_t action = SECCOMP_RET_USER_NOTIF;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* If nobody receives it, nobody hears of the calls: the kernel answers ENOSYS. */
static void seccomp_hand_over(int socket, int listener)
{
	char byte = 0;
	struct iovec data = { .iov_base = &byte, .iov_len = sizeof(byte) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = "" };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &listener, sizeof(listener));
	(void)sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* 0 or -errno: then nothing is in place. */
static int seccomp_load_with_listener(unsigned int marks, int socket)
{
	cleanup_close int listener = -1;

	if (!seccomp_can_notify())
		return -ENOSYS;
	/* The kernel makes it close-on-exec. EBUSY: somebody outside listens for us already. */
	listener = seccomp_load(marks, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (listener < 0)
		return listener;
	seccomp_hand_over(socket, listener);
	return 0;
}

int seccomp_install(const struct seccomp_options *options, struct err *err)
{
	const int in_place = seccomp_marks_in_place();
	unsigned int marks = seccomp_marks_of(options);
	uint32_t denied = SECCOMP_RET_ERRNO | EPERM;
	int r = -ENOSYS;

	if (seccomp_is_installed(options))
		return 0;
	/* What is denied stays denied: the newer marker says it, too. */
	if (in_place > 0)
		marks |= (unsigned int)in_place;
	if (options->notify_fd > 0)
		r = seccomp_load_with_listener(marks, options->notify_fd);
	/* Without a listener the same answer means ENOSYS. */
	if (options->is_for_children && seccomp_can_notify())
		denied = SECCOMP_RET_USER_NOTIF;
	if (r < 0)
		r = seccomp_load(marks, denied, 0);
	return r < 0 ? err_sys(err, r, "seccomp filter") : 0;
}

const char *seccomp_call_name(uint32_t arch, int number)
{
	for (size_t i = 0; i < ARRAY_LEN(seccomp_names); i++)
		if (seccomp_names[i].arch == arch && seccomp_names[i].number == (uint32_t)number)
			return seccomp_names[i].name;
	return NULL;
}
