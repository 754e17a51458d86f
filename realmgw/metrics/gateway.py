"""Metrics of the gateway: its kernel's side, its parts around DNS and allocation, and how it is as a whole."""

from __future__ import annotations

from realmgw.metrics.alerts import ALERTS
from realmgw.metrics.allocation import ALLOCATION
from realmgw.metrics.common import COMMON
from realmgw.metrics.dashboard import DASHBOARD
from realmgw.metrics.declared import Metric, at, by, counter, gauge, info, state
from realmgw.metrics.names import NAMES
from realmgw.metrics.records import RECORDS

DATAPATH = (
    counter(
        "datapath_packets", "Packets that a rule of ours has counted, by its counter.", at("kernel.{counter}.packets")
    ),
    counter("datapath_octets", "Their octets, from the network header on.", at("kernel.{counter}.octets")),
    gauge("queue_waiting", "First packets that wait in the kernel for a verdict.", at("queue.waiting")),
    counter(
        "queue_dropped",
        "First packets that the kernel dropped before we saw them: no room in the queue, or in the socket.",
        *by("why", "queue", queue_full="full", socket_full="unsent"),
    ),
    counter("queue_packets", "Packets that were given to the queue.", at("queue.last")),
    gauge("conntrack_entries", "Flows in the kernel's connection tracking.", at("conntrack.entries")),
    gauge("conntrack_limit", "How many it may have.", at("conntrack.most")),
    counter(
        "datapath_strays",
        "Stray senders that the kernel was to be told of.",
        *by("event", "datapath", told="strays_told", lost="strays_lost"),
    ),
    gauge("datapath_strays_waiting", "Those that it is to be told of next.", at("datapath.strays_waiting")),
    counter(
        "datapath_repairs",
        "Times that something of ours was put back, which somebody else had removed.",
        at("datapath.repairs"),
    ),
    gauge(
        "datapath_things",
        "What is to be outside of the process, by whether it is in place.",
        *by("state", "now.placed", "right wrong"),
    ),
    counter(
        "neighbour_solicitations",
        "Solicitations for addresses of the pool, by what became of them.",
        *by("event", "neighbours", "answered unclaimed malformed limited lost"),
    ),
    counter(
        "datapath_refusals_told",
        "Packets that rules have dropped or refused and the kernel has told of, by what became of that.",
        *by("event", "refusals", "told unknown lost"),
    ),
    counter("neighbour_announcements", "Addresses that neighbours were told of unasked.", at("neighbours.announced")),
)
"""Of the kernel's side."""
AROUND = (
    counter(
        "portal_connections",
        "Connections to the portal, by what became of them besides being accepted.",
        *by("event", "portal", "crowded displaced late", accepted="connections"),
    ),
    gauge("portal_open", "Connections to the portal that are open now.", at("portal.open")),
    counter(
        "portal_answers",
        "Answers of the portal, by what they are.",
        *by("answer", "portal", "connected told api", page="pages", redirect="redirects", wrong_method="wrong_methods"),
    ),
    gauge("synproxy_reserved", "Reservations that SYN proxies are to know.", at("synproxy.reserved")),
    counter(
        "synproxy_events",
        "What happened between the gateway and all SYN proxies, by event.",
        *by("event", "synproxy.*", "connected sent done refused resynchronised overflowed unanswered malformed"),
    ),
    gauge(
        "synproxy_links", "SYN proxies, by whether they are in step.", *by("state", "now.synproxies", "in_step behind")
    ),
    gauge(
        "webproxy_names",
        "Names of the web proxy, by whether they have a route.",
        *by("state", "webproxy", "withheld", routed="names"),
    ),
    gauge(
        "webproxy_uncertified",
        "Names whose TLS ends at the web proxy, and that it has no certificate for.",
        at("webproxy.uncertified"),
    ),
    gauge(
        "webproxy_hosts",
        "Names of the web proxy whose hosts are looked at, or are to be, by how they are.",
        *by("state", "webproxy", "well ill unchecked"),
    ),
    gauge(
        "webproxy_certificates",
        "Certificates of the web proxy, by whether they can be used.",
        *by("state", "webproxy", used="certificates", faulty="certificate_faults"),
    ),
    counter(
        "webproxy_events",
        "What happened between the gateway and the web proxy, by event.",
        *by(
            "event", "webproxy", start="starts", change="changes", renewal="renewals", look="looks", failure="failures"
        ),
    ),
    gauge("webproxy_connected", "Clients that are connected to the web proxy now.", at("webproxy.connected")),
    counter(
        "webproxy_connections",
        "Connections to the web proxy, by what is spoken, since it was started last.",
        *by("what", "webproxy", http="http_connections", tls="tls_connections"),
    ),
    counter(
        "webproxy_tls_ended",
        "Connections to the web proxy whose TLS ends there, since it was started last.",
        at("webproxy.tls_ended"),
    ),
    counter(
        "webproxy_requests",
        "Requests of HTTP to the web proxy, since it was started last.",
        at("webproxy.http_requests"),
    ),
    counter(
        "webproxy_refused",
        "What the web proxy has not passed on, by reason, since it was started last.",
        *by(
            "reason",
            "webproxy",
            "http_malformed http_unknown tls_malformed tls_unknown tls_hidden tls_nameless misdirected too_many "
            "hosts_unreachable",
        ),
    ),
    counter(
        "webproxy_octets",
        "Octets of clients of the web proxy, by what became of them, since it was started last.",
        *by("what", "webproxy", received="octets_in", sent="octets_out"),
    ),
    counter(
        "repository_questions",
        "Questions to the repository, by what became of them.",
        *by("result", "repository", "changed unchanged failed"),
    ),
    counter("repository_asked", "Questions to the repository.", at("repository.asked")),
    counter(
        "repository_cache_errors",
        "Times that the cache of the repository's answers failed.",
        at("repository.cache_failed"),
    ),
    gauge("repository_hosts", "Hosts that the repository told of.", at("repository.hosts")),
    gauge(
        "repository_age_seconds",
        "How long ago the repository has answered last; as long as it has not, since the start.",
        at("repository.silent"),
    ),
    counter("control_requests", "Requests to the control interface.", at("control.requests")),
    counter("control_refused", "Those of them that could not be done.", at("control.refused")),
    counter(
        "control_connections_closed",
        "Connections to the control interface that were closed since there were too many.",
        at("control.connections_closed"),
    ),
    counter(
        "control_streamed",
        "What was told over a while, and what of it was lost.",
        *by("result", "control", told="told_over_a_while", lost="not_told"),
    ),
)
"""Of parts around DNS and allocation."""
WHOLE = (
    info("config", "The configuration in force, by the beginning of a SHA-256 of all settings.", "now.config", "hash"),
    gauge("config_applied_timestamp_seconds", "Since when it is in force.", at("now.config_since")),
    gauge("hosts", "Subscribers.", at("now.hosts")),
    gauge("services", "Their services.", at("now.services")),
    state("health", "How the gateway is.", "now.state", "state", "healthy", "last good", "degraded"),
    gauge(
        "troubles", "What is wrong now, by how bad it is.", *by("severity", "now.troubles", "notice last_good degraded")
    ),
    counter(
        "troubles_begun",
        "Troubles that have begun, by how bad they are.",
        *by("severity", "health", "notice last_good degraded"),
    ),
    counter("reloads", "Reloads.", at("reloads.count")),
    counter("reloads_refused", "Those of them that were refused, or failed.", at("reloads.refused")),
    state(
        "reload_last",
        "What became of the last reload.",
        "reloads.last",
        "result",
        "applied",
        "unchanged",
        "refused",
        "failed",
    ),
    gauge(
        "reload_longest_pause_seconds",
        "For how long the reactor was kept, at most, by any piece of a reload or of a listing.",
        at("reloads.longest_pause"),
    ),
    counter(
        "subscriber_pieces_alike",
        "Pieces of subscriber files that were read quickly, since they look like others.",
        at("subscribers.pieces_alike"),
    ),
)
"""Of the gateway as a whole."""

GATEWAY: tuple[Metric, ...] = (*COMMON, *WHOLE, *NAMES, *ALLOCATION, *DATAPATH, *AROUND, *ALERTS, *DASHBOARD, *RECORDS)
"""All metrics of a gateway."""
