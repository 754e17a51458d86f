"""Metrics of DNS: what is asked and answered, the forwarder, updates, and what they register."""

from __future__ import annotations

from realmgw.errors import Reason
from realmgw.metrics.declared import Source, at, by, counter, gauge, histogram

FACE = "dns.{face:wan|lan|local|update}"
"""Where in the tree what each face of the DNS server has counted is."""
OF_QUERIES = "|".join(reason.name.lower() for reason in Reason if reason < 32)
"""Why queries are refused; all other reasons are those of packets."""
_ITS_OWN = ("nxdomain", "refused", "formerr", "notimp", "badvers", "notauth", "forwarded", "repeated")
OUTCOMES = {
    "noerror": "reserved addresses records nodata challenged_tc challenged_cname aliases_full rate_slipped tc_to_wait"
    " cookies",
    **{each: each for each in _ITS_OWN},
    "servfail": "servfail servfail_udp",
    "badcookie": "challenged_cookie",
    "none": "silent rate_dropped",
}
"""The RCODE that a query was told, and what became of it; `none`: it got no answer; `forwarded`: a resolver's;
`repeated`: the same as the query before."""


def _face(name: str) -> Source:
    return at(f"{FACE}.{name}")


NAMES = (
    counter("dns_queries", "DNS queries that came, by the face of the server that they came to.", _face("queries")),
    counter("dns_questions", "DNS queries by the type that they ask for.", _face("types.{type}")),
    counter(
        "dns_messages", "Messages at the server's sockets, by how they came.", _face("messages.{transport}.{family}")
    ),
    histogram(
        "dns_query_seconds",
        "How long a query took, of one in eight: from when it was read until the kernel had its answer, or it was to"
        " wait for one.",
        _face("seconds"),
    ),
    counter(
        "dns_answers",
        "What became of DNS queries; each has one outcome.",
        *(
            at(f"{FACE}.{each}", outcome=each, rcode=rcode)
            for rcode, every in OUTCOMES.items()
            for each in every.split()
        ),
    ),
    counter(
        "dns_refusals",
        "Queries for an address of the pool that got none, by reason.",
        at(f"{FACE}.refused_by.{{reason:{OF_QUERIES}}}"),
    ),
    counter("dns_waits", "Queries that were made to wait for an address.", _face("waited")),
    counter(
        "dns_retries",
        "Queries by TCP that the policy refused, and for which an address was asked for once more.",
        _face("tried_again"),
    ),
    counter("dns_inside", "Queries from a LAN at the WAN's face, which were answered as on the LAN.", _face("inside")),
    counter(
        "dns_messages_dropped", "Messages that are responses themselves, or too short to be queries.", _face("response")
    ),
    counter(
        "dns_answers_unsent", "Answers that the kernel did not take, or whose connection was gone.", _face("unsent")
    ),
    counter("dns_faults", "Faults of our own while a query was answered.", _face("fault")),
    counter(
        "dns_audited",
        "Answers that would have been others, were the challenge or the rate limit not in audit mode.",
        *by("what", FACE, challenge="challenge_audited", rate="rate_audited"),
    ),
    counter(
        "dns_lookups",
        "Queries for pool addresses, by whether they showed where they came from (`log_untrusted`).",
        *by("source", FACE, shown="trusted", unknown="untrusted"),
    ),
    counter("dns_groups_merged", "Resolver groups that became one because of a one-time alias.", _face("merged")),
    counter(
        "dns_tcp_connections",
        "TCP connections of DNS clients, by what became of them besides being accepted.",
        *by(
            "event",
            FACE,
            accepted="tcp_connections",
            refused="tcp_refused",
            evicted="tcp_evicted",
            idle="tcp_idle",
            bad_length="tcp_bad_length",
        ),
    ),
    gauge("dns_tcp_open", "TCP connections of DNS clients that are open now.", _face("tcp_open")),
    counter(
        "forwarder_events",
        "What the forwarder did, by event: hits of its cache, questions to resolvers, and so on.",
        at("dns.forward.{event:!outstanding|kept|octets|seconds}"),
    ),
    gauge("forwarder_outstanding", "Questions that resolvers are asked now.", at("dns.forward.outstanding")),
    gauge("forwarder_cache_entries", "Answers that the forwarder keeps now.", at("dns.forward.kept")),
    gauge("forwarder_cache_octets", "How much room they take.", at("dns.forward.octets")),
    counter(
        "forwarder_resolver_answers",
        "Answers of all resolvers together, times that one said that it has none, and times that one failed.",
        *by("result", "dns.resolver *", answered="answers", refused="refused", failed="failures"),
        *by("result", "dns.resolvers_dropped", answered="answers", refused="refused", failed="failures"),
    ),
    gauge(
        "forwarder_resolvers_resting",
        "Resolvers that are not asked now, since they failed.",
        at("dns.resolver *.resting"),
    ),
    histogram(
        "forwarder_resolver_seconds", "How long resolvers took to answer, all together.", at("dns.forward.seconds")
    ),
    gauge("forwarder_listed_names", "Names on lists of names that are not to be had.", at("dns.list *.names")),
    counter(
        "forwarder_listed",
        "Queries that such lists decided.",
        at("dns.list *.decided"),
        at("dns.lists_dropped.decided"),
    ),
    counter("forwarder_processes", "Times that the forwarder's own process was begun.", at("forwarder.begun")),
    counter(
        "forwarder_returned",
        "Queries of the LAN that this process left to the gateway, and those that were lost on the way.",
        *by("result", "forwarder", taken="returned", lost="unreturned"),
    ),
    gauge("forwarder_apart", "1 while it reads the LAN's queries, 0 while the gateway does.", at("forwarder.apart")),
    counter(
        "update_events",
        "What became of messages at the update face, by event.",
        at("dns.updates.{event:!answers|under_way|remembered}"),
    ),
    counter("update_answers", "Answers to updates, by RCODE.", at("dns.updates.answers.{rcode}")),
    gauge("updates_under_way", "Updates that are under way now.", at("dns.updates.under_way")),
    gauge(
        "updates_remembered", "Updates that are remembered, so that none is done twice.", at("dns.updates.remembered")
    ),
    gauge(
        "leases",
        "Names registered by dynamic update, those of them that are idle, those of guests, and changes that wait.",
        *by("state", "leases", registered="names", idle="idle", guests="guests", waiting="waiting"),
    ),
    counter(
        "lease_changes",
        "Registrations, by what became of them.",
        *by("event", "leases", "registered refreshed removed expired refused"),
    ),
    counter(
        "lease_journal_errors",
        "Times that the journal of registrations could not be written.",
        at("leases.journal_errors"),
    ),
)
"""All of them."""
