/* baseline - the least that a gateway can do: what realmgw's CPU per flow is compared with.
 *
 *   baseline --dns ADDRESS --names FILE --pool ADDRESS+N [--queue N] [--queue-length N]
 *
 * Answers each A query with the next address of the pool, notes the host in a plain table, and sends the first packet
 * to that address to that host: the same DNAT by mark in the same rules as realmgw's, and the same NFQUEUE settings.
 * No zones, no sharing, no limits, no second packets, no expiry but by time stamp; one recv and one send per packet,
 * through libnetfilter_queue. The host of the n-th name (from 1) has the index n in the mark.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "address.h"
#include "base.h"
#include "dns.h"
#include "targets.h"

#define ADMITTED 0x20000000u /* marks, as in realmgw/datapath/marks.py */
#define REJECTED 0x40000000u
#define LIFETIME (2 * SECOND) /* of a reservation */
#define COPIED 128            /* octets of a packet that the kernel hands over, as many as realmgw asks for */
#define TURN 32               /* datagrams or packets of one kind in a row */

struct reservation {
    uint32_t host;  /* index, 0: none */
    uint64_t until; /* a packet after this comes too late */
};

struct baseline {
    struct targets targets;
    uint32_t *places; /* hash table of indices of targets, from 1; 0: none */
    uint32_t places_mask;
    struct address_range pool;
    struct reservation *reservations; /* by pool address */
    uint32_t next;                    /* pool address */
    int dns, queue_fd;
    struct nfq_handle *netlink;
    struct nfq_q_handle *queue;
    uint16_t queue_number;
    uint32_t queue_length;
};

/* --- names ----------------------------------------------------------------------------------------------------- */

/* FNV-1a. */
static uint32_t hash_of(const uint8_t *name, size_t length)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ name[i]) * 16777619u;
    return hash;
}

static void index_names(struct baseline *b)
{
    uint32_t size = 1;

    while (size < 2 * b->targets.count)
        size *= 2;
    b->places = calloc(size, sizeof *b->places);
    b->places_mask = size - 1;
    for (uint32_t i = 0; i < b->targets.count; i++) {
        const struct target *target = &b->targets.all[i];
        uint32_t place = hash_of(target->name, target->name_length) & b->places_mask;

        while (b->places[place])
            place = (place + 1) & b->places_mask;
        b->places[place] = i + 1;
    }
}

/* The index of the host with that name, 0 for none. */
static uint32_t host_named(const struct baseline *b, const uint8_t *name, size_t length)
{
    uint32_t place = hash_of(name, length) & b->places_mask;

    for (; b->places[place]; place = (place + 1) & b->places_mask) {
        const struct target *target = &b->targets.all[b->places[place] - 1];

        if (target->name_length == length && !memcmp(target->name, name, length))
            return b->places[place];
    }
    return 0;
}

/* --- reservations ---------------------------------------------------------------------------------------------- */

/* The next address in turn; 0 when it is still held. */
static uint32_t reserve(struct baseline *b, uint32_t host, uint64_t time)
{
    struct reservation *reservation = &b->reservations[b->next];
    uint32_t address = ipv4_of(&b->pool.first) + b->next;

    if (reservation->host && reservation->until > time)
        return 0;
    *reservation = (struct reservation){.host = host, .until = time + LIFETIME};
    b->next = (b->next + 1) % b->pool.count;
    return address;
}

/* The mark for a first packet to an address. */
static uint32_t admit(struct baseline *b, uint32_t address, uint64_t time)
{
    struct reservation *reservation;
    uint32_t host, place = address - ipv4_of(&b->pool.first);

    if (place >= b->pool.count)
        return REJECTED;
    reservation = &b->reservations[place];
    host = reservation->until > time ? reservation->host : 0;
    reservation->host = 0;
    return host ? ADMITTED | host : REJECTED;
}

/* --- queries --------------------------------------------------------------------------------------------------- */

static size_t answer(struct baseline *b, uint8_t *message, size_t length)
{
    size_t name_length = dns_question_of(message, length);
    uint32_t host, address;

    if (!name_length)
        return 0;
    host = host_named(b, message + 12, name_length);
    if (!host)
        return dns_refusal(message, name_length, DNS_NXDOMAIN);
    address = reserve(b, host, now());
    return address ? dns_reply(message, name_length, address) : dns_refusal(message, name_length, DNS_SERVFAIL);
}

