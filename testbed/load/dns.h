/* The little of DNS (RFC 1035) that asking for addresses and giving out IPv4 ones takes. */
#ifndef DNS_H
#define DNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_NAME_MOST 255
#define DNS_QUERY_MOST (12 + DNS_NAME_MOST + 4 + 11)
#define DNS_UDP_SIZE 1232 /* what we say that we take (RFC 9715) */
#define DNS_STREAM_MOST 16384 /* octets of answers by TCP that are held at once */

enum dns_code { DNS_NOERROR = 0, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_REFUSED = 5 };

/* What an answer turned out to be. */
enum dns_outcome {
    DNS_ADDRESS,   /* it holds an address of the family that was asked for */
    DNS_NO_DATA,   /* NOERROR, but none */
    DNS_TRUNCATED, /* TC is set */
    DNS_FAILED,    /* another code than NOERROR */
    DNS_MALFORMED, /* no answer to the question that was asked */
};

/* Writes the wire form of a name given as text. Returns its length; 0 when it is no name. */
size_t dns_name(const char *text, uint8_t wire[DNS_NAME_MOST]);

/* What is asked for: whose address. The name is in wire form. */
struct dns_question {
    const uint8_t *name;
    size_t name_length;
    bool ipv6; /* AAAA instead of A */
};

/* Writes a query; returns its length. */
size_t dns_query(uint8_t *message, uint16_t id, const struct dns_question *question, bool edns);

/* Reads an answer to such a query. `address` is set for DNS_ADDRESS, `code` for DNS_FAILED. The question has to come
 * back in the very case that it was asked in. */
enum dns_outcome dns_answer(const uint8_t *message, size_t length, const struct dns_question *question,
                            struct in6_addr *address, unsigned *code);

/* The length of the question's name in a query for one A record, 0 for every other message. The name begins at
 * octet 12 of it. */
size_t dns_question_of(const uint8_t *message, size_t length);

/* Turns a query, for which `dns_question_of` gave the length of the name, into its answer in place: an A record with
 * TTL 0, or only a code. Returns the answer's length. The message needs room for 16 octets more than the question. */
size_t dns_reply(uint8_t *message, size_t name_length, uint32_t address);
size_t dns_refusal(uint8_t *message, size_t name_length, enum dns_code code);

static inline uint16_t dns_id(const uint8_t *message)
{
    return (uint16_t)(message[0] << 8 | message[1]);
}

#endif
