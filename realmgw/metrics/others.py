"""Metrics of the programs beside the gateway: the SYN proxy node, and the repository's server."""

from __future__ import annotations

from realmgw.metrics.common import COMMON
from realmgw.metrics.declared import Metric, at, by, counter, gauge, state

NODE: tuple[Metric, ...] = (
    *COMMON,
    state("health", "How the node is.", "now.state", "state", "healthy", "degraded"),
    gauge("synnode_entries", "Entries of its table.", at("now.entries")),
    gauge("synnode_entries_limit", "How many it may have.", at("now.most_entries")),
    gauge("synnode_varieties", "Different TCP options that entries have.", at("now.varieties")),
    gauge("synnode_peers", "Gateways that are connected.", at("now.peers")),
    gauge(
        "synnode_things",
        "What is to be outside of it, by whether it is in place.",
        *by("state", "now.placed", "right wrong"),
    ),
    counter("synnode_requests", "Requests of gateways that were done.", at("requests.{operation}")),
    counter("synnode_refusals", "Requests that were not, by reason.", at("refused.{reason}")),
    counter("synnode_connections", "Connections of gateways, by what became of them.", at("connections.{event}")),
    counter(
        "synnode_transactions",
        "Transactions that the kernel has taken, or refused.",
        *by("result", "table", taken="transactions", refused="refused"),
    ),
    counter("synnode_repairs", "Times that something of ours was put back.", at("table.repairs")),
    counter("synnode_packets", "Packets that a rule, or the kernel's SYN proxy, has counted.", at("kernel.{counter}")),
)
"""All metrics of a SYN proxy node."""
REPOSITORY: tuple[Metric, ...] = (
    *COMMON,
    gauge("store_documents", "Documents, by kind.", at("documents.{kind}")),
    gauge(
        "store_connections_open",
        "Connections that are open: on which a token was shown, and on which none was.",
        *by("whose", "open", "known strangers"),
    ),
    counter(
        "store_connections",
        "Connections, by what became of them besides being accepted.",
        *by("event", "connections", "accepted displaced late"),
    ),
    counter(
        "store_requests_refused",
        "Requests without a token that is known, or without a place.",
        *by("why", "connections", unauthorised="unauthorised", no_place="refused"),
    ),
)
"""All metrics of a repository's server."""
