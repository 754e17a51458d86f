"""Metrics of the dashboard: who looks, and what was asked."""

from __future__ import annotations

from realmgw.metrics.declared import Metric, at, by, counter, gauge

DASHBOARD: tuple[Metric, ...] = (
    counter(
        "dashboard_connections",
        "Connections to the dashboard, by what became of them besides being accepted.",
        *by("event", "dashboard", "crowded displaced late", accepted="connections"),
    ),
    gauge("dashboard_open", "Connections to the dashboard that are open now, but for pages.", at("dashboard.open")),
    gauge("dashboard_readers", "Pages that are open now.", at("dashboard.readers")),
    counter(
        "dashboard_sessions",
        "Tokens that were shown, by whether a session came of it.",
        *by("result", "dashboard", "entered denied"),
    ),
    counter("dashboard_refused", "Requests to the dashboard that were not done.", at("dashboard.refused")),
    counter(
        "dashboard_commands",
        "Commands that the dashboard has asked for, and those of them that change something.",
        *by("what", "dashboard", "changes", all="commands"),
    ),
    counter(
        "dashboard_snapshots",
        "What open pages were told each second, by what became of it.",
        *by("result", "dashboard", "told slow failed"),
    ),
    counter(
        "dashboard_pages_ended",
        "Open pages that were ended for another one, or since they took nothing.",
        *by("why", "dashboard", "stuck", displaced="readers_displaced"),
    ),
    counter(
        "dashboard_untold",
        "What no open page was told of, since there was too much of it; of flows, in how many half seconds.",
        *by("what", "dashboard", flows="flows_lost", decisions="decisions_lost"),
    ),
)
"""All of them."""
