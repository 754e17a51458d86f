#include "generator.h"

#include <sys/epoll.h>
#include <unistd.h>

void watch(struct generator *g, int fd, uint32_t events, enum subject subject, uint32_t index)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)subject << 32 | index};

    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &event))
        give_up("epoll: %m");
}

void release(struct generator *g, uint32_t slot)
{
    struct flow *flow = &g->flows[slot];

    if (flow->state == ASKING) {
        deadlines_clear(&g->queries, slot);
        g->ports[flow->port].slots[flow->id] = NOBODY;
    } else if (flow->state == SENT || flow->state == GREETED) {
        deadlines_clear(&g->replies, slot);
    }
    if (flow->fd >= 0)
        close(flow->fd);
    if (!flow->idle) {
        g->under_way--;
        g->finished++;
    }
    flow->fd = -1;
    flow->state = UNUSED;
    flow->generation++;
    g->unused[g->unused_count++] = slot;
}

void lose(struct generator *g, uint32_t slot, enum loss loss)
{
    const struct flow *flow = &g->flows[slot];

    if (flow->measured && !flow->idle)
        g->results.lost[loss]++;
    release(g, slot);
}

void succeed(struct generator *g, uint32_t slot)
{
    const struct flow *flow = &g->flows[slot];

    g->completed++;
    g->results.ok += flow->measured;
    g->results.families[flow->ipv6].ok += flow->measured;
    release(g, slot);
}
