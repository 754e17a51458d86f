/* The clients: each sends its first packet to the address that it was told, and hears which host is there. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "generator.h"
#include "packets.h"

#define FIRST_PORT 2000 /* of raw packets */
#define RAW_PORTS 60000 /* so many source ports from there on */
#define RAW_TURN_NS 10000 /* a pair of source address and port has its turn at least so often */

/* The host has said who it is: the one behind the name, or a stranger. */
static void identify(struct generator *g, uint32_t slot, const struct in6_addr *host, uint64_t time)
{
    const struct flow *flow = &g->flows[slot];

    if (!same_address(host, &flow->target->host[flow->ipv6])) {
        lose(g, slot, LOSS_MISDELIVERED);
        return;
    }
    if (flow->measured) {
        histogram_add(&g->results.connect, time - flow->sent);
        histogram_add(&g->results.total, time - flow->began);
        histogram_add(&g->results.families[flow->ipv6].total, time - flow->began);
    }
    succeed(g, slot);
}

static struct probe probe_of(const struct generator *g, uint32_t slot)
{
    return (struct probe){
        .mark = htonl(PROBE_MARK), .slot = slot, .generation = g->flows[slot].generation};
}

/* The source turns fastest, so that neighbouring flows come from different clients; no pair comes again before
 * all others were used: a conntrack entry of an earlier flow would else take the packet past the gateway. That holds from
 * one generator to the next as well: the clock tells where to begin, and it is ahead of whoever sends less than 100 000
 * packets a second. */
static bool send_raw(struct generator *g, uint32_t slot)
{
    static uint64_t turn;
    struct flow *flow = &g->flows[slot];
    const struct address_range *sources = flow->ipv6 ? &g->options.sources6 : &g->options.sources;
    struct probe probe = probe_of(g, slot);
    struct ends ends = {.destination = flow->address, .destination_port = flow->target->port};

    if (!turn)
        turn = now() / RAW_TURN_NS;
    ends.source = address_of_range(sources, turn);
    ends.source_port = (uint16_t)(FIRST_PORT + turn / sources->count % RAW_PORTS);
    turn++;
    return packets_send_probe(g->sender[flow->ipv6], &ends, &probe);
}

static int client_socket(const struct generator *g, bool ipv6)
{
    static uint64_t turn;
    bool tcp = g->options.via == VIA_TCP;
    int family = ipv6 ? AF_INET6 : AF_INET;
    int fd = socket(family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const struct address_range *sources = ipv6 ? &g->options.sources6 : &g->options.sources;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct in6_addr source;
    struct endpoint from;
    int one = 1;

    if (fd < 0)
        return fd;
    if (tcp) /* close by a reset: no TIME_WAIT holds the port */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (!sources->count)
        return fd;
    source = address_of_range(sources, turn++);
    from = endpoint_of(&source, 0);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one); /* of both families */
    if (bind(fd, &from.any, from.length))
        give_up("--sources: the clients' addresses are not of this host: %m");
    return fd;
}

static bool send_connected(struct generator *g, uint32_t slot)
{
    struct flow *flow = &g->flows[slot];
    struct probe probe = probe_of(g, slot);
    struct endpoint to = endpoint_of(&flow->address, flow->target->port);
    bool tcp = g->options.via == VIA_TCP;

    flow->fd = client_socket(g, flow->ipv6);
    if (flow->fd < 0 || (connect(flow->fd, &to.any, to.length) && errno != EINPROGRESS))
        return false;
    /* Edge-triggered: one registration serves for `connected` and for `greeted`. */
    watch(g, flow->fd, tcp ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN, SUBJECT_CLIENT, slot);
    return tcp || send(flow->fd, &probe, sizeof probe, 0) == sizeof probe;
}

void client_send(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];

    flow->state = SENT;
    flow->sent = time;
    deadlines_set(&g->replies, slot, time);
    if (!(g->options.via == VIA_RAW ? send_raw(g, slot) : send_connected(g, slot)))
        lose(g, slot, LOSS_LOCAL);
}

static bool take_probe(struct generator *g, const struct probe *probe, uint64_t time)
{
    const struct flow *flow;

    if (probe->slot >= g->options.slots)
        return false;
    flow = &g->flows[probe->slot];
    if (flow->state != SENT || flow->generation != probe->generation)
        return false;
    identify(g, probe->slot, &probe->host, time);
    return true;
}

void client_read_receiver(struct generator *g, uint32_t ipv6)
{
    struct reply replies[PACKETS_BATCH];
    unsigned count = packets_receive(g->receiver[ipv6], replies);
    uint64_t time = now();

    for (unsigned i = 0; i < count; i++)
        if (!take_probe(g, &replies[i].probe, time))
            g->results.strangers++;
}

static void read_udp_client(struct generator *g, uint32_t slot)
{
    struct probe probe;
    ssize_t length = recv(g->flows[slot].fd, &probe, sizeof probe, 0);

    if (length < 0 && errno != EAGAIN)
        lose(g, slot, LOSS_REFUSED); /* an ICMP error */
    else if (length == sizeof probe && !take_probe(g, &probe, now()))
        g->results.strangers++;
}

static void read_tcp_client(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];
    int error = 0;
    socklen_t size = sizeof error;
    greeting host;
    ssize_t length;

    if (flow->state == SENT) {
        getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            lose(g, slot, error == ETIMEDOUT ? LOSS_NO_REPLY : LOSS_REFUSED);
            return;
        }
        flow->state = GREETED;
        flow->reached = time;
    }
    length = recv(flow->fd, &host, sizeof host, 0);
    if (length == sizeof host)
        identify(g, slot, &host, flow->reached);
    else if (length >= 0 || errno != EAGAIN)
        lose(g, slot, LOSS_REFUSED); /* closed before it said who it is */
}

void client_read(struct generator *g, uint32_t slot)
{
    if (g->flows[slot].fd < 0)
        return; /* an earlier event of the same batch ended it */
    if (g->options.via == VIA_TCP)
        read_tcp_client(g, slot, now());
    else
        read_udp_client(g, slot);
}

void client_open(struct generator *g)
{
    if (g->options.via != VIA_RAW)
        return;
    for (uint32_t ipv6 = 0; ipv6 < 2; ipv6++) {
        if (!(ipv6 ? &g->options.sources6 : &g->options.sources)->count)
            continue;
        g->sender[ipv6] = packets_open_sender(ipv6);
        g->receiver[ipv6] = packets_open_receiver(g->options.interface, ipv6);
        watch(g, g->receiver[ipv6], EPOLLIN, SUBJECT_RECEIVER, ipv6);
    }
}
