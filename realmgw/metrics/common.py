"""Metrics that every program of ours has: what it is, its log, how late it is, and its metrics themselves."""

from __future__ import annotations

from realmgw.metrics.declared import at, by, counter, gauge, histogram, info

COMMON = (
    info("build", "What runs.", "now.build", "version", "python", "twisted"),
    gauge("start_timestamp_seconds", "When the program has come to run.", at("now.start")),
    counter("log_events", "Events of the log, by what became of them.", *by("result", "log", "written lost held_back")),
    histogram(
        "reactor_lag_seconds", "How late the reactor's timers are, looked at ten times a second.", at("metrics.lag")
    ),
    counter(
        "metrics_connections",
        "Connections for metrics, by what became of them besides being accepted.",
        *by("event", "metrics", "crowded displaced late forbidden", accepted="connections"),
    ),
    gauge("metrics_open", "Connections for metrics that are open now.", at("metrics.open")),
    counter(
        "metrics_requests",
        "Requests for metrics, by what became of them.",
        *by("result", "metrics", "scraped joined failed wrong"),
    ),
    gauge("metrics_scrape_seconds", "How long the scrape before this one took.", at("metrics.seconds")),
    gauge(
        "metrics_longest_slice_seconds",
        "For how long the reactor was kept, at most, by any piece of a scrape.",
        at("metrics.longest_slice"),
    ),
    gauge(
        "metrics_longest_slice_processor_seconds",
        "How much processor time any piece of a scrape spent at most.",
        at("metrics.most_spent"),
    ),
)
"""All of them."""
