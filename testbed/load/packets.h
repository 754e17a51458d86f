/* First packets from any source address, and what comes back to it. Needs CAP_NET_RAW. */
#ifndef PACKETS_H
#define PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "probe.h"

/* The two ends of a flow, both of one family; ports in host byte order. */
struct ends {
    struct in6_addr source, destination;
    uint16_t source_port, destination_port;
};

/* A socket that sends whole packets of a family. */
int packets_open_sender(bool ipv6);

/* All return false when the packet could not be sent; a payload has at most PACKETS_PAYLOAD_MOST octets. */
bool packets_send_probe(int fd, const struct ends *ends, const struct probe *probe);
bool packets_send_syn(int fd, const struct ends *ends);
bool packets_send_udp(int fd, const struct ends *ends, const void *payload, size_t length);

#define PACKETS_PAYLOAD_MOST 512

/* A socket that sees every probe's reply arriving on an interface, whoever owns its destination. */
int packets_open_receiver(const char *interface, bool ipv6);

#define PACKETS_BATCH 64

/* A reply as it arrived. */
struct reply {
    struct probe probe;
};

/* Takes up to PACKETS_BATCH replies; returns how many. */
unsigned packets_receive(int fd, struct reply replies[PACKETS_BATCH]);

#endif
