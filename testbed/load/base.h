/* What every program here needs: time, chance, reading numbers, giving up. */
#ifndef BASE_H
#define BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECOND 1000000000ull /* in nanoseconds, the unit of every time here */
#define MILLISECOND 1000000ull
#define MICROSECOND 1000ull

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

/* Says why on standard error and exits with status 2. */
void give_up(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

uint64_t now(void);           /* CLOCK_MONOTONIC */
uint64_t own_cpu_time(void);  /* of this process, all threads */

void seed_chance(uint64_t seed); /* 0: from the clock */
uint64_t chance(void);           /* 64 random bits */
double chance_unit(void);        /* uniform in (0, 1] */
double chance_exponential(double mean);
double chance_normal(void); /* mean 0, deviation 1 */

/* Reads an option's value; a bad one ends the program with a line that names the option. */
double read_number(const char *option, const char *text, double lowest, double highest);

/* The socket's buffers, large enough that a burst is not lost in them. */
void enlarge_buffers(int fd);
void allow_many_files(void);

#endif
