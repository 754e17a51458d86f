#include "address.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#include "base.h"

static const uint8_t MAPPED[12] = {[10] = 0xFF, [11] = 0xFF};

struct in6_addr address_of_ipv4(uint32_t ipv4)
{
    struct in6_addr address;

    ipv4 = htonl(ipv4);
    memcpy(address.s6_addr, MAPPED, sizeof MAPPED);
    memcpy(address.s6_addr + 12, &ipv4, sizeof ipv4);
    return address;
}

uint32_t ipv4_of(const struct in6_addr *address)
{
    uint32_t ipv4;

    memcpy(&ipv4, address->s6_addr + 12, sizeof ipv4);
    return ntohl(ipv4);
}

bool is_ipv4(const struct in6_addr *address)
{
    return !memcmp(address, MAPPED, sizeof MAPPED);
}

bool same_address(const struct in6_addr *one, const struct in6_addr *other)
{
    return !memcmp(one, other, sizeof *one);
}

struct endpoint endpoint_of(const struct in6_addr *address, uint16_t port)
{
    struct endpoint endpoint = any_endpoint(is_ipv4(address) ? AF_INET : AF_INET6);

    if (endpoint.any.sa_family == AF_INET) {
        endpoint.ipv4.sin_addr.s_addr = htonl(ipv4_of(address));
        endpoint.ipv4.sin_port = htons(port);
    } else {
        endpoint.ipv6.sin6_addr = *address;
        endpoint.ipv6.sin6_port = htons(port);
    }
    return endpoint;
}

struct endpoint any_endpoint(int family)
{
    struct endpoint endpoint = {.length = sizeof endpoint.ipv6};

    if (family == AF_INET)
        endpoint.length = sizeof endpoint.ipv4;
    endpoint.any.sa_family = (sa_family_t)family;
    return endpoint;
}

struct in6_addr address_of_endpoint(const struct endpoint *endpoint)
{
    return endpoint->any.sa_family == AF_INET ? address_of_ipv4(ntohl(endpoint->ipv4.sin_addr.s_addr))
                                              : endpoint->ipv6.sin6_addr;
}

/* Adds to the 64 bits at some place. */
static void add_to_half(uint8_t *at, uint64_t number)
{
    uint64_t half;

    memcpy(&half, at, sizeof half);
    half = htobe64(be64toh(half) + number);
    memcpy(at, &half, sizeof half);
}

struct in6_addr address_of_range(const struct address_range *range, uint64_t turn)
{
    struct in6_addr address = range->first;

    if (range->random_bits <= 64) {
        add_to_half(address.s6_addr + 8,
                    range->random_bits ? chance() >> (64 - range->random_bits) : turn % range->count);
    } else {
        add_to_half(address.s6_addr, chance() >> (128 - range->random_bits));
        add_to_half(address.s6_addr + 8, chance());
    }
    return address;
}

struct in6_addr read_address(const char *option, const char *text)
{
    struct in6_addr address;
    struct in_addr ipv4;

    if (inet_pton(AF_INET, text, &ipv4) == 1)
        return address_of_ipv4(ntohl(ipv4.s_addr));
    if (inet_pton(AF_INET6, text, &address) != 1)
        give_up("--%s %s: an address is wanted", option, text);
    return address;
}

struct address_range read_range(const char *option, const char *text)
{
    char first[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "+/");
    struct address_range range = {.count = 1};

    if (length >= sizeof first)
        give_up("--%s %s: ADDRESS, ADDRESS+COUNT or PREFIX/LENGTH is wanted", option, text);
    memcpy(first, text, length);
    first[length] = '\0';
    range.first = read_address(option, first);
    if (text[length] == '+')
        range.count = (uint32_t)read_number(option, text + length + 1, 1, 16777216);
    if (text[length] == '/' && is_ipv4(&range.first))
        give_up("--%s %s: a prefix is of IPv6; of IPv4, ADDRESS+COUNT is wanted", option, text);
    if (text[length] == '/')
        range.random_bits = 128 - (unsigned)read_number(option, text + length + 1, 16, 127);
    return range;
}
