/* What came of the flows. */
#ifndef RESULTS_H
#define RESULTS_H

#include <stdint.h>

#include "histogram.h"

/* Why a flow failed. */
enum loss {
    LOSS_NO_ANSWER,    /* the resolver gave up */
    LOSS_FAILED,       /* an answer with a code; see `codes` */
    LOSS_NO_ADDRESS,   /* an answer without an address */
    LOSS_TRUNCATED,    /* an answer that asks to come by TCP */
    LOSS_MALFORMED,    /* an answer to something else */
    LOSS_NO_REPLY,     /* the client gave up */
    LOSS_REFUSED,      /* a reset, or an ICMP error */
    LOSS_MISDELIVERED, /* another host replied than the one that was asked for */
    LOSS_LOCAL,        /* no socket, or no room to send: our own fault */
    LOSS_KINDS,
};

struct results {
    uint64_t began, ended;              /* of the measurement */
    uint64_t started, ok;               /* flows that began within it, and those of them that came through */
    uint64_t lost[LOSS_KINDS];          /* and those that did not; with `ok`, they add up to `started` */
    uint64_t codes[16];                 /* DNS codes of LOSS_FAILED */
    uint64_t asked_again;               /* queries repeated after a timeout */
    uint64_t skipped;                   /* not started for want of a slot */
    uint64_t idle_started;              /* queries that nobody follows */
    uint64_t idle_answered;             /* those of them that got an address */
    uint64_t strangers;                 /* answers and replies that no flow was waiting for (any more) */
    uint64_t completed;                 /* flows that came through within the measurement, whenever they began */
    uint64_t watched_time, own_time;    /* CPU within the measurement */
    struct histogram resolve;           /* first query to answer */
    struct histogram connect;           /* first packet to reply */
    struct histogram total;             /* first query to reply, with the client's delay */
    struct {
        uint64_t started, ok;
        struct histogram total;
    } families[2]; /* the same of those who came by IPv4 and by IPv6 */
};

/* Writes one line of JSON to standard output. */
void results_print(const struct results *results);

#endif
