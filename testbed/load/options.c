#define _GNU_SOURCE
#include "options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: flows --server ADDRESS --names FILE [OPTION VALUE]...\n"
    "\n"
    "One flow is: a query for a name, its answer, a first packet to the address in it, the host's reply.\n"
    "The result is one line of JSON: times in microseconds, of flows begun within the measurement.\n"
    "\n"
    "  --server ADDRESS        the gateway's DNS server\n"
    "  --server-port PORT      its port (53)\n"
    "  --names FILE            lines `NAME HOST-ADDRESS[,HOST-ADDRESS] [PORT]`: who should answer behind each name\n"
    "  --port PORT             port of names without one (5000)\n"
    "  --order cycle|random    of the names (cycle)\n"
    "  --via raw|udp|tcp|none  how the first packet goes out (udp); none: only the query\n"
    "\n"
    "  --outstanding N         closed loop: N flows under way at any time (1)\n"
    "  --rate R                open loop: R flows per second, Poisson\n"
    "  --slots N               at most N flows and idle queries at once (20000); what is beyond is `skipped`\n"
    "  --idle R                besides, R queries per second that nobody follows, Poisson\n"
    "\n"
    "  --seconds S             measure at most so long (10)\n"
    "  --flows N               measure at most N flows\n"
    "  --warm-seconds S        first run so long without measuring\n"
    "  --warm-flows N          first finish N flows without measuring\n"
    "\n"
    "  --resolver ADDRESS      ask from this address\n"
    "  --ports N               and so many ports (1)\n"
    "  --edns                  with an OPT record\n"
    "  --query-timeout MS      ask again, or give up, after this time (1000)\n"
    "  --retries N             ask again so often (0)\n"
    "  --sources ADDRESS+N     the clients' addresses, one after the other; raw: routed to here, but not owned\n"
    "  --sources6 ADDRESS+N    the same of IPv6\n"
    "  --ipv6 SHARE            this part of the clients, 0 to 1, asks for AAAA and comes by IPv6 (0)\n"
    "  --dual                  every client asks for A and AAAA, and follows the one that it comes by\n"
    "  --interface NAME        raw: where replies arrive\n"
    "  --reply-timeout MS      a client gives up after this time (1000)\n"
    "  --delay MEDIAN,P999     a client waits before its first packet: log-normal, ms at 50 and 99.9 %\n"
    "\n"
    "  --cpu PID[,PID]...      measure the CPU time of these processes\n"
    "  --seed N                for the same chances again\n";

enum option_name {
    SERVER, SERVER_PORT, NAMES, PORT, ORDER, VIA, OUTSTANDING, RATE, SLOTS, IDLE, SECONDS, FLOWS, WARM_SECONDS,
    WARM_FLOWS, RESOLVER, PORTS, EDNS, QUERY_TIMEOUT, RETRIES, SOURCES, INTERFACE, REPLY_TIMEOUT, DELAY, CPU, SEED,
    IPV6, SOURCES6, DUAL, HELP,
};

