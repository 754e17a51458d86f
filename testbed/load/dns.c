#include "dns.h"

#include <string.h>

#include "address.h"

#define HEADER 12
#define TYPE_A 1
#define TYPE_AAAA 28
#define CLASS_IN 1
#define LABEL_MOST 63
#define POINTER 0xC0

/* Octets of the header (RFC 1035 section 4.1.1). */
enum { FLAGS_HIGH = 2, FLAGS_LOW = 3, QUESTIONS = 4, ANSWERS = 6, AUTHORITIES = 8, ADDITIONALS = 10 };
enum { QR = 0x80, OPCODE = 0x78, AA = 0x04, TC = 0x02, RD = 0x01, CODE = 0x0F };

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint8_t *put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

size_t dns_name(const char *text, uint8_t wire[DNS_NAME_MOST])
{
    size_t used = 0;

    while (*text) {
        size_t label = strcspn(text, ".");

        if (label == 0 || label > LABEL_MOST || used + 1 + label + 1 > DNS_NAME_MOST)
            return 0;
        wire[used++] = (uint8_t)label;
        memcpy(wire + used, text, label);
        used += label;
        text += label + (text[label] == '.');
    }
    wire[used++] = 0;
    return used;
}

size_t dns_query(uint8_t *message, uint16_t id, const struct dns_question *question, bool edns)
{
    static const uint8_t opt[] = {0, 0, 41, DNS_UDP_SIZE >> 8, DNS_UDP_SIZE & 0xFF, 0, 0, 0, 0, 0, 0};
    uint8_t *end = message + HEADER;

    memset(message, 0, HEADER);
    put16(message, id);
    message[QUESTIONS + 1] = 1;
    memcpy(end, question->name, question->name_length);
    end = put16(put16(end + question->name_length, question->ipv6 ? TYPE_AAAA : TYPE_A), CLASS_IN);
    if (edns) {
        message[ADDITIONALS + 1] = 1;
        memcpy(end, opt, sizeof opt);
        end += sizeof opt;
    }
    return (size_t)(end - message);
}

/* The octet behind a name that may be compressed; NULL when the message ends before. */
static const uint8_t *behind_name(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at && *at < POINTER)
        at += 1 + *at;
    if (at >= end)
        return NULL;
    return at + (*at < POINTER ? 1 : 2);
}

static enum dns_outcome first_address(const uint8_t *at, const uint8_t *end, unsigned records, bool ipv6,
                                      struct in6_addr *address)
{
    unsigned type = ipv6 ? TYPE_AAAA : TYPE_A, size = ipv6 ? sizeof *address : 4;

    while (records--) {
        at = behind_name(at, end);
        if (!at || end - at < 10 || end - at - 10 < get16(at + 8))
            return DNS_MALFORMED;
        if (get16(at) == type && get16(at + 2) == CLASS_IN && get16(at + 8) == size) {
            if (ipv6)
                memcpy(address, at + 10, sizeof *address);
            else
                *address = address_of_ipv4((uint32_t)get16(at + 10) << 16 | get16(at + 12));
            return DNS_ADDRESS;
        }
        at += 10 + get16(at + 8); /* an alias, for instance, before the address of its target */
    }
    return DNS_NO_DATA;
}

enum dns_outcome dns_answer(const uint8_t *message, size_t length, const struct dns_question *question,
                            struct in6_addr *address, unsigned *code)
{
    const uint8_t *end = message + length, *behind = message + HEADER + question->name_length;

    if (length < HEADER + question->name_length + 4 || !(message[FLAGS_HIGH] & QR) ||
        get16(message + QUESTIONS) != 1 || memcmp(message + HEADER, question->name, question->name_length) ||
        get16(behind) != (question->ipv6 ? TYPE_AAAA : TYPE_A))
        return DNS_MALFORMED;
    *code = message[FLAGS_LOW] & CODE;
    if (*code != DNS_NOERROR)
        return DNS_FAILED;
    if (message[FLAGS_HIGH] & TC)
        return DNS_TRUNCATED;
    return first_address(behind + 4, end, get16(message + ANSWERS), question->ipv6, address);
}

size_t dns_question_of(const uint8_t *message, size_t length)
{
    const uint8_t *end = message + length;
    const uint8_t *at = message + HEADER;

    if (length < HEADER + 5 || message[FLAGS_HIGH] & (QR | OPCODE | TC) || get16(message + QUESTIONS) != 1 ||
        get16(message + ANSWERS) || get16(message + AUTHORITIES))
        return 0;
    while (at < end && *at && *at <= LABEL_MOST)
        at += 1 + *at;
    if (end - at < 5 || *at || get16(at + 1) != TYPE_A || get16(at + 3) != CLASS_IN)
        return 0;
    return (size_t)(at + 1 - message - HEADER);
}

static uint8_t *begin_reply(uint8_t *message, size_t name_length, enum dns_code code)
{
    message[FLAGS_HIGH] = (uint8_t)(QR | AA | (message[FLAGS_HIGH] & RD));
    message[FLAGS_LOW] = (uint8_t)code;
    memset(message + ANSWERS, 0, HEADER - ANSWERS);
    return message + HEADER + name_length + 4;
}

size_t dns_reply(uint8_t *message, size_t name_length, uint32_t address)
{
    uint8_t *end = begin_reply(message, name_length, DNS_NOERROR);

    message[ANSWERS + 1] = 1;
    end = put16(end, POINTER << 8 | HEADER); /* the owner is the name of the question */
    end = put16(put16(end, TYPE_A), CLASS_IN);
    end = put16(put16(end, 0), 0); /* TTL */
    end = put16(put16(put16(end, 4), address >> 16), address);
    return (size_t)(end - message);
}

size_t dns_refusal(uint8_t *message, size_t name_length, enum dns_code code)
{
    return (size_t)(begin_reply(message, name_length, code) - message);
}
