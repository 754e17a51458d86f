#include "histogram.h"

#include <math.h>

/* A value of n significant bits lies in the row n - 6, whose 64 buckets divide the octave evenly; the values
 * below 64 have a bucket each. 4096 buckets hold all of 64 bits. */
#define ROW_BITS 6
#define ROW (1u << ROW_BITS)

static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < ROW)
        return (unsigned)value;
    shift = 63u - (unsigned)__builtin_clzll(value) - ROW_BITS;
    return (shift + 1) * ROW + (unsigned)((value >> shift) & (ROW - 1));
}

static uint64_t middle_of(unsigned bucket)
{
    unsigned shift;

    if (bucket < ROW)
        return bucket;
    shift = bucket / ROW - 1;
    return ((uint64_t)(ROW + bucket % ROW) << shift) + ((1ull << shift) >> 1);
}

void histogram_add(struct histogram *histogram, uint64_t nanoseconds)
{
    histogram->buckets[bucket_of(nanoseconds)]++;
    histogram->count++;
    if (nanoseconds > histogram->longest)
        histogram->longest = nanoseconds;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count);
    uint64_t seen = 0;

    for (unsigned bucket = 0; histogram->count && bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted && seen)
            return middle_of(bucket) < histogram->longest ? middle_of(bucket) : histogram->longest;
    }
    return histogram->longest;
}
