#define _GNU_SOURCE
#include "packets.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "base.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23 /* Linux 4.20; not in every libc's headers */
#endif

int packets_open_sender(void)
{
    int fd = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);

    if (fd < 0)
        give_up("a raw socket needs CAP_NET_RAW: %m");
    enlarge_buffers(fd);
    return fd;
}

static struct iphdr ip_header(const struct ends *ends, uint8_t protocol, size_t length)
{
    /* The kernel fills in the checksum, and with DF and no fragments the identification does not matter. */
    return (struct iphdr){
        .version = 4,
        .ihl = 5,
        .tot_len = htons((uint16_t)length),
        .frag_off = htons(IP_DF),
        .ttl = 64,
        .protocol = protocol,
        .saddr = htonl(ends->source),
        .daddr = htonl(ends->destination),
    };
}

static bool send_packet(int fd, const struct ends *ends, const void *packet, size_t length)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ends->destination)};

    return sendto(fd, packet, length, 0, (struct sockaddr *)&to, sizeof to) == (ssize_t)length;
}

bool packets_send_udp(int fd, const struct ends *ends, const void *payload, size_t length)
{
    struct {
        struct iphdr ip;
        struct udphdr udp;
        uint8_t payload[PACKETS_PAYLOAD_MOST];
    } packet;
    size_t headers = sizeof packet.ip + sizeof packet.udp;

    if (length > sizeof packet.payload)
        return false;
    packet.ip = ip_header(ends, PROTOCOL_UDP, headers + length);
    /* A UDP checksum of 0 says that there is none (RFC 768). */
    packet.udp = (struct udphdr){
        .source = htons(ends->source_port),
        .dest = htons(ends->destination_port),
        .len = htons((uint16_t)(sizeof packet.udp + length)),
    };
    memcpy(packet.payload, payload, length);
    return send_packet(fd, ends, &packet, headers + length);
}

bool packets_send_probe(int fd, const struct ends *ends, const struct probe *probe)
{
    return packets_send_udp(fd, ends, probe, sizeof *probe);
}

/* The Internet checksum (RFC 1071) of a TCP header with its pseudo-header. */
static uint16_t tcp_checksum(const struct ends *ends, const struct tcphdr *tcp)
{
    uint32_t sum = (ends->source >> 16) + (ends->source & 0xFFFF) + (ends->destination >> 16) +
                   (ends->destination & 0xFFFF) + PROTOCOL_TCP + sizeof *tcp;
    uint16_t words[sizeof *tcp / 2];

    memcpy(words, tcp, sizeof words);
    for (unsigned i = 0; i < sizeof words / 2; i++)
        sum += ntohs(words[i]);
    while (sum >> 16)
        sum = (sum >> 16) + (sum & 0xFFFF);
    return htons((uint16_t)~sum);
}

bool packets_send_syn(int fd, const struct ends *ends)
{
    struct {
        struct iphdr ip;
        struct tcphdr tcp;
    } packet = {.ip = ip_header(ends, PROTOCOL_TCP, sizeof packet)};

    packet.tcp.source = htons(ends->source_port);
    packet.tcp.dest = htons(ends->destination_port);
    packet.tcp.seq = (uint32_t)chance();
    packet.tcp.doff = sizeof packet.tcp / 4;
    packet.tcp.syn = 1;
    packet.tcp.window = htons(64240);
    packet.tcp.check = tcp_checksum(ends, &packet.tcp);
    return send_packet(fd, ends, &packet, sizeof packet);
}

/* Lets through UDP whose payload begins with the mark, and of it the headers and the probe. The packets begin with
 * the IP header (SOCK_DGRAM), of 4 * IHL octets. */
static void accept_probes_only(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROTOCOL_UDP, 0, 4),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* 4 * IHL */
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, sizeof(struct udphdr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROBE_MARK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 128),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        give_up("packet filter: %m");
}

int packets_open_receiver(const char *interface)
{
    /* Protocol 0 now, so that nothing arrives before the filter stands. */
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_ll where = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_IP),
        .sll_ifindex = (int)if_nametoindex(interface),
    };

    if (fd < 0)
        give_up("a packet socket needs CAP_NET_RAW: %m");
    if (!where.sll_ifindex)
        give_up("there is no interface %s", interface);
    enlarge_buffers(fd);
    accept_probes_only(fd);
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one))
        give_up("PACKET_IGNORE_OUTGOING: %m");
    if (bind(fd, (struct sockaddr *)&where, sizeof where))
        give_up("packet socket on %s: %m", interface);
    return fd;
}

static bool read_reply(const uint8_t *packet, size_t length, struct reply *reply)
{
    struct iphdr ip;
    size_t headers;

    memcpy(&ip, packet, sizeof ip);
    headers = ip.ihl * 4u + sizeof(struct udphdr);
    if (length < headers + sizeof reply->probe)
        return false;
    memcpy(&reply->probe, packet + headers, sizeof reply->probe);
    reply->source = ntohl(ip.saddr);
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
