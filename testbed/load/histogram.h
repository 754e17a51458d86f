/* How long things took, in buckets of 1.6 % relative width: percentiles without keeping every sample. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 4096

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t longest; /* nanoseconds */
};

void histogram_add(struct histogram *histogram, uint64_t nanoseconds);

/* The value that the share (0 to 1) of the samples does not exceed, in nanoseconds; 0 without samples. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);

#endif
