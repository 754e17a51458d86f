/* flows - asks for names and goes where the answers say; see `flows --help`.
 *
 * One thread, one epoll. Every flow is a slot that goes through these states:
 *
 *   UNUSED -> ASKING -> (PAUSING ->) SENT -> (GREETED ->) UNUSED
 *
 *   ASKING   the query is out; it is repeated after --query-timeout
 *   PAUSING  the answer is here, the client takes its --delay
 *   SENT     the first packet (or the SYN) is out
 *   GREETED  TCP only: the connection stands, the host has yet to say who it is
 *
 * A flow ends by `succeed` or by `lose`, and by nothing else. An idle query is a flow that ends with its answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base.h"
#include "deadlines.h"
#include "dns.h"
#include "options.h"
#include "packets.h"
#include "results.h"
#include "targets.h"

#define EVENTS 128
#define BURST 512          /* flows started between two looks at the sockets */
#define FIRST_PORT 2000    /* of raw packets */
#define RAW_PORTS 60000    /* so many source ports from there on */
#define NOBODY UINT32_MAX  /* no slot */

enum state { UNUSED, ASKING, PAUSING, SENT, GREETED };

struct flow {
    enum state state;
    bool idle;           /* a query that nobody follows */
    bool measured;       /* began within the measurement */
    uint16_t id;         /* of the query */
    unsigned repeated;   /* the query, so often */
    uint32_t port;       /* index of the resolver's port that asked */
    uint32_t generation; /* how often this slot was used: tells late replies from those of now */
    uint32_t address;    /* the answer */
    int fd;              /* of a client with a socket, else -1 */
    uint64_t began;      /* when it should have begun: in an open loop our own lateness counts */
    uint64_t sent;       /* first packet */
    uint64_t reached;    /* TCP: connected */
    const struct target *target;
};

/* One source port of the resolver. */
struct port {
    int fd;
    uint16_t next_id;
    uint32_t slots[65536]; /* by message ID */
};

struct generator {
    struct options options;
    struct targets targets;
    struct results results;

    struct flow *flows;
    uint32_t *unused; /* slots */
    uint32_t unused_count;
    uint32_t under_way; /* flows, without idle queries */
    struct port *ports;
    int epoll, sender, receiver;

    struct deadlines queries, replies;
    struct alarms pauses;
    double next_flow, next_idle; /* open loop, idle queries: when the next one begins; nanoseconds */

    uint64_t turns;     /* flows begun so far: which name, port and client is next */
    uint64_t finished;  /* flows ended so far, whatever came of them */
    uint64_t completed; /* flows ended well so far */
    uint64_t opened;    /* when the generator began */
    bool measuring, stopping;
};

/* What an epoll event is about. */
enum subject { SUBJECT_PORT, SUBJECT_CLIENT, SUBJECT_RECEIVER };

static void watch(struct generator *g, int fd, uint32_t events, enum subject subject, uint32_t index)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)subject << 32 | index};

    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll: %m");
}

/* --- the end of a flow ----------------------------------------------------------------------------------------- */

static void release(struct generator *g, uint32_t slot)
{
    struct flow *flow = &g->flows[slot];

    if (flow->state == ASKING) {
        deadlines_clear(&g->queries, slot);
        g->ports[flow->port].slots[flow->id] = NOBODY;
    } else if (flow->state == SENT || flow->state == GREETED) {
        deadlines_clear(&g->replies, slot);
    }
    if (flow->fd >= 0)
        close(flow->fd);
    if (!flow->idle) {
        g->under_way--;
        g->finished++;
    }
    flow->fd = -1;
    flow->state = UNUSED;
    flow->generation++;
    g->unused[g->unused_count++] = slot;
}

static void lose(struct generator *g, uint32_t slot, enum loss loss)
{
    const struct flow *flow = &g->flows[slot];

    if (flow->measured && !flow->idle)
        g->results.lost[loss]++;
    release(g, slot);
}

static void succeed(struct generator *g, uint32_t slot)
{
    const struct flow *flow = &g->flows[slot];

    g->completed++;
    g->results.ok += flow->measured;
    release(g, slot);
}

