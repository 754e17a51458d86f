#include "results.h"

#include <inttypes.h>
#include <stdio.h>

#include "base.h"

static const char *const LOSSES[LOSS_KINDS] = {
    [LOSS_NO_ANSWER] = "no_answer",
    [LOSS_FAILED] = "failed",
    [LOSS_NO_ADDRESS] = "no_address",
    [LOSS_TRUNCATED] = "truncated",
    [LOSS_MALFORMED] = "malformed",
    [LOSS_NO_REPLY] = "no_reply",
    [LOSS_REFUSED] = "refused",
    [LOSS_MISDELIVERED] = "misdelivered",
    [LOSS_LOCAL] = "local",
};

static double microseconds(uint64_t nanoseconds)
{
    return (double)nanoseconds / MICROSECOND;
}

static void print_times(const char *name, const struct histogram *times)
{
    printf(", \"%s_us\": {\"count\": %" PRIu64 ", \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, "
           "\"longest\": %.1f}",
           name, times->count, microseconds(histogram_percentile(times, 0.5)),
           microseconds(histogram_percentile(times, 0.9)), microseconds(histogram_percentile(times, 0.99)),
           microseconds(histogram_percentile(times, 0.999)), microseconds(times->longest));
}

static void print_losses(const struct results *results)
{
    printf(", \"lost\": {");
    for (unsigned kind = 0; kind < LOSS_KINDS; kind++)
        printf("%s\"%s\": %" PRIu64, kind ? ", " : "", LOSSES[kind], results->lost[kind]);
    printf("}, \"codes\": {");
    for (unsigned code = 0, printed = 0; code < 16; code++)
        if (results->codes[code])
            printf("%s\"%u\": %" PRIu64, printed++ ? ", " : "", code, results->codes[code]);
    printf("}");
}

static void print_cpu(const struct results *results)
{
    double flows = results->completed ? (double)results->completed : 1;

    printf(", \"cpu\": {\"watched_us_per_flow\": %.3f, \"watched_share\": %.4f, \"own_us_per_flow\": %.3f}",
           microseconds(results->watched_time) / flows,
           (double)results->watched_time / (double)(results->ended - results->began),
           microseconds(results->own_time) / flows);
}

void results_print(const struct results *results)
{
    double seconds = (double)(results->ended - results->began) / SECOND;

    printf("{\"started\": %" PRIu64 ", \"ok\": %" PRIu64 ", \"seconds\": %.3f, \"per_second\": %.1f",
           results->started, results->ok, seconds, (double)results->completed / seconds);
    print_losses(results);
    printf(", \"asked_again\": %" PRIu64 ", \"skipped\": %" PRIu64 ", \"strangers\": %" PRIu64, results->asked_again,
           results->skipped, results->strangers);
    printf(", \"idle\": {\"started\": %" PRIu64 ", \"answered\": %" PRIu64 "}", results->idle_started,
           results->idle_answered);
    print_times("resolve", &results->resolve);
    print_times("connect", &results->connect);
    print_times("total", &results->total);
    print_cpu(results);
    for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
        printf(", \"ipv%u\": {\"started\": %" PRIu64 ", \"ok\": %" PRIu64, ipv6 ? 6 : 4, results->families[ipv6].started,
               results->families[ipv6].ok);
        print_times("total", &results->families[ipv6].total);
        printf("}");
    }
    printf("}\n");
}
