/* SPDX-License-Identifier: MIT */
/* Sockets that no agent needs, and changes to the network. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/system/escape/attempt.h"

static struct outcome socket_of(int family, int type, int protocol, const char *name)
{
	return outcome_of(socket(family, type | SOCK_CLOEXEC, protocol), name);
}

static struct outcome af_alg(const struct scene *scene)
{
	(void)scene;
	return socket_of(AF_ALG, SOCK_SEQPACKET, 0, "AF_ALG");
}

static struct outcome af_vsock(const struct scene *scene)
{
	(void)scene;
	return socket_of(AF_VSOCK, SOCK_STREAM, 0, "AF_VSOCK");
}

static struct outcome af_packet(const struct scene *scene)
{
	(void)scene;
	return socket_of(AF_PACKET, SOCK_RAW, 0, "AF_PACKET");
}

static struct outcome raw_socket(const struct scene *scene)
{
	(void)scene;
	return socket_of(AF_INET, SOCK_RAW, IPPROTO_ICMP, "a raw socket");
}

/* Adds an address to the loopback device, or takes it away. 0 or -1 with errno. */
static int change_address(int type)
{
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg message;
		struct rtattr attribute;
		struct in_addr address;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = (unsigned short)type,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE },
		.message = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1 },
		.attribute = { .rta_len = sizeof(struct rtattr) + sizeof(struct in_addr),
			       .rta_type = IFA_LOCAL },
		.address.s_addr = htonl(0x7f0a0b0c),
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		return -1;
	(void)close(fd);
	errno = -answer.error.error;
	return errno ? -1 : 0;
}

static struct outcome netlink_change(const struct scene *scene)
{
	(void)scene;
	if (change_address(RTM_NEWADDR) < 0)
		return outcome_failed("RTM_NEWADDR");
	return outcome_of(change_address(RTM_DELADDR), "an address was added");
}

static struct outcome interface_flags(const struct scene *scene)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)scene;
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return outcome_failed("SIOCGIFFLAGS");
	return outcome_of(ioctl(fd, SIOCSIFFLAGS, &request), "flags of lo");
}

/* What listens there is agent.c's --listen, started by the test. */
static struct outcome connect_port(const struct scene *scene)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(ATTEMPT_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)scene;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return outcome_of(connect(fd, (const struct sockaddr *)&address, sizeof(address)),
			  "connected");
}

static struct outcome bind_port(const struct scene *scene)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(ATTEMPT_PORT + 1) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)scene;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return outcome_of(bind(fd, (const struct sockaddr *)&address, sizeof(address)), "bound");
}

/* To listen without a port binds one that the kernel chooses. */
static struct outcome listen_anywhere(const struct scene *scene)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)scene;
	return outcome_of(listen(fd, 1), "listening");
}

const struct attempt attempts_network[] = {
	{ "af-alg", "make an AF_ALG socket", af_alg },
	{ "af-vsock", "make an AF_VSOCK socket", af_vsock },
	{ "af-packet", "make an AF_PACKET socket", af_packet },
	{ "raw-socket", "make a raw socket", raw_socket },
	{ "netlink", "add an address to a network device", netlink_change },
	{ "interface-flags", "set the flags of a network device", interface_flags },
	{ "connect-port", "connect to a TCP port that is not named", connect_port },
	{ "bind-port", "bind a TCP port that is not named", bind_port },
	{ "listen-anywhere", "listen on a TCP port that the kernel chooses", listen_anywhere },
	{ NULL, NULL, NULL },
};
