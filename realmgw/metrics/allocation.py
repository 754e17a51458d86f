"""Metrics of allocation and admission: the pool, claims, first packets, reputations."""

from __future__ import annotations

from realmgw.metrics.declared import Source, at, by, counter, gauge, histogram
from realmgw.metrics.names import OF_QUERIES

BOOKS = {"ipv4": "allocation", "ipv6": "allocation.ipv6", "pinhole": "allocation.ipv6.pinholes"}
"""Where in the tree what each book of claims has counted is: those of the pool of IPv4 and of IPv6, and pinholes."""


def _books(names: str, **others: str) -> tuple[Source, ...]:
    """Counters of every book that has them, told apart by their event; the arguments are as those of `by`."""
    every = {**{name: name for name in names.split()}, **others}
    return tuple(
        at(f"{head}.{name}", book=book, event=event) for book, head in BOOKS.items() for event, name in every.items()
    )


ALLOCATION = (
    gauge(
        "pool_addresses", "Addresses of the IPv4 pool, by state.", *by("state", "now.pool", "free waiting lingering")
    ),
    gauge(
        "pool_load_ratio",
        "Addresses of the IPv4 pool at which a client is waited for, as a share of all.",
        at("now.pool.load"),
    ),
    gauge(
        "pool_leaving", "Addresses that leave the pool when nobody is expected there any more.", at("now.pool.leaving")
    ),
    gauge(
        "pool_held_for_keepers",
        "Addresses that stand for long, for resolvers that keep answers.",
        at("now.pool.held_for_keepers"),
    ),
    gauge("pool_keepers", "Resolver groups that are known to keep answers now.", at("now.pool.keepers")),
    gauge("pool_queries_waiting", "Queries that wait for an address now.", at("now.pool.queries_waiting")),
    gauge(
        "pool_ipv6_addresses",
        "Addresses of the IPv6 pool, by state.",
        *by("state", "allocation.ipv6", waiting="pending", kept="kept"),
    ),
    gauge(
        "claims_pending",
        "Claims that stand now, whatever they were made for.",
        at("allocation.pending", book="ipv4"),
        at("allocation.ipv6.pinholes.pending", book="pinhole"),
    ),
    counter(
        "claims",
        "Claims, by what happened to them: made, lapsed (nobody came), excused, voided, settled, joined and so on.",
        *_books(
            "lapsed excused voided settled retransmitted joined sticky shared reclaimed displaced evicted",
            made="claimed",
            probe="probes",
        ),
    ),
    counter(
        "first_packets",
        "First packets that were admitted, by what they were admitted for.",
        *_books("by_claim by_source by_spare by_memory resumed"),
    ),
    histogram(
        "first_packet_delay_seconds",
        "How long after the answer the first packet came that it was for.",
        *(at(f"{head}.delays", book=book) for book, head in BOOKS.items()),
    ),
    counter(
        "packets_late", "First packets refused that came after their service had left the address.", *_books("late")
    ),
    counter(
        "packets_uncertain",
        "First packets admitted where another service had been a moment before.",
        *_books("uncertain"),
    ),
    counter(
        "queries_held", "Queries that waited for an address, and those of them that got one.", *_books("waited served")
    ),
    counter(
        "resolvers_tried",
        "Times that a resolver was told nothing for a while, to see whether its clients come all the same.",
        *_books("tried"),
    ),
    counter(
        "flows_ended_idle",
        "Flows of UDP that were ended, idle when their address had passed on.",
        *_books("idle_ended"),
    ),
    counter("conntrack_questions", "Questions put to conntrack: whether a client was answered.", *_books("questions")),
    counter(
        "policy_audited",
        "Queries that were answered only because the load policy is in audit mode.",
        *_books("policy_audited"),
    ),
    counter(
        "allocation_refusals",
        "Queries refused by the allocation, by reason.",
        *(at(f"{BOOKS[book]}.refused.{{reason:{OF_QUERIES}}}", book=book) for book in ("ipv4", "pinhole")),
    ),
    counter(
        "policy_permitted",
        "Allocations that a band of the load policy let pass, since the policy is in force.",
        at("allocation.policy.band_{band}_permitted"),
    ),
    counter(
        "policy_refused",
        "Allocations that none let pass, by what they would have cost.",
        at("allocation.policy.{cost}_refused"),
    ),
    gauge(
        "flows_remembered",
        "Flows without a handshake that are remembered after conntrack has forgotten them.",
        at("allocation.ended_flows"),
    ),
    gauge(
        "reputations",
        "Of whom something is remembered: resolvers that asked lately, those that have shown where they are, clients.",
        *by("whose", "allocation", resolver="resolvers", proven="proven", client="clients"),
    ),
    histogram(
        "reputation",
        "How the reputations of those who ask are distributed, from 0 to 1; looked at once a minute at most.",
        at("now.reputation.{whose}"),
    ),
    gauge("reputation_restored", "Reputations that were read at the start.", at("reputation.restored")),
    counter("reputation_written", "Reputations that were written.", at("reputation.written")),
    counter(
        "reputation_unwritten",
        "Reputations that were forgotten before they could be written.",
        at("reputation.unwritten"),
    ),
    gauge("reputation_disk_failing", "1 while reputations can not be written.", at("reputation.failing")),
    counter("reputation_files_damaged", "Files of reputations that were found damaged.", at("reputation.damaged")),
    counter("admission_admitted", "First packets that were admitted.", at("admission.admitted")),
    counter("admission_refusals", "First packets that were refused, by reason.", at("admission.refused.{reason}")),
    counter("admission_untold", "Of those, the ones whose senders were not told so.", at("admission.untold")),
    histogram(
        "admission_packet_seconds",
        "How long a first packet took, of some: from when it was read until the kernel had its verdict.",
        at("admission.seconds"),
    ),
    counter(
        "admission_faults", "Faults of our own while a first packet was judged; it was refused.", at("admission.faults")
    ),
    counter(
        "admission_faults_unreported", "Those of them that could not be logged.", at("admission.faults_unreported")
    ),
    counter(
        "admission_strays",
        "Senders that were refused too often, by what became of that.",
        *by("event", "admission", handed_over="strays_pushed", uncounted="strays_overflow"),
    ),
    counter(
        "admission_overruns",
        "Times that the buffer of the queue's socket was full; packets were lost.",
        at("admission.overruns"),
    ),
    counter("admission_hangups", "Times that the reactor took the queue for lost.", at("admission.hangups")),
    counter(
        "admission_overloads",
        "Times that TCP had to come twice since more came than could be looked at, of these in vain, and failures.",
        *by("event", "admission", begun="overloads", futile="overloads_futile", failed="overloads_failed"),
    ),
    gauge("admission_asks_twice", "Whether TCP has to come twice now.", at("admission.asks_twice")),
    counter("conntrack_unasked", "Questions that could not be put to conntrack.", at("admission.unasked")),
    counter(
        "conntrack_answers",
        "Flows that were answered, as conntrack tells: heard of, lost, and never told of.",
        *by("event", "admission", heard="answers_heard", lost="answers_lost", misheard="answers_misheard"),
    ),
    counter(
        "conntrack_ends",
        "Ends of flows, heard of and lost.",
        *by("event", "admission", heard="ends_heard", lost="ends_lost"),
    ),
)
"""All of them."""
