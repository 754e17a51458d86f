/* The names that are asked for, and who should answer behind each. */
#ifndef TARGETS_H
#define TARGETS_H

#include <stdint.h>

#include "dns.h"

struct target {
    uint8_t name[DNS_NAME_MOST]; /* wire form */
    uint8_t name_length;
    uint16_t port;
    uint32_t host; /* private address of the host, host byte order */
};

struct targets {
    struct target *all;
    uint32_t count; /* at least 1 */
};

/* Reads a file of lines `NAME HOST-ADDRESS [PORT]`; `#` begins a comment. A line that can not be read, or a file
 * without names, ends the program. */
struct targets targets_from(const char *path, uint16_t default_port);

#endif
