#include "cpu.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

struct watched watched_from(const char *option, const char *text)
{
    struct watched watched = {.count = 0};
    const char *rest = text;
    char *end;

    do {
        long process = strtol(rest, &end, 10);

        if (end == rest || process <= 0 || (*end && *end != ',') || watched.count == WATCHED_MOST)
            give_up("--%s %s: up to %d process numbers, with commas between them, are wanted", option, text,
                    WATCHED_MOST);
        watched.processes[watched.count++] = (pid_t)process;
        rest = end + 1;
    } while (*end);
    return watched;
}

/* /proc/PID/task/TID/schedstat begins with the time on the CPU in nanoseconds, where stat has ticks of 4 or 10 ms. */
static uint64_t thread_cpu_time(pid_t process, const char *thread)
{
    char path[300];
    uint64_t time = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/task/%.200s/schedstat", (int)process, thread);
    file = fopen(path, "r");
    if (!file)
        return 0; /* the thread ended between the listing and now */
    if (fscanf(file, "%" SCNu64, &time) != 1)
        give_up("%s: no time in it; the kernel needs CONFIG_SCHED_INFO", path);
    fclose(file);
    return time;
}

static uint64_t process_cpu_time(pid_t process)
{
    char path[64];
    uint64_t time = 0;
    struct dirent *entry;
    DIR *threads;

    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    threads = opendir(path);
    if (!threads)
        give_up("process %d, whose CPU time is wanted, is not there", (int)process);
    while ((entry = readdir(threads)))
        if (entry->d_name[0] != '.')
            time += thread_cpu_time(process, entry->d_name);
    closedir(threads);
    return time;
}

uint64_t watched_cpu_time(const struct watched *watched)
{
    uint64_t time = 0;

    for (unsigned i = 0; i < watched->count; i++)
        time += process_cpu_time(watched->processes[i]);
    return time;
}
