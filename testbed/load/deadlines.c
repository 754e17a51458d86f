#include "deadlines.h"

#include <stdlib.h>

#include "base.h"

#define NONE UINT32_MAX

static void *room_for(uint32_t count, size_t size)
{
    void *room = calloc(count, size);

    if (!room)
        give_up("no memory for %u flows", count);
    return room;
}

struct deadlines deadlines_for(uint32_t slots, uint64_t span)
{
    return (struct deadlines){
        .links = room_for(slots, sizeof(struct deadline_link)), .span = span, .first = NONE, .last = NONE};
}

void deadlines_set(struct deadlines *deadlines, uint32_t slot, uint64_t now)
{
    deadlines->links[slot] =
        (struct deadline_link){.at = now + deadlines->span, .before = deadlines->last, .after = NONE};
    if (deadlines->last == NONE)
        deadlines->first = slot;
    else
        deadlines->links[deadlines->last].after = slot;
    deadlines->last = slot;
}

void deadlines_clear(struct deadlines *deadlines, uint32_t slot)
{
    const struct deadline_link *link = &deadlines->links[slot];

    if (link->before == NONE)
        deadlines->first = link->after;
    else
        deadlines->links[link->before].after = link->after;
    if (link->after == NONE)
        deadlines->last = link->before;
    else
        deadlines->links[link->after].before = link->before;
}

uint64_t deadlines_next(const struct deadlines *deadlines)
{
    return deadlines->first == NONE ? NEVER : deadlines->links[deadlines->first].at;
}

bool deadlines_passed(const struct deadlines *deadlines, uint64_t now, uint32_t *slot)
{
    *slot = deadlines->first;
    return deadlines_next(deadlines) <= now;
}

struct alarms alarms_for(uint32_t slots)
{
    return (struct alarms){.heap = room_for(slots, sizeof(struct alarm))};
}

void alarms_set(struct alarms *alarms, uint32_t slot, uint64_t at)
{
    struct alarm *heap = alarms->heap;
    uint32_t place = alarms->count++;

    while (place && heap[(place - 1) / 2].at > at) {
        heap[place] = heap[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    heap[place] = (struct alarm){.at = at, .slot = slot};
}

uint64_t alarms_next(const struct alarms *alarms)
{
    return alarms->count ? alarms->heap[0].at : NEVER;
}

bool alarms_take(struct alarms *alarms, uint64_t now, uint32_t *slot)
{
    struct alarm *heap = alarms->heap;
    struct alarm last;
    uint32_t place = 0, child;

    if (alarms_next(alarms) > now)
        return false;
    *slot = heap[0].slot;
    last = heap[--alarms->count];
    while ((child = 2 * place + 1) < alarms->count) {
        if (child + 1 < alarms->count && heap[child + 1].at < heap[child].at)
            child++;
        if (heap[child].at >= last.at)
            break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = last;
    return true;
}