/* The host has said who it is: the one behind the name, or a stranger. */
static void identify(struct generator *g, uint32_t slot, uint32_t host, uint64_t time)
{
    const struct flow *flow = &g->flows[slot];

    if (host != flow->target->host) {
        lose(g, slot, LOSS_MISDELIVERED);
        return;
    }
    if (flow->measured) {
        histogram_add(&g->results.connect, time - flow->sent);
        histogram_add(&g->results.total, time - flow->began);
    }
    succeed(g, slot);
}

/* --- the client ------------------------------------------------------------------------------------------------ */

static struct probe probe_of(const struct generator *g, uint32_t slot)
{
    return (struct probe){
        .mark = htonl(PROBE_MARK), .slot = slot, .generation = g->flows[slot].generation, .host = 0};
}

/* The source turns fastest, so that neighbouring flows come from different clients; no pair comes again before
 * all others were used: a conntrack entry of an earlier flow would else take the packet past the gateway. */
static bool send_raw(struct generator *g, uint32_t slot)
{
    static uint64_t turn;
    struct flow *flow = &g->flows[slot];
    const struct address_range *sources = &g->options.sources;
    struct probe probe = probe_of(g, slot);
    struct ends ends = {.destination = flow->address, .destination_port = flow->target->port};

    if (!turn)
        turn = chance() % ((uint64_t)sources->count * RAW_PORTS);
    ends.source = address_of_range(sources, turn);
    ends.source_port = (uint16_t)(FIRST_PORT + turn / sources->count % RAW_PORTS);
    turn++;
    return packets_send_probe(g->sender, &ends, &probe);
}

static int client_socket(const struct generator *g)
{
    static uint64_t turn;
    bool tcp = g->options.via == VIA_TCP;
    int fd = socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;

    if (fd < 0)
        return fd;
    if (tcp) /* close by a reset: no TIME_WAIT holds the port */
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (!g->options.sources.count)
        return fd;
    from.sin_addr.s_addr = htonl(address_of_range(&g->options.sources, turn++));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from))
        give_up("--sources: the clients' addresses are not of this host: %m");
    return fd;
}

static bool send_connected(struct generator *g, uint32_t slot)
{
    struct flow *flow = &g->flows[slot];
    struct probe probe = probe_of(g, slot);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(flow->target->port),
        .sin_addr.s_addr = htonl(flow->address),
    };
    bool tcp = g->options.via == VIA_TCP;

    flow->fd = client_socket(g);
    if (flow->fd < 0 || (connect(flow->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS))
        return false;
    /* Edge-triggered: one registration serves for `connected` and for `greeted`. */
    watch(g, flow->fd, tcp ? EPOLLIN | EPOLLOUT | EPOLLET : EPOLLIN, SUBJECT_CLIENT, slot);
    return tcp || send(flow->fd, &probe, sizeof probe, 0) == sizeof probe;
}

static void send_first_packet(struct generator *g, uint32_t slot, uint64_t time)
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
    identify(g, probe->slot, ntohl(probe->host), time);
    return true;
}

static void read_receiver(struct generator *g)
{
    struct reply replies[PACKETS_BATCH];
    unsigned count = packets_receive(g->receiver, replies);
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
        identify(g, slot, ntohl(host), flow->reached);
    else if (length >= 0 || errno != EAGAIN)
        lose(g, slot, LOSS_REFUSED); /* closed before it said who it is */
}

static void read_client(struct generator *g, uint32_t slot)
{
    if (g->flows[slot].fd < 0)
        return; /* an earlier event of the same batch ended it */
    if (g->options.via == VIA_TCP)
        read_tcp_client(g, slot, now());
    else
        read_udp_client(g, slot);
}

/* --- the resolver ---------------------------------------------------------------------------------------------- */

static void send_query(struct generator *g, uint32_t slot, uint64_t time)
{
    struct flow *flow = &g->flows[slot];
    uint8_t message[DNS_QUERY_MOST];
    size_t length =
        dns_query(message, flow->id, flow->target->name, flow->target->name_length, g->options.edns);

    deadlines_set(&g->queries, slot, time);
    if (send(g->ports[flow->port].fd, message, length, 0) < 0)
        lose(g, slot, LOSS_LOCAL);
}

