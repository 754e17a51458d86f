/* The resolver: asks for names, repeats what is not answered, and sends the clients off with the answers. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "dns.h"
#include "generator.h"
#include "resolver.h"

/* `Connection refused` is news of an earlier datagram, told instead of sending this one. */
static bool send_datagram(int fd, const void *datagram, size_t length)
{
    return send(fd, datagram, length, 0) >= 0 || (errno == ECONNREFUSED && send(fd, datagram, length, 0) >= 0);
}

static struct dns_question question_of(const struct flow *flow)
{
    return (struct dns_question){flow->target->name, flow->target->name_length, flow->ipv6};
}

static void send_query(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];
    uint8_t message[DNS_QUERY_MOST];
    struct dns_question question = question_of(flow);
    size_t length = dns_query(message, flow->id, &question, g->options.edns);

    deadlines_set(&g->queries, slot, time);
    if (!send_datagram(g->ports[flow->port].fd, message, length))
        lose(g, slot, LOSS_LOCAL);
}

/* IDs go up one by one: a server that knows a repeated query by its port and ID must not see an ID again soon. */
static uint16_t unused_id(struct port *port)
{
    while (port->slots[port->next_id] != NOBODY)
        port->next_id++;
    return port->next_id++;
}

/* A query; the flow that it begins, or nobody follows it. */
static void begin(struct generator *g, const struct target *target, uint64_t turn, bool ipv6, bool idle, uint64_t time)
{
    uint32_t slot;
    struct flow *flow;

    if (!g->unused_count) {
        g->results.skipped += g->measuring;
        return;
    }
    slot = g->unused[--g->unused_count];
    flow = &g->flows[slot];
    flow->state = ASKING;
    flow->idle = idle;
    flow->measured = g->measuring;
    flow->repeated = 0;
    flow->began = time;
    flow->target = target;
    flow->ipv6 = ipv6;
    flow->port = (uint32_t)(turn % g->options.ports);
    flow->id = unused_id(&g->ports[flow->port]);
    g->ports[flow->port].slots[flow->id] = slot;
    g->under_way += !idle;
    *(idle ? &g->results.idle_started : &g->results.started) += g->measuring;
    g->results.families[ipv6].started += g->measuring && !idle;
    send_query(g, slot, time);
}

/* Both families are asked at once, IPv6 first, by the same port (RFC 8305 section 3); a client of which it is known by
 * which it comes waits for that answer only. */
void resolver_begin(struct generator *g, bool idle, uint64_t time)
{
    uint64_t turn = g->turns++;
    const struct options *options = &g->options;
    const struct target *target = &g->targets.all[(options->random_names ? chance() : turn) % g->targets.count];
    bool ipv6 = options->ipv6 > 0 && chance_unit() <= options->ipv6;

    if (options->dual) {
        begin(g, target, turn, true, idle || !ipv6, time);
        begin(g, target, turn, false, idle || ipv6, time);
    } else {
        begin(g, target, turn, ipv6, idle, time);
    }
}

void resolver_ask_again(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];

    if (flow->repeated == g->options.retries) {
        lose(g, slot, LOSS_NO_ANSWER);
        return;
    }
    flow->repeated++;
    g->results.asked_again += flow->measured;
    deadlines_clear(&g->queries, slot);
    send_query(g, slot, time);
}

static void follow(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];
    const struct options *options = &g->options;

    deadlines_clear(&g->queries, slot);
    g->ports[flow->port].slots[flow->id] = NOBODY;
    flow->state = PAUSING;
    if (options->delay_median > 0) {
        double delay = options->delay_median * exp(options->delay_deviation * chance_normal());
        alarms_set(&g->pauses, slot, time + (uint64_t)delay);
    } else {
        client_send(g, slot, now());
    }
}

static void take_address(struct generator *g, uint32_t slot, uint64_t time)
{
    const struct flow *flow = &g->flows[slot];

    if (flow->idle) {
        g->results.idle_answered += flow->measured;
        release(g, slot);
        return;
    }
    if (flow->measured)
        histogram_add(&g->results.resolve, time - flow->began);
    if (g->options.via != VIA_NONE) {
        follow(g, slot, time);
        return;
    }
    if (flow->measured)
        histogram_add(&g->results.total, time - flow->began);
    succeed(g, slot);
}

static struct endpoint server_endpoint(const struct options *options)
{
    return endpoint_of(&options->server, options->server_port);
}

static struct endpoint resolver_endpoint(const struct options *options)
{
    if (IN6_IS_ADDR_UNSPECIFIED(&options->resolver))
        return any_endpoint(server_endpoint(options).any.sa_family);
    return endpoint_of(&options->resolver, 0);
}