static const struct option KNOWN[] = {
    [SERVER] = {"server", required_argument, NULL, SERVER},
    [SERVER_PORT] = {"server-port", required_argument, NULL, SERVER_PORT},
    [NAMES] = {"names", required_argument, NULL, NAMES},
    [PORT] = {"port", required_argument, NULL, PORT},
    [ORDER] = {"order", required_argument, NULL, ORDER},
    [VIA] = {"via", required_argument, NULL, VIA},
    [OUTSTANDING] = {"outstanding", required_argument, NULL, OUTSTANDING},
    [RATE] = {"rate", required_argument, NULL, RATE},
    [SLOTS] = {"slots", required_argument, NULL, SLOTS},
    [IDLE] = {"idle", required_argument, NULL, IDLE},
    [SECONDS] = {"seconds", required_argument, NULL, SECONDS},
    [FLOWS] = {"flows", required_argument, NULL, FLOWS},
    [WARM_SECONDS] = {"warm-seconds", required_argument, NULL, WARM_SECONDS},
    [WARM_FLOWS] = {"warm-flows", required_argument, NULL, WARM_FLOWS},
    [RESOLVER] = {"resolver", required_argument, NULL, RESOLVER},
    [PORTS] = {"ports", required_argument, NULL, PORTS},
    [EDNS] = {"edns", no_argument, NULL, EDNS},
    [QUERY_TIMEOUT] = {"query-timeout", required_argument, NULL, QUERY_TIMEOUT},
    [RETRIES] = {"retries", required_argument, NULL, RETRIES},
    [SOURCES] = {"sources", required_argument, NULL, SOURCES},
    [INTERFACE] = {"interface", required_argument, NULL, INTERFACE},
    [REPLY_TIMEOUT] = {"reply-timeout", required_argument, NULL, REPLY_TIMEOUT},
    [DELAY] = {"delay", required_argument, NULL, DELAY},
    [CPU] = {"cpu", required_argument, NULL, CPU},
    [SEED] = {"seed", required_argument, NULL, SEED},
    [IPV6] = {"ipv6", required_argument, NULL, IPV6},
    [SOURCES6] = {"sources6", required_argument, NULL, SOURCES6},
    [DUAL] = {"dual", no_argument, NULL, DUAL},
    [HELP] = {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static unsigned read_word(const char *option, const char *text, const char *const words[], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(text, words[i]))
            return i;
    give_up("--%s %s: no such choice; see --help", option, text);
}

static uint64_t read_milliseconds(const char *option, const char *text)
{
    return (uint64_t)(read_number(option, text, 1, 3600e3) * MILLISECOND);
}

/* 99.9 % of a normal distribution lie below 3.0902 deviations. */
static void read_delay(struct options *options, const char *text)
{
    double median, most;
    char behind;

    if (sscanf(text, "%lf,%lf%c", &median, &most, &behind) != 2 || median <= 0 || most <= median)
        give_up("--delay %s: two times in milliseconds, the second one longer, are wanted", text);
    options->delay_median = median * MILLISECOND;
    options->delay_deviation = log(most / median) / 3.0902;
}

static void read_what(struct options *options, enum option_name name, const char *text)
{
    static const char *const orders[] = {"cycle", "random"};
    static const char *const vias[] = {[VIA_RAW] = "raw", [VIA_UDP] = "udp", [VIA_TCP] = "tcp", [VIA_NONE] = "none"};
    const char *option = KNOWN[name].name;

    switch (name) {
    case SERVER: options->server = read_address(option, text); break;
    case SERVER_PORT: options->server_port = (uint16_t)read_number(option, text, 1, 65535); break;
    case NAMES: options->names = text; break;
    case PORT: options->port = (uint16_t)read_number(option, text, 1, 65535); break;
    case ORDER: options->random_names = read_word(option, text, orders, 2) == 1; break;
    case VIA: options->via = (enum via)read_word(option, text, vias, 4); break;
    case OUTSTANDING: options->outstanding = (uint32_t)read_number(option, text, 1, 60000); break;
    case RATE: options->rate = read_number(option, text, 0.01, 1e6); break;
    case SLOTS: options->slots = (uint32_t)read_number(option, text, 1, 60000); break;
    case IDLE: options->idle_rate = read_number(option, text, 0, 1e6); break;
    case SECONDS: options->duration = (uint64_t)(read_number(option, text, 0.001, 3600) * SECOND); break;
    case FLOWS: options->flows = (uint64_t)read_number(option, text, 1, 1e9); break;
    case WARM_SECONDS: options->warm_up = (uint64_t)(read_number(option, text, 0, 3600) * SECOND); break;
    case WARM_FLOWS: options->warm_flows = (uint64_t)read_number(option, text, 0, 1e9); break;
    default: give_up("%s", USAGE);
    }
}

static void read_how(struct options *options, enum option_name name, const char *text)
{
    const char *option = KNOWN[name].name;

    switch (name) {
    case RESOLVER: options->resolver = read_address(option, text); break;
    case PORTS: options->ports = (unsigned)read_number(option, text, 1, 1000); break;
    case EDNS: options->edns = true; break;
    case QUERY_TIMEOUT: options->query_timeout = read_milliseconds(option, text); break;
    case RETRIES: options->retries = (unsigned)read_number(option, text, 0, 100); break;
    case SOURCES: options->sources = read_range(option, text); break;
    case SOURCES6: options->sources6 = read_range(option, text); break;
    case IPV6: options->ipv6 = read_number(option, text, 0, 1); break;
    case DUAL: options->dual = true; break;
    case INTERFACE: options->interface = text; break;
    case REPLY_TIMEOUT: options->reply_timeout = read_milliseconds(option, text); break;
    case DELAY: read_delay(options, text); break;
    case CPU: options->watched = watched_from(option, text); break;
    case SEED: seed_chance((uint64_t)read_number(option, text, 1, 1e15)); break;
    default: read_what(options, name, text);
    }
}

static void check(const struct options *options)
{
    if (IN6_IS_ADDR_UNSPECIFIED(&options->server) || !options->names)
        give_up("--server and --names are wanted; see --help");
    if (options->via == VIA_RAW && (!options->interface || (options->ipv6 < 1 && !options->sources.count) ||
                                    (options->ipv6 > 0 && !options->sources6.count)))
        give_up("--via raw wants --interface, and --sources or --sources6");
    if ((options->sources.count && !is_ipv4(&options->sources.first)) ||
        (options->sources6.count && is_ipv4(&options->sources6.first)))
        give_up("--sources are of IPv4, and --sources6 of IPv6");
    if (options->slots < options->outstanding)
        give_up("--outstanding %u is more than --slots %u", options->outstanding, options->slots);
}

struct options options_from(int count, char **arguments)
{
    struct options options = {
        .server_port = 53,
        .port = 5000,
        .via = VIA_UDP,
        .outstanding = 1,
        .slots = 20000,
        .duration = 10 * SECOND,
        .ports = 1,
        .query_timeout = SECOND,
        .reply_timeout = SECOND,
    };
    int name;

    seed_chance(0);
    while ((name = getopt_long(count, arguments, "", KNOWN, NULL)) >= 0) {
        if (name == HELP) {
            fputs(USAGE, stdout);
            exit(0);
        }
        if (name == '?')
            give_up("see --help");
        read_how(&options, (enum option_name)name, optarg);
    }
    if (optind < count)
        give_up("%s: no argument is wanted here; see --help", arguments[optind]);
    check(&options);
    return options;
}