/* IDs go up one by one: a server that knows a repeated query by its port and ID must not see an ID again soon. */
static uint16_t unused_id(struct port *port)
{
    while (port->slots[port->next_id] != NOBODY)
        port->next_id++;
    return port->next_id++;
}

static void begin(struct generator *g, bool idle, uint64_t time)
{
    uint64_t turn = g->turns++;
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
    flow->target = &g->targets.all[(g->options.random_names ? chance() : turn) % g->targets.count];
    flow->port = (uint32_t)(turn % g->options.ports);
    flow->id = unused_id(&g->ports[flow->port]);
    g->ports[flow->port].slots[flow->id] = slot;
    g->under_way += !idle;
    *(idle ? &g->results.idle_started : &g->results.started) += g->measuring;
    send_query(g, slot, time);
}

static void ask_again(struct generator *g, uint32_t slot, uint64_t time)
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
        send_first_packet(g, slot, now());
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

static void take_answer(struct generator *g, uint32_t slot, const uint8_t *message, size_t length, uint64_t time)
{
    struct flow *flow = &g->flows[slot];
    unsigned code = 0;

    switch (dns_answer(message, length, flow->target->name, flow->target->name_length, &flow->address, &code)) {
    case DNS_ADDRESS:
        take_address(g, slot, time);
        break;
    case DNS_NO_DATA:
        lose(g, slot, LOSS_NO_ADDRESS);
        break;
    case DNS_TRUNCATED:
        lose(g, slot, LOSS_TRUNCATED);
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

static void read_port(struct generator *g, uint32_t index)
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
        take_answer(g, port->slots[dns_id(message)], message, (size_t)length, now());
}

/* --- the course of time ---------------------------------------------------------------------------------------- */

static bool enough(const struct generator *g, uint64_t time)
{
    const struct results *results = &g->results;

    return (g->options.flows && results->started >= g->options.flows) ||
           time >= results->began + g->options.duration;
}

/* The CPU time is that of the measurement, and is divided by the flows that came through within it, whenever they
 * began. While the last flows finish afterwards, nothing is counted. */
static void account(struct generator *g, int sign)
{
    struct results *results = &g->results;

    results->watched_time += (uint64_t)sign * watched_cpu_time(&g->options.watched);
    results->own_time += (uint64_t)sign * own_cpu_time();
    results->completed += (uint64_t)sign * g->completed;
}

static void turn_pages(struct generator *g, uint64_t time)
{
    if (!g->measuring && !g->stopping && g->finished >= g->options.warm_flows &&
        time >= g->opened + g->options.warm_up) {
        g->measuring = true;
        account(g, -1);
        g->results.began = now();
    } else if (g->measuring && enough(g, time)) {
        g->measuring = false;
        g->stopping = true;
        g->results.ended = now();
        account(g, +1);
    }
}

static void begin_poisson(struct generator *g, double *next, double rate, bool idle, uint64_t time)
{
    for (unsigned burst = 0; *next <= (double)time && burst < BURST && !(g->measuring && enough(g, time)); burst++) {
        begin(g, idle, (uint64_t)*next);
        *next += chance_exponential(SECOND / rate);
    }
}

static void begin_flows(struct generator *g, uint64_t time)
{
    if (g->options.idle_rate > 0)
        begin_poisson(g, &g->next_idle, g->options.idle_rate, true, time);
    if (g->options.rate > 0) {
        begin_poisson(g, &g->next_flow, g->options.rate, false, time);
        return;
    }
    while (g->under_way < g->options.outstanding && g->unused_count && !(g->measuring && enough(g, time)))
        begin(g, false, now());
}

static void pass_deadlines(struct generator *g, uint64_t time)
{
    uint32_t slot;

    while (deadlines_passed(&g->queries, time, &slot))
        ask_again(g, slot, time);
    while (deadlines_passed(&g->replies, time, &slot))
        lose(g, slot, LOSS_NO_REPLY);
    while (alarms_take(&g->pauses, time, &slot))
        send_first_packet(g, slot, now());
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long nothing will have to be done; at most 10 ms, so that the pages are turned in time. */
static struct timespec idle_time(const struct generator *g, uint64_t time)
{
    uint64_t next = earlier(time + 10 * MILLISECOND, earlier(deadlines_next(&g->queries),
                                                             deadlines_next(&g->replies)));

    next = earlier(next, alarms_next(&g->pauses));
    if (!g->stopping && g->options.rate > 0)
        next = earlier(next, (uint64_t)g->next_flow);
    if (!g->stopping && g->options.idle_rate > 0)
        next = earlier(next, (uint64_t)g->next_idle);
    return (struct timespec){.tv_sec = 0, .tv_nsec = next > time ? (long)(next - time) : 0};
}

static void handle(struct generator *g, uint64_t subject)
{
    switch ((enum subject)(subject >> 32)) {
    case SUBJECT_PORT:
        read_port(g, (uint32_t)subject);
        break;
    case SUBJECT_CLIENT:
        read_client(g, (uint32_t)subject);
        break;
    case SUBJECT_RECEIVER:
        read_receiver(g);
        break;
    }
}

static void run(struct generator *g)
{
    struct epoll_event events[EVENTS];

    while (!g->stopping || g->unused_count < g->options.slots) {
        uint64_t time = now();
        struct timespec idle;
        int ready;

        turn_pages(g, time);
        if (!g->stopping)
            begin_flows(g, time);
        pass_deadlines(g, time);
        idle = idle_time(g, now());
        ready = epoll_pwait2(g->epoll, events, EVENTS, &idle, NULL);
        for (int i = 0; i < ready; i++)
            handle(g, events[i].data.u64);
    }
}

/* --- the beginning --------------------------------------------------------------------------------------------- */

static void open_port(struct generator *g, uint32_t index)
{
    const struct options *options = &g->options;
    struct port *port = &g->ports[index];
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(options->resolver)};
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(options->server_port),
        .sin_addr.s_addr = htonl(options->server),
    };

    port->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    port->next_id = (uint16_t)chance();
    memset(port->slots, 0xFF, sizeof port->slots);
    enlarge_buffers(port->fd);
    if (bind(port->fd, (struct sockaddr *)&from, sizeof from))
        give_up("--resolver: not an address of this host: %m");
    if (connect(port->fd, (struct sockaddr *)&to, sizeof to))
        give_up("--server: %m");
    watch(g, port->fd, EPOLLIN, SUBJECT_PORT, index);
}

