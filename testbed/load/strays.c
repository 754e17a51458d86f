/* strays - packets that nobody asked for: to the addresses of a pool, or queries to a DNS server.
 *
 *   strays --sources ADDRESS+N --targets ADDRESS+N [--kind syn|udp|query] [--port PORT] [--names FILE] --rate R
 *          [--fixed] [--begin T] [--seconds S]
 *
 * Addresses are of either family, and may be PREFIX/LENGTH of IPv6: then they are drawn by chance. Poisson arrivals, or
 * evenly spaced ones, from second T of the monotonic clock on; sources and targets one after the other, each packet from
 * another port. A query is one for the A record of a random name of FILE, which `flows` reads as well. Prints one line of
 * JSON:
 * {"sent": packets, "failed": packets that the kernel did not take, "seconds": S}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base.h"
#include "dns.h"
#include "packets.h"
#include "targets.h"

#define FIRST_PORT 1024
#define PORTS 64000
#define BURST 256 /* packets sent before the clock is read again */

enum kind { KIND_SYN, KIND_UDP, KIND_QUERY };

struct strays {
    struct address_range sources, targets;
    enum kind kind;
    const char *path; /* of the names */
    struct targets names;
    bool fixed; /* evenly spaced */
    uint16_t port;
    double rate;
    uint64_t begin, duration;
    uint64_t sent, failed;
};

static enum kind read_kind(const char *text)
{
    static const char *const kinds[] = {[KIND_SYN] = "syn", [KIND_UDP] = "udp", [KIND_QUERY] = "query"};

    for (unsigned kind = 0; kind <= KIND_QUERY; kind++)
        if (!strcmp(text, kinds[kind]))
            return (enum kind)kind;
    give_up("--kind %s: syn, udp or query is wanted", text);
}

static void check(struct strays *strays)
{
    if (!strays->sources.count || !strays->targets.count || strays->rate <= 0)
        give_up("--sources, --targets and --rate are wanted");
    if (is_ipv4(&strays->sources.first) != is_ipv4(&strays->targets.first))
        give_up("--sources and --targets are of one family");
    if (strays->kind != KIND_QUERY)
        return;
    if (!strays->path)
        give_up("--kind query wants --names");
    strays->names = targets_from(strays->path, strays->port);
}

static struct strays strays_from(int count, char **arguments)
{
    static const struct option known[] = {
        {"sources", required_argument, NULL, 's'}, {"targets", required_argument, NULL, 't'},
        {"kind", required_argument, NULL, 'k'},    {"port", required_argument, NULL, 'p'},
        {"rate", required_argument, NULL, 'r'},    {"seconds", required_argument, NULL, 'd'},
        {"names", required_argument, NULL, 'n'},   {"fixed", no_argument, NULL, 'f'},
        {"begin", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    struct strays strays = {.kind = KIND_SYN, .port = 5000, .duration = 10 * SECOND};
    int name;

    while ((name = getopt_long(count, arguments, "", known, NULL)) >= 0) {
        switch (name) {
        case 's': strays.sources = read_range("sources", optarg); break;
        case 't': strays.targets = read_range("targets", optarg); break;
        case 'k': strays.kind = read_kind(optarg); break;
        case 'n': strays.path = optarg; break;
        case 'f': strays.fixed = true; break;
        case 'b': strays.begin = (uint64_t)(read_number("begin", optarg, 0, 1e9) * SECOND); break;
        case 'p': strays.port = (uint16_t)read_number("port", optarg, 1, 65535); break;
        case 'r': strays.rate = read_number("rate", optarg, 0.01, 1e6); break;
        case 'd': strays.duration = (uint64_t)(read_number("seconds", optarg, 0.001, 3600) * SECOND); break;
        default: give_up("see the head of strays.c");
        }
    }
    check(&strays);
    return strays;
}

static bool send_query(int fd, const struct strays *strays, const struct ends *ends)
{
    const struct target *target = &strays->names.all[chance() % strays->names.count];
    uint8_t message[DNS_QUERY_MOST];
    struct dns_question question = {target->name, target->name_length, false};
    size_t length = dns_query(message, (uint16_t)chance(), &question, false);

    return packets_send_udp(fd, ends, message, length);
}

static bool send_stray(int fd, const struct strays *strays, const struct ends *ends)
{
    struct probe nothing = {.mark = 0};

    switch (strays->kind) {
    case KIND_SYN: return packets_send_syn(fd, ends);
    case KIND_UDP: return packets_send_probe(fd, ends, &nothing);
    case KIND_QUERY: return send_query(fd, strays, ends);
    }
    return false;
}

static void send_one(int fd, struct strays *strays)
{
    uint64_t turn = strays->sent + strays->failed;
    struct ends ends = {
        .source = address_of_range(&strays->sources, turn),
        .destination = address_of_range(&strays->targets, turn),
        .source_port = (uint16_t)(FIRST_PORT + chance() % PORTS),
        .destination_port = strays->port,
    };

    *(send_stray(fd, strays, &ends) ? &strays->sent : &strays->failed) += 1;
}

static void sleep_until(uint64_t time)
{
    struct timespec until = {.tv_sec = (time_t)(time / SECOND), .tv_nsec = (long)(time % SECOND)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

int main(int count, char **arguments)
{
    struct strays strays = strays_from(count, arguments);
    int fd = packets_open_sender(!is_ipv4(&strays.sources.first));
    uint64_t began, end;
    double next;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1000);
    seed_chance(0);
    sleep_until(strays.begin);
    began = now();
    end = began + strays.duration;
    next = (double)began;
    while (now() < end) {
        uint64_t time = now();

        for (unsigned burst = 0; next <= (double)time && burst < BURST; burst++) {
            send_one(fd, &strays);
            next += strays.fixed ? SECOND / strays.rate : chance_exponential(SECOND / strays.rate);
        }
        if (next > (double)time)
            sleep_until((uint64_t)next < end ? (uint64_t)next : end);
    }
    printf("{\"sent\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"seconds\": %.3f}\n", strays.sent, strays.failed,
           (double)(now() - began) / SECOND);
    return 0;
}
