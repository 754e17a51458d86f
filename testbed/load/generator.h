/* The flow generator's state, and how a flow ends.
 *
 * Every flow is a slot that goes through these states:
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
#ifndef GENERATOR_H
#define GENERATOR_H

#include "deadlines.h"
#include "dns.h"
#include "options.h"
#include "results.h"
#include "targets.h"

#define NOBODY UINT32_MAX /* no slot */

enum state { UNUSED, ASKING, PAUSING, SENT, GREETED };

struct flow {
    enum state state;
    bool idle;           /* a query that nobody follows */
    bool measured;       /* began within the measurement */
    uint16_t id;         /* of the query */
    unsigned repeated;   /* the query, so often */
    uint32_t port;       /* index of the resolver's port that asked */
    uint32_t generation; /* how often this slot was used: tells late replies from those of now */
    bool ipv6;           /* the client comes by it */
    struct in6_addr address; /* the answer */
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
    int stream;            /* the connection for what is to come by TCP, else -1 */
    size_t held;           /* octets of answers that are not whole yet */
    uint8_t buffer[DNS_STREAM_MOST];
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
    int epoll;
    int sender[2], receiver[2]; /* of raw packets: IPv4, IPv6 */

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
enum subject { SUBJECT_PORT, SUBJECT_CLIENT, SUBJECT_RECEIVER, SUBJECT_STREAM };

/* Has an event of `fd` told to who is meant by a subject and an index. */
void watch(struct generator *g, int fd, uint32_t events, enum subject subject, uint32_t index);
void release(struct generator *g, uint32_t slot); /* the end of an idle query */
void lose(struct generator *g, uint32_t slot, enum loss loss);
void succeed(struct generator *g, uint32_t slot);

#endif