static void open_flows(struct generator *g)
{
    uint32_t slots = g->options.slots;

    g->flows = calloc(slots, sizeof *g->flows);
    g->unused = calloc(slots, sizeof *g->unused);
    if (!g->flows || !g->unused)
        give_up("no memory for %u flows", slots);
    for (uint32_t slot = 0; slot < slots; slot++) {
        g->flows[slot].fd = -1;
        g->unused[g->unused_count++] = slots - 1 - slot;
    }
    g->queries = deadlines_for(slots, g->options.query_timeout);
    g->replies = deadlines_for(slots, g->options.reply_timeout);
    g->pauses = alarms_for(slots);
}

static void open_sockets(struct generator *g)
{
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    g->ports = calloc(g->options.ports, sizeof *g->ports);
    if (!g->ports)
        give_up("no memory for %u ports", g->options.ports);
    for (uint32_t index = 0; index < g->options.ports; index++)
        open_port(g, index);
    if (g->options.via != VIA_RAW)
        return;
    g->sender = packets_open_sender();
    g->receiver = packets_open_receiver(g->options.interface);
    watch(g, g->receiver, EPOLLIN, SUBJECT_RECEIVER, 0);
}

int main(int count, char **arguments)
{
    static struct generator g;

    g.options = options_from(count, arguments);
    g.targets = targets_from(g.options.names, g.options.port);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing stays behind when the bench is killed */
    prctl(PR_SET_TIMERSLACK, 1000);   /* the default of 50 us would lump Poisson arrivals together */
    allow_many_files();
    open_flows(&g);
    open_sockets(&g);
    g.opened = now();
    g.next_flow = g.next_idle = (double)g.opened;
    run(&g);
    results_print(&g.results);
    return 0;
}
