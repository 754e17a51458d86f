/* What the flow generator is told to do. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "base.h"
#include "cpu.h"

/* How the client's first packet goes out. */
enum via {
    VIA_RAW,  /* UDP with a fresh source address and port for every flow, through one raw socket: the cheapest */
    VIA_UDP,  /* a connected UDP socket per flow */
    VIA_TCP,  /* a TCP connection per flow */
    VIA_NONE, /* not at all: the flow ends with the answer */
};

struct options {
    struct in6_addr server;
    uint16_t server_port;
    const char *names; /* path */
    uint16_t port;     /* for names that give none */
    bool random_names; /* in random order instead of one after the other */
    enum via via;

    double rate;          /* flows per second, Poisson; 0: a closed loop */
    uint32_t outstanding; /* closed loop: so many flows under way at any time */
    uint32_t slots;       /* so many flows and idle queries at most under way at any time */
    double idle_rate;     /* queries per second that nobody follows */

    uint64_t flows;        /* measured flows to start, 0: no limit */
    uint64_t duration;     /* of the measurement, at most */
    uint64_t warm_flows;   /* flows to finish before the measurement */
    uint64_t warm_up;      /* time to pass before the measurement */

    unsigned ports;                /* source ports of the resolver */
    struct in6_addr resolver;      /* its address; zeros: the kernel chooses */
    bool edns;                     /* it sends an OPT record */
    uint64_t query_timeout;        /* until it asks again, or gives up */
    unsigned retries;              /* how often it asks again */
    struct address_range sources;  /* the clients' addresses */
    struct address_range sources6; /* the same of IPv6 */
    double ipv6;                   /* this part of the clients comes by IPv6 */
    bool dual;                     /* every client asks for addresses of both families */
    const char *interface;         /* where replies to raw packets arrive */
    uint64_t reply_timeout;        /* until a client gives up */
    double delay_median;           /* of the client, between the answer and its first packet: nanoseconds, 0: none */
    double delay_deviation;        /* of the delay's logarithm */
    struct watched watched;        /* processes whose CPU time is measured */
};

struct options options_from(int count, char **arguments);

#endif