static void answer_queries(struct baseline *b)
{
    uint8_t message[DNS_UDP_SIZE + 16];
    struct sockaddr_in from;

    for (unsigned turn = 0; turn < TURN; turn++) {
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(b->dns, message, DNS_UDP_SIZE, 0, (struct sockaddr *)&from, &size);

        if (length < 0)
            return;
        length = (ssize_t)answer(b, message, (size_t)length);
        if (length)
            sendto(b->dns, message, (size_t)length, 0, (struct sockaddr *)&from, size);
    }
}

static void open_dns(struct baseline *b, uint32_t address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(address)};

    b->dns = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enlarge_buffers(b->dns);
    if (bind(b->dns, (struct sockaddr *)&at, sizeof at))
        give_up("port 53: %m");
}

/* --- first packets --------------------------------------------------------------------------------------------- */

static int decide(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *user)
{
    struct baseline *b = user;
    struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);
    unsigned char *payload;
    uint32_t destination, mark = REJECTED;

    (void)message;
    if (nfq_get_payload(packet, &payload) >= 20) {
        memcpy(&destination, payload + 16, sizeof destination);
        mark = admit(b, ntohl(destination), now());
    }
    return nfq_set_verdict2(queue, ntohl(header->packet_id), NF_ACCEPT, mark, 0, NULL);
}

static void decide_packets(struct baseline *b)
{
    char buffer[4096];

    for (unsigned turn = 0; turn < TURN; turn++) {
        ssize_t length = recv(b->queue_fd, buffer, sizeof buffer, MSG_DONTWAIT);

        if (length < 0)
            return;
        nfq_handle_packet(b->netlink, buffer, (int)length);
    }
}

static void open_queue(struct baseline *b)
{
    b->netlink = nfq_open();
    if (!b->netlink)
        give_up("NFQUEUE: %m");
    b->queue = nfq_create_queue(b->netlink, b->queue_number, decide, b);
    if (!b->queue)
        give_up("NFQUEUE %u can not be had (CAP_NET_ADMIN? another program on it?): %m", b->queue_number);
    if (nfq_set_mode(b->queue, NFQNL_COPY_PACKET, COPIED) < 0 ||
        nfq_set_queue_maxlen(b->queue, b->queue_length) < 0)
        give_up("NFQUEUE settings: %m");
    b->queue_fd = nfq_fd(b->netlink);
    enlarge_buffers(b->queue_fd);
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll: %m");
}

static void run(struct baseline *b)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    watch(epoll, b->dns);
    watch(epoll, b->queue_fd);
    for (;;) {
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, -1);

        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == b->dns)
                answer_queries(b);
            else
                decide_packets(b);
        }
    }
}

static void open_baseline(struct baseline *b, int count, char **arguments)
{
    static const struct option known[] = {
        {"dns", required_argument, NULL, 'd'},   {"names", required_argument, NULL, 'n'},
        {"pool", required_argument, NULL, 'p'},  {"queue", required_argument, NULL, 'q'},
        {"queue-length", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    struct in6_addr address = {0};
    int name;

    while ((name = getopt_long(count, arguments, "", known, NULL)) >= 0) {
        switch (name) {
        case 'd': address = read_address("dns", optarg); break;
        case 'n': b->targets = targets_from(optarg, 0); break;
        case 'p': b->pool = read_range("pool", optarg); break;
        case 'q': b->queue_number = (uint16_t)read_number("queue", optarg, 0, 65535); break;
        case 'l': b->queue_length = (uint32_t)read_number("queue-length", optarg, 1, 1e6); break;
        default: give_up("see the head of baseline.c");
        }
    }
    if (!is_ipv4(&address) || !is_ipv4(&b->pool.first) || !b->targets.count || !b->pool.count)
        give_up("--dns, --names and --pool are wanted");
    b->reservations = calloc(b->pool.count, sizeof *b->reservations);
    if (!b->reservations)
        give_up("no memory for %u pool addresses", b->pool.count);
    index_names(b);
    open_queue(b); /* before DNS: no address is given out that could not be honoured */
    open_dns(b, ipv4_of(&address));
}

int main(int count, char **arguments)
{
    static struct baseline b = {.queue_number = 1, .queue_length = 4096};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    open_baseline(&b, count, arguments);
    run(&b);
}