static void open_stream(struct generator *g, uint32_t index)
{
    struct port *port = &g->ports[index];
    struct endpoint from = resolver_endpoint(&g->options), to = server_endpoint(&g->options);
    int yes = 1;

    port->held = 0;
    port->stream = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(port->stream, &from.any, from.length) || connect(port->stream, &to.any, to.length)) {
        close(port->stream);
        port->stream = -1;
        return;
    }
    setsockopt(port->stream, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    watch(g, port->stream, EPOLLIN, SUBJECT_STREAM, index);
}

/* The same query by TCP, on one connection for all that a port asks (RFC 7766 section 6.2.1). */
static void send_by_stream(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];
    struct port *port = &g->ports[flow->port];
    uint8_t message[2 + DNS_QUERY_MOST];
    struct dns_question question = question_of(flow);
    size_t length = dns_query(message + 2, flow->id, &question, g->options.edns);

    message[0] = (uint8_t)(length >> 8);
    message[1] = (uint8_t)length;
    deadlines_clear(&g->queries, slot);
    deadlines_set(&g->queries, slot, time);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (port->stream < 0)
            open_stream(g, flow->port);
        if (port->stream >= 0 && send(port->stream, message, length + 2, MSG_NOSIGNAL) == (ssize_t)length + 2)
            return;
        if (port->stream >= 0)
            close(port->stream);
        port->stream = -1;
    }
    lose(g, slot, LOSS_LOCAL);
}

static void take_answer(struct generator *g, uint32_t slot, const uint8_t *message, size_t length, uint64_t time,
                        bool stream)
{
    struct flow *flow = &g->flows[slot];
    struct dns_question question = question_of(flow);
    unsigned code = 0;

    switch (dns_answer(message, length, &question, &flow->address, &code)) {
    case DNS_ADDRESS:
        take_address(g, slot, time);
        break;
    case DNS_NO_DATA:
        lose(g, slot, LOSS_NO_ADDRESS);
        break;
    case DNS_TRUNCATED:
        if (stream)
            lose(g, slot, LOSS_TRUNCATED);
        else
            send_by_stream(g, slot, time);
        break;
    case DNS_FAILED:
        if (flow->measured && !flow->idle)
            g->results.codes[code]++;
        lose(g, slot, LOSS_FAILED);
        break;
    case DNS_MALFORMED:
        lose(g, slot, LOSS_MALFORMED);
        break;
    }
}

void resolver_read(struct generator *g, uint32_t index)
{
    struct port *port = &g->ports[index];
    uint8_t message[DNS_UDP_SIZE];
    ssize_t length;

    /* One datagram for an event: epoll, level-triggered, says at once when there are more, and a probe of an empty
     * socket would cost a call for every flow. */
    length = recv(port->fd, message, sizeof message, 0);
    if (length < 12)
        return;
    if (port->slots[dns_id(message)] == NOBODY)
        g->results.strangers++;
    else
        take_answer(g, port->slots[dns_id(message)], message, (size_t)length, now(), false);
}

void resolver_read_stream(struct generator *g, uint32_t index)
{
    struct port *port = &g->ports[index];
    uint8_t *at = port->buffer;
    ssize_t length = recv(port->stream, port->buffer + port->held, sizeof port->buffer - port->held, MSG_DONTWAIT);

    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0) { /* what was asked there is asked again when its time is over */
        close(port->stream);
        port->stream = -1;
        return;
    }
    port->held += (size_t)length;
    while (port->held >= 2) {
        size_t whole = (size_t)at[0] << 8 | at[1];

        if (port->held < 2 + whole)
            break;
        if (whole >= 12 && port->slots[dns_id(at + 2)] != NOBODY)
            take_answer(g, port->slots[dns_id(at + 2)], at + 2, whole, now(), true);
        at += 2 + whole;
        port->held -= 2 + whole;
    }
    memmove(port->buffer, at, port->held);
}

static void open_port(struct generator *g, uint32_t index)
{
    struct port *port = &g->ports[index];
    struct endpoint from = resolver_endpoint(&g->options), to = server_endpoint(&g->options);

    port->fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    port->next_id = (uint16_t)chance();
    port->stream = -1;
    memset(port->slots, 0xFF, sizeof port->slots);
    enlarge_buffers(port->fd);
    if (bind(port->fd, &from.any, from.length))
        give_up("--resolver: not an address of this host, or of another family than --server: %m");
    if (connect(port->fd, &to.any, to.length))
        give_up("--server: %m");
    watch(g, port->fd, EPOLLIN, SUBJECT_PORT, index);
}

void resolver_open(struct generator *g)
{
    g->ports = calloc(g->options.ports, sizeof *g->ports);
    if (!g->ports)
        give_up("no memory for %u ports", g->options.ports);
    for (uint32_t index = 0; index < g->options.ports; index++)
        open_port(g, index);
}
