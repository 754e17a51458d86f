/* Addresses of both families, all of them as IPv6 ones: IPv4 is ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct in6_addr address_of_ipv4(uint32_t ipv4);           /* host byte order, here and below */
uint32_t ipv4_of(const struct in6_addr *address);         /* its last 32 bits */
bool is_ipv4(const struct in6_addr *address);
bool same_address(const struct in6_addr *one, const struct in6_addr *other);

/* What bind and connect take. */
struct endpoint {
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    };
    socklen_t length;
};

struct endpoint endpoint_of(const struct in6_addr *address, uint16_t port);
struct endpoint any_endpoint(int family); /* the kernel chooses */
struct in6_addr address_of_endpoint(const struct endpoint *endpoint);

/* Some addresses: a run of consecutive ones, or by chance out of a prefix of IPv6. */
struct address_range {
    struct in6_addr first;
    uint32_t count;        /* of the run; 0: no range given */
    unsigned random_bits;  /* the last ones; 0: a run */
};

struct in6_addr address_of_range(const struct address_range *range, uint64_t turn);

/* Readers of option values; a bad value ends the program with a line that names the option. */
struct in6_addr read_address(const char *option, const char *text);
struct address_range read_range(const char *option, const char *text); /* 192.0.2.1, 192.0.2.1+200, 2001:db8::/64 */

#endif
