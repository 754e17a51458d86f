/* echo - stands for all private hosts at once.
 *
 *   echo PORT
 *
 * Answers UDP probes and TCP connections on PORT at every address of its namespace (which may be a whole prefix:
 * `ip route add local 192.0.2.0/24 dev lo`) and tells each client which address it was reached at. A client that
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

#include "base.h"
#include "probe.h"

#define BATCH 32

/* Room for a batch of datagrams with their senders and the addresses they came to. */
struct datagrams {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct sockaddr_in senders[BATCH];
    struct probe probes[BATCH];
    union {
        char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
        struct cmsghdr align;
    } controls[BATCH];
};

static int open_socket(int type, uint16_t port)
{
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&any, sizeof any))
        give_up("port %u is taken: %m", port);
    return fd;
}

static int open_udp(uint16_t port)
{
    int fd = open_socket(SOCK_DGRAM, port);
    int one = 1;

    enlarge_buffers(fd);
    /* The reply has to leave from the address that was asked, and a wildcard socket does not know it otherwise. */
    if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one))
        give_up("IP_PKTINFO: %m");
    return fd;
}

static int open_tcp(uint16_t port)
{
    int fd = open_socket(SOCK_STREAM, port);

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
            .msg_namelen = sizeof d->senders[i],
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
    struct in_pktinfo *info;

    if (!control || control->cmsg_type != IP_PKTINFO || message->msg_len != sizeof *probe ||
        probe->mark != htonl(PROBE_MARK))
        return 0;
    info = (struct in_pktinfo *)CMSG_DATA(control);
    probe->host = info->ipi_addr.s_addr;
    info->ipi_spec_dst = info->ipi_addr;
    info->ipi_ifindex = 0; /* the route decides, as for anybody */
    return 1;
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
    struct sockaddr_in reached;
    socklen_t length = sizeof reached;
    greeting host;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (!getsockname(fd, (struct sockaddr *)&reached, &length)) {
            host = reached.sin_addr.s_addr;
            send(fd, &host, sizeof host, MSG_NOSIGNAL);
        }
        close(fd);
    }
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll: %m");
}

int main(int count, char **arguments)
{
    int udp, tcp, epoll;
    uint16_t port;

    if (count != 2)
        give_up("usage: echo PORT");
    port = (uint16_t)read_number("port", arguments[1], 1, 65535);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing stays behind when the bench is killed */
    allow_many_files();
    udp = open_udp(port);
    tcp = open_tcp(port);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, udp);
    watch(epoll, tcp);
    for (;;) {
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, -1);

        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == udp)
                answer_datagrams(udp);
            else
                greet_connections(tcp);
        }
    }
}
