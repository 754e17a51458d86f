/* flows - asks for names and goes where the answers say; see `flows --help`.
 *
 * One thread, one epoll. Here is the course of time: when flows begin, when waiting ends, what is measured. What a flow
 * is, generator.h tells.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#include "client.h"
#include "generator.h"
#include "resolver.h"

#define EVENTS 128
#define BURST 512 /* flows begun between two looks at the sockets */

static bool enough(const struct generator *g, uint64_t time)
{
    const struct results *results = &g->results;

    return (g->options.flows && results->started >= g->options.flows) ||
           time >= results->began + g->options.duration;
}

/* The CPU time is that of the measurement, and is divided by the flows that came through within it, whenever they
 * began. While the last flows finish afterwards, nothing is counted. */
static void account(struct generator *g, int sign)
{
    struct results *results = &g->results;

    results->watched_time += (uint64_t)sign * watched_cpu_time(&g->options.watched);
    results->own_time += (uint64_t)sign * own_cpu_time();
    results->completed += (uint64_t)sign * g->completed;
}

static void turn_pages(struct generator *g, uint64_t time)
{
    if (!g->measuring && !g->stopping && g->finished >= g->options.warm_flows &&
        time >= g->opened + g->options.warm_up) {
        g->measuring = true;
        account(g, -1);
        g->results.began = now();
    } else if (g->measuring && enough(g, time)) {
        g->measuring = false;
        g->stopping = true;
        g->results.ended = now();
        account(g, +1);
    }
}

static void begin_poisson(struct generator *g, double *next, double rate, bool idle, uint64_t time)
{
    for (unsigned burst = 0; *next <= (double)time && burst < BURST && !(g->measuring && enough(g, time)); burst++) {
        resolver_begin(g, idle, (uint64_t)*next);
        *next += chance_exponential(SECOND / rate);
    }
}

static void begin_flows(struct generator *g, uint64_t time)
{
    if (g->options.idle_rate > 0)
        begin_poisson(g, &g->next_idle, g->options.idle_rate, true, time);
    if (g->options.rate > 0) {
        begin_poisson(g, &g->next_flow, g->options.rate, false, time);
        return;
    }
    for (unsigned burst = 0; g->under_way < g->options.outstanding && burst < BURST; burst++) {
        if (!g->unused_count || (g->measuring && enough(g, time)))
            return;
        resolver_begin(g, false, now());
    }
}

static void pass_deadlines(struct generator *g, uint64_t time)
{
    uint32_t slot;

    while (deadlines_passed(&g->queries, time, &slot))
        resolver_ask_again(g, slot, time);
    while (deadlines_passed(&g->replies, time, &slot))
        lose(g, slot, LOSS_NO_REPLY);
    while (alarms_take(&g->pauses, time, &slot))
        client_send(g, slot, now());
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long nothing will have to be done; at most 10 ms, so that the pages are turned in time. */
static struct timespec idle_time(const struct generator *g, uint64_t time)
{
    uint64_t next = earlier(time + 10 * MILLISECOND, earlier(deadlines_next(&g->queries),
                                                             deadlines_next(&g->replies)));

    next = earlier(next, alarms_next(&g->pauses));
    if (!g->stopping && g->options.rate > 0)
        next = earlier(next, (uint64_t)g->next_flow);
    if (!g->stopping && g->options.idle_rate > 0)
        next = earlier(next, (uint64_t)g->next_idle);
    return (struct timespec){.tv_sec = 0, .tv_nsec = next > time ? (long)(next - time) : 0};
}

static void handle(struct generator *g, uint64_t subject)
{
    switch ((enum subject)(subject >> 32)) {
    case SUBJECT_PORT:
        resolver_read(g, (uint32_t)subject);
        break;
    case SUBJECT_CLIENT:
        client_read(g, (uint32_t)subject);
        break;
    case SUBJECT_RECEIVER:
        client_read_receiver(g, (uint32_t)subject);
        break;
    case SUBJECT_STREAM:
        resolver_read_stream(g, (uint32_t)subject);
        break;
    }
}

static void run(struct generator *g)
{
    struct epoll_event events[EVENTS];

    while (!g->stopping || g->unused_count < g->options.slots) {
        uint64_t time = now();
        struct timespec idle;
        int ready;

        turn_pages(g, time);
        if (!g->stopping)
            begin_flows(g, time);
        pass_deadlines(g, time);
        idle = idle_time(g, now());
        ready = epoll_pwait2(g->epoll, events, EVENTS, &idle, NULL);
        for (int i = 0; i < ready; i++)
            handle(g, events[i].data.u64);
    }
}

static void open_flows(struct generator *g)
{
    uint32_t slots = g->options.slots;

    g->flows = calloc(slots, sizeof *g->flows);
    g->unused = calloc(slots, sizeof *g->unused);
    if (!g->flows || !g->unused)
        give_up("no memory for %u flows", slots);
    for (uint32_t slot = 0; slot < slots; slot++) {
        g->flows[slot].fd = -1;
        g->unused[g->unused_count++] = slots - 1 - slot;
    }
    g->queries = deadlines_for(slots, g->options.query_timeout);
    g->replies = deadlines_for(slots, g->options.reply_timeout);
    g->pauses = alarms_for(slots);
}

int main(int count, char **arguments)
{
    static struct generator g;

    g.options = options_from(count, arguments);
    g.targets = targets_from(g.options.names, g.options.port);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nothing stays behind when the bench is killed */
    prctl(PR_SET_TIMERSLACK, 1000);   /* the default of 50 us would lump Poisson arrivals together */
    allow_many_files();
    open_flows(&g);
    g.epoll = epoll_create1(EPOLL_CLOEXEC);
    resolver_open(&g);
    client_open(&g);
    g.opened = now();
    g.next_flow = g.next_idle = (double)g.opened;
    run(&g);
    results_print(&g.results);
    return 0;
}
