/* The names that are asked for, and who should answer behind each. */
#ifndef TARGETS_H
#define TARGETS_H

#include <stdint.h>

#include "address.h"
#include "dns.h"

struct target {
    uint8_t name[DNS_NAME_MOST]; /* wire form */
    uint8_t name_length;
    uint16_t port;
    struct in6_addr host[2]; /* private addresses of the host, IPv4 and IPv6; one that it has not is zeros */
};

struct targets {
    struct target *all;
    uint32_t count; /* at least 1 */
};

/* Reads a file of lines `NAME HOST-ADDRESS[,HOST-ADDRESS] [PORT]`, with an address of each family at most; `#` begins a
 * comment. A line that can not be read, or a file
 * without names, ends the program. */
struct targets targets_from(const char *path, uint16_t default_port);

#endif
