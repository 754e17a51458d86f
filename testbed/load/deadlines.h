/* When to stop waiting, and when to go on. Slots are small numbers that the user gives out. */
#ifndef DEADLINES_H
#define DEADLINES_H

#include <stdbool.h>
#include <stdint.h>

#define NEVER UINT64_MAX

struct deadline_link {
    uint64_t at;
    uint32_t before, after;
};

/* Deadlines that are all equally far away when they are set: they pass in the order of setting, so a list will do. */
struct deadlines {
    struct deadline_link *links; /* by slot */
    uint64_t span;
    uint32_t first, last;
};

struct deadlines deadlines_for(uint32_t slots, uint64_t span);
void deadlines_set(struct deadlines *deadlines, uint32_t slot, uint64_t now); /* the slot has none */
void deadlines_clear(struct deadlines *deadlines, uint32_t slot);             /* the slot has one */
uint64_t deadlines_next(const struct deadlines *deadlines);                   /* NEVER when there is none */
/* Names the slot whose deadline has passed longest ago, and leaves it in place; false when there is none. */
bool deadlines_passed(const struct deadlines *deadlines, uint64_t now, uint32_t *slot);

struct alarm {
    uint64_t at;
    uint32_t slot;
};

/* Times in any order, which nobody takes back: a binary heap. */
struct alarms {
    struct alarm *heap;
    uint32_t count;
};

struct alarms alarms_for(uint32_t slots); /* a slot has at most one alarm */
void alarms_set(struct alarms *alarms, uint32_t slot, uint64_t at);
uint64_t alarms_next(const struct alarms *alarms);
/* Takes the earliest alarm that is due; false when there is none. */
bool alarms_take(struct alarms *alarms, uint64_t now, uint32_t *slot);

#endif
