"""Metrics of alerts: what came, and what was done."""

from __future__ import annotations

from realmgw.metrics.declared import Metric, at, by, counter, gauge

ALERTS: tuple[Metric, ...] = (
    counter(
        "alert_lines",
        "Lines that an intrusion detection system has sent, by what became of them.",
        *by("result", "alerts", "alerts others malformed lost too_long cut", received="lines"),
    ),
    counter(
        "alert_datagrams_lost",
        "Datagrams of it that the kernel had no room for until they were read.",
        at("alerts.datagrams_lost"),
    ),
    gauge("alert_lines_waiting", "Lines of it that are to be looked at next.", at("alerts.waiting")),
    gauge("alert_connections", "Who writes alerts to the socket now.", at("alerts.connections")),
    counter(
        "alert_senders_refused",
        "Those who may not send alerts, or had to go for another one.",
        *by("why", "alerts", crowded="connections_closed", forbidden="senders_refused"),
    ),
    counter(
        "alerts",
        "Alerts, by what was found or done; one may have several.",
        *by(
            "outcome",
            "alerts",
            "repeated without_rule without_flow not_proven ended not_ended banned not_banned bans_failed"
            " blamed nobody_blamed audited",
        ),
    ),
    gauge("bans", "Clients who are banned now.", at("alerts.bans")),
)
"""All of them."""
