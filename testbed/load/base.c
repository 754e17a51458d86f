#define _GNU_SOURCE
#include "base.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t chance_state;

void give_up(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
}

uint64_t now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t own_cpu_time(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void seed_chance(uint64_t seed)
{
    chance_state = seed ? seed : now();
}

/* SplitMix64 (Steele, Lea, Flood 2014): any seed will do, and nothing here needs more. */
uint64_t chance(void)
{
    uint64_t z = (chance_state += 0x9E3779B97F4A7C15ull);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

double chance_unit(void)
{
    return (double)((chance() >> 11) + 1) / 9007199254740992.0; /* 2^53: never 0, so its logarithm exists */
}

double chance_exponential(double mean)
{
    return -log(chance_unit()) * mean;
}

double chance_normal(void)
{
    return sqrt(-2.0 * log(chance_unit())) * cos(2.0 * M_PI * chance_unit()); /* Box-Muller */
}

double read_number(const char *option, const char *text, double lowest, double highest)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end || !(value >= lowest && value <= highest))
        give_up("--%s %s: a number from %g to %g is wanted", option, text, lowest, highest);
    return value;
}

void enlarge_buffers(int fd)
{
    int size = 8 << 20;

    /* Without CAP_NET_ADMIN the kernel's limit stays; what is lost then shows in the losses. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void allow_many_files(void)
{
    struct rlimit limit = {.rlim_cur = 100000, .rlim_max = 100000};

    if (setrlimit(RLIMIT_NOFILE, &limit)) {
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
