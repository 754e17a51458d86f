/* What a first packet carries, and what the host that gets it sends back. */
#ifndef PROBE_H
#define PROBE_H

#include <netinet/in.h>
#include <stdint.h>

#define PROBE_MARK 0x72676d77u /* tells our packets from others on the link; network byte order in the packet */

/* The payload of a UDP probe and of its reply. The host changes nothing but `host`. */
struct probe {
    uint32_t mark;       /* network byte order */
    uint32_t slot;       /* the sender's own: which flow this is */
    uint32_t generation; /* the sender's own: how often the slot was used before */
    struct in6_addr host; /* the address that the host was reached at, IPv4 as ::ffff:a.b.c.d; in the request zeros */
};

/* A TCP connection is greeted with the same answer, without a request: the address that it was accepted at. Then the
 * host closes. */
typedef struct in6_addr greeting;

#endif
