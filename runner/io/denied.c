/* SPDX-License-Identifier: MIT */
#include "runner/io/denied.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/strbuf.h"

/* More than the filter has names. What is beyond is not told by name. */
#define DENIED_CALLS_MAX 128

struct denied_call {
	const char *name;
	uint64_t count; /* since the last report */
};

struct denied {
	struct loop *loop;
	denied_name_fn *name;
	struct denied_call calls[DENIED_CALLS_MAX];
	size_t n_calls;
	/* What the kernel writes and reads; newer ones may have more to say than we know of. */
	struct seccomp_notif *asked;
	struct seccomp_notif_resp *answer;
	size_t asked_size, answer_size;
};

struct denied_source {
	struct denied *denied;
	int socket;		   /* until the listener came; -1 */
	int listener;		   /* -1: none yet, or nobody is left */
	struct loop_source *watch; /* of the one that there is */
	struct loop_timer *pause;
	int64_t burst_start;
	unsigned int burst;
};

int denied_new(struct loop *loop, denied_name_fn *name, struct denied **ret_denied, struct err *err)
{
	struct seccomp_notif_sizes sizes;
	struct denied *denied;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0)
		return err_sys(err, -ENOSYS, "denied calls cannot be counted");
	denied = calloc(1, sizeof(*denied));
	if (!denied)
		return err_sys(err, -ENOMEM, "denied calls cannot be counted");
	denied->loop = loop;
	denied->name = name;
	denied->asked_size = sizeof(*denied->asked);
	if (sizes.seccomp_notif > denied->asked_size)
		denied->asked_size = sizes.seccomp_notif;
	denied->answer_size = sizeof(*denied->answer);
	if (sizes.seccomp_notif_resp > denied->answer_size)
		denied->answer_size = sizes.seccomp_notif_resp;
	denied->asked = calloc(1, denied->asked_size);
	denied->answer = calloc(1, denied->answer_size);
	if (!denied->asked || !denied->answer) {
		denied_free(denied);
		return err_sys(err, -ENOMEM, "denied calls cannot be counted");
	}
	*ret_denied = denied;
	return 0;
}

void denied_free(struct denied *denied)
{
	if (!denied)
		return;
	free(denied->asked);
	free(denied->answer);
	free(denied);
}

/* Counting */

static void denied_count(struct denied *denied, uint32_t arch, int number)
{
	const char *name = denied->name(arch, number);
	struct denied_call *call = denied->calls;

	if (!name)
		name = "unknown";
	while (call < denied->calls + denied->n_calls && strcmp(call->name, name) != 0)
		call++;
	if (call == denied->calls + denied->n_calls) {
		if (denied->n_calls == DENIED_CALLS_MAX)
			return;
		denied->n_calls++;
		call->name = name;
		log_warning("the agent tried %s(2): denied (protection SECCOMP)", name);
	}
	call->count++;
}

void denied_report(struct denied *denied)
{
	cleanup_strbuf struct strbuf text = STRBUF_EMPTY;

	for (size_t i = 0; denied && i < denied->n_calls; i++) {
		struct denied_call *call = &denied->calls[i];

		if (call->count > 0)
			(void)strbuf_printf(&text, "%s%s %llu", text.len > 0 ? ", " : "",
					    call->name, (unsigned long long)call->count);
		call->count = 0;
	}
	if (text.len > 0 && !text.error)
		log_info("calls denied to the agent: %s", text.data);
}

/* Answering */

static void denied_source_end(struct denied_source *source)
{
	loop_timer_disarm(source->pause);
	loop_source_free(steal_ptr(source->watch));
	if (source->socket >= 0)
		close(steal_fd(&source->socket));
	if (source->listener >= 0)
		close(steal_fd(&source->listener));
}

static void denied_on_pause_over(void *userdata)
{
	const struct denied_source *source = userdata;

	(void)loop_source_set_events(source->watch, EPOLLIN);
}

/* One more was answered: after many at once comes a pause, so that a flood cannot hold up the loop. */
static void denied_slow_down(struct denied_source *source)
{
	const int64_t now = clock_monotonic_ms();

	if (now - source->burst_start >= DENIED_PAUSE_MS) {
		source->burst_start = now;
		source->burst = 0;
	}
	if (++source->burst < DENIED_BURST)
		return;
	(void)loop_source_set_events(source->watch, 0);
	loop_timer_arm(source->pause, DENIED_PAUSE_MS);
}

static void denied_on_call(void *userdata, uint32_t events)
{
	struct denied_source *source = userdata;
	struct denied *denied = source->denied;

	/* Everybody under the filter is gone (Linux 5.8). */
	if (!(events & EPOLLIN)) {
		denied_source_end(source);
		return;
	}
	/* The kernel refuses what is not zero. */
	memset(denied->asked, 0, denied->asked_size);
	/*
	 * Does not wait, for somebody asks. ENOENT: who has asked was interrupted or killed meanwhile,
	 * and the kernel counts the question as taken.
	 */
	if (ioctl(source->listener, SECCOMP_IOCTL_NOTIF_RECV, denied->asked) < 0) {
		if (errno != ENOENT && errno != EINTR)
			denied_source_end(source);
		return;
	}
	memset(denied->answer, 0, denied->answer_size);
	denied->answer->id = denied->asked->id;
	denied->answer->error = -EPERM;
	(void)ioctl(source->listener, SECCOMP_IOCTL_NOTIF_SEND, denied->answer);
	denied_count(denied, denied->asked->data.arch, denied->asked->data.nr);
	denied_slow_down(source);
}

/* The listener that came, close-on-exec; -1: none. */
static int denied_receive(int socket)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .bytes = "" };
	char byte;
	struct iovec data = { .iov_base = &byte, .iov_len = sizeof(byte) };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static void denied_on_socket(void *userdata, uint32_t events)
{
	struct denied_source *source = userdata;
	int listener = denied_receive(source->socket);

	(void)events;
	/* It comes first and alone; without one it was executed, or has ended, without a listener. */
	denied_source_end(source);
	source->listener = listener;
	if (listener >= 0 && loop_add_fd(source->denied->loop, listener, EPOLLIN, denied_on_call,
					 source, &source->watch) < 0)
		denied_source_end(source);
}

int denied_watch(struct denied *denied, struct denied_source **ret_source, int *ret_child_end)
{
	struct denied_source *source = calloc(1, sizeof(*source));
	int ends[2], r;

	if (!source)
		return -ENOMEM;
	*source = (struct denied_source){ .denied = denied, .socket = -1, .listener = -1 };
	r = loop_timer_new(denied->loop, denied_on_pause_over, source, &source->pause);
	if (r < 0) {
		free(source);
		return r;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		r = -errno;
		denied_source_free(source);
		return r;
	}
	source->socket = ends[0];
	r = loop_add_fd(denied->loop, ends[0], EPOLLIN, denied_on_socket, source, &source->watch);
	if (r < 0) {
		close(ends[1]);
		denied_source_free(source);
		return r;
	}
	*ret_source = source;
	*ret_child_end = ends[1];
	return 0;
}

void denied_source_free(struct denied_source *source)
{
	if (!source)
		return;
	denied_source_end(source);
	loop_timer_free(source->pause);
	free(source);
}
