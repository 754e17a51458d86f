/* echo - stands for all private hosts at once.
 *
 *   echo PORT
 *
 * Answers UDP probes and TCP connections on PORT at every address of its namespace (which may be a whole prefix:
 * `ip route add local 192.0.2.0/24 dev lo`), of both families, and tells each client which address it was reached at. A client that
 * asked for one host and hears from another has found a mis-delivery. Ends with its parent.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "base.h"
#include "probe.h"

#define BATCH 32
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* Linux 4.15; not in every libc's headers */
#endif

/* Room for a batch of datagrams with their senders and the addresses they came to. */
struct datagrams {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct endpoint senders[BATCH];
    struct probe probes[BATCH];
    union {
        char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
        struct cmsghdr align;
    } controls[BATCH];
};

/* A wildcard socket of one family; -1 where the kernel does not have that. */
static int open_socket(int family, int type, uint16_t port)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct endpoint any = any_endpoint(family);

    if (fd < 0 && family == AF_INET6)
        return -1;
    any.ipv4.sin_port = htons(port); /* at the same place in both */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, &any.any, any.length))
        give_up("port %u is taken: %m", port);
    return fd;
}

static int open_udp(int family, uint16_t port)
{
    int fd = open_socket(family, SOCK_DGRAM, port);
    int one = 1;

    if (fd < 0)
        return fd;
    enlarge_buffers(fd);
    /* The reply has to leave from the address that was asked, and a wildcard socket does not know it otherwise. */
    if (family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one)
                          : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one))
        give_up("where datagrams come to is not told: %m");
    /* Of IPv6, a whole prefix that is local has no address that may be a source. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof one))
        give_up("IPV6_FREEBIND: %m");
    return fd;
}

static int open_tcp(int family, uint16_t port)
{
    int fd = open_socket(family, SOCK_STREAM, port);

    if (fd < 0)
        return fd;

    if (listen(fd, 4096))
        give_up("listen: %m");
    return fd;
}

static void prepare(struct datagrams *d)
{
    for (unsigned i = 0; i < BATCH; i++) {
        d->vectors[i] = (struct iovec){.iov_base = &d->probes[i], .iov_len = sizeof d->probes[i]};
        d->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &d->senders[i],
            .msg_namelen = sizeof d->senders[i].ipv6,
            .msg_iov = &d->vectors[i],
            .msg_iovlen = 1,
            .msg_control = d->controls[i].bytes,
            .msg_controllen = sizeof d->controls[i].bytes,
        };
    }
}

/* Writes the address that the datagram came to into its payload; the same control message, sent back, makes it the
 * source. Returns 0 for what is no probe. */
static int sign(struct mmsghdr *message, struct probe *probe)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(&message->msg_hdr);

    if (!control || message->msg_len != sizeof *probe || probe->mark != htonl(PROBE_MARK))
        return 0;
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(control);

        probe->host = address_of_ipv4(ntohl(info->ipi_addr.s_addr));
        info->ipi_spec_dst = info->ipi_addr;
        info->ipi_ifindex = 0; /* the route decides, as for anybody */
        return 1;
    }
    if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(control);

        probe->host = info->ipi6_addr;
        info->ipi6_ifindex = 0;
        return 1;
    }
    return 0;
}

static void answer_datagrams(int fd)
{
    static struct datagrams d;
    int received;

    prepare(&d);
    received = recvmmsg(fd, d.messages, BATCH, 0, NULL);
    for (int i = 0; i < received; i++)
        if (sign(&d.messages[i], &d.probes[i]))
            sendmsg(fd, &d.messages[i].msg_hdr, 0);
}

static void greet_connections(int listener)
{
    struct endpoint reached = {.length = sizeof reached.ipv6};
    greeting host;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (!getsockname(fd, &reached.any, &reached.length)) {
            host = address_of_endpoint(&reached);
            send(fd, &host, sizeof host, MSG_NOSIGNAL);
        }
        close(fd);
    }
}

static void watch(int epoll, int fd, bool tcp)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)tcp << 32 | (uint32_t)fd};

    if (fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll: %m");
}

int main(int count, char **arguments)
{
    static const int families[] = {AF_INET, AF_INET6};
    int epoll;
    uint16_t port;

    if (count != 2)
        give_up("usage: echo PORT");
    port = (uint16_t)read_number("port", arguments[1], 1, 65535);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing stays behind when the bench is killed */
    allow_many_files();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < 2; i++) {
        watch(epoll, open_udp(families[i], port), false);
        watch(epoll, open_tcp(families[i], port), true);
    }
    for (;;) {
        struct epoll_event events[4];
        int ready = epoll_wait(epoll, events, 4, -1);

        for (int i = 0; i < ready; i++) {
            if (events[i].data.u64 >> 32)
                greet_connections((int)(uint32_t)events[i].data.u64);
            else
                answer_datagrams((int)(uint32_t)events[i].data.u64);
        }
    }
}
