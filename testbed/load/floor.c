/* floor - the least that a gateway can do: what realmgw's CPU per flow is compared with.
 *
 *   floor --dns ADDRESS --names FILE --pool ADDRESS+N [--queue N] [--queue-length N]
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

struct floor {
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

static void index_names(struct floor *f)
{
    uint32_t size = 1;

    while (size < 2 * f->targets.count)
        size *= 2;
    f->places = calloc(size, sizeof *f->places);
    f->places_mask = size - 1;
    for (uint32_t i = 0; i < f->targets.count; i++) {
        const struct target *target = &f->targets.all[i];
        uint32_t place = hash_of(target->name, target->name_length) & f->places_mask;

        while (f->places[place])
            place = (place + 1) & f->places_mask;
        f->places[place] = i + 1;
    }
}

/* The index of the host with that name, 0 for none. */
static uint32_t host_named(const struct floor *f, const uint8_t *name, size_t length)
{
    uint32_t place = hash_of(name, length) & f->places_mask;

    for (; f->places[place]; place = (place + 1) & f->places_mask) {
        const struct target *target = &f->targets.all[f->places[place] - 1];

        if (target->name_length == length && !memcmp(target->name, name, length))
            return f->places[place];
    }
    return 0;
}

/* --- reservations ---------------------------------------------------------------------------------------------- */

/* The next address in turn; 0 when it is still held. */
static uint32_t reserve(struct floor *f, uint32_t host, uint64_t time)
{
    struct reservation *reservation = &f->reservations[f->next];
    uint32_t address = f->pool.first + f->next;

    if (reservation->host && reservation->until > time)
        return 0;
    *reservation = (struct reservation){.host = host, .until = time + LIFETIME};
    f->next = (f->next + 1) % f->pool.count;
    return address;
}

/* The mark for a first packet to an address. */
static uint32_t admit(struct floor *f, uint32_t address, uint64_t time)
{
    struct reservation *reservation;
    uint32_t host;

    if (address - f->pool.first >= f->pool.count)
        return REJECTED;
    reservation = &f->reservations[address - f->pool.first];
    host = reservation->until > time ? reservation->host : 0;
    reservation->host = 0;
    return host ? ADMITTED | host : REJECTED;
}

/* --- queries --------------------------------------------------------------------------------------------------- */

static size_t answer(struct floor *f, uint8_t *message, size_t length)
{
    size_t name_length = dns_question(message, length);
    uint32_t host, address;

    if (!name_length)
        return 0;
    host = host_named(f, message + 12, name_length);
    if (!host)
        return dns_refusal(message, name_length, DNS_NXDOMAIN);
    address = reserve(f, host, now());
    return address ? dns_reply(message, name_length, address) : dns_refusal(message, name_length, DNS_SERVFAIL);
}

static void answer_queries(struct floor *f)
{
    uint8_t message[DNS_UDP_SIZE + 16];
    struct sockaddr_in from;

    for (unsigned turn = 0; turn < TURN; turn++) {
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(f->dns, message, DNS_UDP_SIZE, 0, (struct sockaddr *)&from, &size);

        if (length < 0)
            return;
        length = (ssize_t)answer(f, message, (size_t)length);
        if (length)
            sendto(f->dns, message, (size_t)length, 0, (struct sockaddr *)&from, size);
    }
}

static void open_dns(struct floor *f, uint32_t address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(address)};

    f->dns = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enlarge_buffers(f->dns);
    if (bind(f->dns, (struct sockaddr *)&at, sizeof at))
        give_up("port 53: %m");
}

/* --- first packets --------------------------------------------------------------------------------------------- */

static int decide(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *user)
{
    struct floor *f = user;
    struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);
    unsigned char *payload;
    uint32_t destination, mark = REJECTED;

    (void)message;
    if (nfq_get_payload(packet, &payload) >= 20) {
        memcpy(&destination, payload + 16, sizeof destination);
        mark = admit(f, ntohl(destination), now());
    }
    return nfq_set_verdict2(queue, ntohl(header->packet_id), NF_ACCEPT, mark, 0, NULL);
}

static void decide_packets(struct floor *f)
{
    char buffer[4096];

    for (unsigned turn = 0; turn < TURN; turn++) {
        ssize_t length = recv(f->queue_fd, buffer, sizeof buffer, MSG_DONTWAIT);

        if (length < 0)
            return;
        nfq_handle_packet(f->netlink, buffer, (int)length);
    }
}

static void open_queue(struct floor *f)
{
    f->netlink = nfq_open();
    if (!f->netlink)
        give_up("NFQUEUE: %m");
    f->queue = nfq_create_queue(f->netlink, f->queue_number, decide, f);
    if (!f->queue)
        give_up("NFQUEUE %u can not be had (CAP_NET_ADMIN? another program on it?): %m", f->queue_number);
    if (nfq_set_mode(f->queue, NFQNL_COPY_PACKET, COPIED) < 0 ||
        nfq_set_queue_maxlen(f->queue, f->queue_length) < 0)
        give_up("NFQUEUE settings: %m");
    f->queue_fd = nfq_fd(f->netlink);
    enlarge_buffers(f->queue_fd);
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll: %m");
}

static void run(struct floor *f)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    watch(epoll, f->dns);
    watch(epoll, f->queue_fd);
    for (;;) {
        struct epoll_event events[2];
        int ready = epoll_wait(epoll, events, 2, -1);

        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == f->dns)
                answer_queries(f);
            else
                decide_packets(f);
        }
    }
}

static void open_floor(struct floor *f, int count, char **arguments)
{
    static const struct option known[] = {
        {"dns", required_argument, NULL, 'd'},   {"names", required_argument, NULL, 'n'},
        {"pool", required_argument, NULL, 'p'},  {"queue", required_argument, NULL, 'q'},
        {"queue-length", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0},
    };
    uint32_t address = 0;
    int name;

    while ((name = getopt_long(count, arguments, "", known, NULL)) >= 0) {
        switch (name) {
        case 'd': address = read_address("dns", optarg); break;
        case 'n': f->targets = targets_from(optarg, 0); break;
        case 'p': f->pool = read_range("pool", optarg); break;
        case 'q': f->queue_number = (uint16_t)read_number("queue", optarg, 0, 65535); break;
        case 'l': f->queue_length = (uint32_t)read_number("queue-length", optarg, 1, 1e6); break;
        default: give_up("see the head of floor.c");
        }
    }
    if (!address || !f->targets.count || !f->pool.count)
        give_up("--dns, --names and --pool are wanted");
    f->reservations = calloc(f->pool.count, sizeof *f->reservations);
    if (!f->reservations)
        give_up("no memory for %u pool addresses", f->pool.count);
    index_names(f);
    open_queue(f); /* before DNS: no address is given out that could not be honoured */
    open_dns(f, address);
}

int main(int count, char **arguments)
{
    static struct floor f = {.queue_number = 1, .queue_length = 4096};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    open_floor(&f, count, arguments);
    run(&f);
}
