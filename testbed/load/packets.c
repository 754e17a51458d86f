#define _GNU_SOURCE
#include "packets.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "base.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23 /* Linux 4.20; not in every libc's headers */
#endif

/* A packet as it goes out; the payload begins where the headers of this one end. */
struct packet {
    uint8_t octets[sizeof(struct ip6_hdr) + sizeof(struct tcphdr) + PACKETS_PAYLOAD_MOST];
    size_t length;
};

int packets_open_sender(bool ipv6)
{
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);

    if (fd < 0)
        give_up("a raw socket needs CAP_NET_RAW: %m");
    enlarge_buffers(fd);
    return fd;
}

/* Writes the IP header before a transport header and payload of some length; returns where these begin. */
static uint8_t *begin_packet(struct packet *packet, const struct ends *ends, uint8_t protocol, size_t length)
{
    if (is_ipv4(&ends->source)) {
        /* The kernel fills in the checksum, and with DF and no fragments the identification does not matter. */
        struct iphdr ip = {
            .version = 4,
            .ihl = 5,
            .tot_len = htons((uint16_t)(sizeof ip + length)),
            .frag_off = htons(IP_DF),
            .ttl = 64,
            .protocol = protocol,
            .saddr = htonl(ipv4_of(&ends->source)),
            .daddr = htonl(ipv4_of(&ends->destination)),
        };
        memcpy(packet->octets, &ip, sizeof ip);
        packet->length = sizeof ip + length;
        return packet->octets + sizeof ip;
    }
    struct ip6_hdr ip = {.ip6_src = ends->source, .ip6_dst = ends->destination};

    ip.ip6_flow = htonl(6u << 28);
    ip.ip6_plen = htons((uint16_t)length);
    ip.ip6_nxt = protocol;
    ip.ip6_hlim = 64;
    memcpy(packet->octets, &ip, sizeof ip);
    packet->length = sizeof ip + length;
    return packet->octets + sizeof ip;
}

static bool send_packet(int fd, const struct ends *ends, const struct packet *packet)
{
    struct endpoint to = endpoint_of(&ends->destination, 0);

    return sendto(fd, packet->octets, packet->length, 0, &to.any, to.length) == (ssize_t)packet->length;
}

static uint32_t sum_of(const void *octets, size_t length)
{
    const uint8_t *at = octets;
    uint32_t sum = 0;

    for (; length > 1; length -= 2, at += 2)
        sum += (uint32_t)(at[0] << 8 | at[1]);
    return length ? sum + (uint32_t)(at[0] << 8) : sum;
}

/* The Internet checksum (RFC 1071) of a transport header, in which it is 0 yet, and its payload, with a pseudo-header;
 * that of IPv4 as an IPv6 address has two groups of ones more, which are 0xFFFF each and change nothing. */
static uint16_t checksum(const struct ends *ends, uint8_t protocol, const void *octets, size_t length)
{
    uint32_t sum = sum_of(&ends->source, sizeof ends->source) + sum_of(&ends->destination, sizeof ends->destination) +
                   protocol + (uint32_t)length + sum_of(octets, length);

    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xFFFF);
    return htons((uint16_t)~sum);
}

bool packets_send_udp(int fd, const struct ends *ends, const void *payload, size_t length)
{
    struct packet packet;
    struct udphdr udp = {
        .source = htons(ends->source_port),
        .dest = htons(ends->destination_port),
        .len = htons((uint16_t)(sizeof udp + length)),
    };
    uint8_t *at;

    if (length > PACKETS_PAYLOAD_MOST)
        return false;
    at = begin_packet(&packet, ends, PROTOCOL_UDP, sizeof udp + length);
    memcpy(at, &udp, sizeof udp);
    memcpy(at + sizeof udp, payload, length);
    /* A checksum of 0 says that there is none (RFC 768): IPv6 wants one, and one that comes to 0 is written as ones. */
    if (!is_ipv4(&ends->source)) {
        udp.check = checksum(ends, PROTOCOL_UDP, at, sizeof udp + length);
        udp.check = udp.check ? udp.check : 0xFFFF;
        memcpy(at, &udp, sizeof udp);
    }
    return send_packet(fd, ends, &packet);
}

bool packets_send_probe(int fd, const struct ends *ends, const struct probe *probe)
{
    return packets_send_udp(fd, ends, probe, sizeof *probe);
}

bool packets_send_syn(int fd, const struct ends *ends)
{
    struct packet packet;
    struct tcphdr tcp = {
        .source = htons(ends->source_port),
        .dest = htons(ends->destination_port),
        .seq = (uint32_t)chance(),
        .doff = sizeof tcp / 4,
        .syn = 1,
        .window = htons(64240),
    };
    uint8_t *at = begin_packet(&packet, ends, PROTOCOL_TCP, sizeof tcp);

    tcp.check = checksum(ends, PROTOCOL_TCP, &tcp, sizeof tcp);
    memcpy(at, &tcp, sizeof tcp);
    return send_packet(fd, ends, &packet);
}

/* Lets through UDP whose payload begins with the mark, and of it the headers and the probe. The packets begin with
 * the IP header (SOCK_DGRAM), of 4 * IHL octets, or of 40. */
static void accept_probes_only(int fd, bool ipv6)
{
    struct sock_filter six[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct ip6_hdr, ip6_nxt)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROTOCOL_UDP, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct ip6_hdr) + sizeof(struct udphdr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_MARK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 128),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter four[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROTOCOL_UDP, 0, 4),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* 4 * IHL */
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, sizeof(struct udphdr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_MARK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 128),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof four / sizeof *four, .filter = four};

    if (ipv6)
        program = (struct sock_fprog){.len = sizeof six / sizeof *six, .filter = six};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        give_up("packet filter: %m");
}

int packets_open_receiver(const char *interface, bool ipv6)
{
    /* Protocol 0 now, so that nothing arrives before the filter stands. */
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_ll where = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ipv6 ? ETH_P_IPV6 : ETH_P_IP),
        .sll_ifindex = (int)if_nametoindex(interface),
    };

    if (fd < 0)
        give_up("a packet socket needs CAP_NET_RAW: %m");
    if (!where.sll_ifindex)
        give_up("there is no interface %s", interface);
    enlarge_buffers(fd);
    accept_probes_only(fd, ipv6);
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one))
        give_up("PACKET_IGNORE_OUTGOING: %m");
    if (bind(fd, (struct sockaddr *)&where, sizeof where))
        give_up("packet socket on %s: %m", interface);
    return fd;
}

static bool read_reply(const uint8_t *packet, size_t length, struct reply *reply)
{
    size_t headers = packet[0] >> 4 == 4 ? (packet[0] & 0x0Fu) * 4 : sizeof(struct ip6_hdr);

    headers += sizeof(struct udphdr);
    if (length < headers + sizeof reply->probe)
        return false;
    memcpy(&reply->probe, packet + headers, sizeof reply->probe);
    return true;
}

unsigned packets_receive(int fd, struct reply replies[PACKETS_BATCH])
{
    static uint8_t packets[PACKETS_BATCH][128];
    struct iovec vectors[PACKETS_BATCH];
    struct mmsghdr messages[PACKETS_BATCH];
    unsigned count = 0;
    int received;

    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < PACKETS_BATCH; i++) {
        vectors[i] = (struct iovec){.iov_base = packets[i], .iov_len = sizeof packets[i]};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    received = recvmmsg(fd, messages, PACKETS_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < received; i++)
        count += read_reply(packets[i], messages[i].msg_len, &replies[count]);
    return count;
}
