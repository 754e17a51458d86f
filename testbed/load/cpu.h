/* The CPU time of other processes, to the nanosecond. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>
#include <sys/types.h>

#define WATCHED_MOST 16

struct watched {
    pid_t processes[WATCHED_MOST];
    unsigned count;
};

/* Reads "PID" or "PID,PID,...". */
struct watched watched_from(const char *option, const char *text);

/* The time that all threads of all watched processes have run so far, in nanoseconds. A process that is gone ends
 * the program: a figure without its time would look good. */
uint64_t watched_cpu_time(const struct watched *watched);

#endif
