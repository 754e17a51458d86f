"""What one view of the DNS server counts: plain integers in a list, so that counting costs next to nothing."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from realmgw.config.distribution import EACH, SPENT_BOUNDS, Distribution
from realmgw.dns.codec.message import Response
from realmgw.dns.codec.wire import Rcode, Type
from realmgw.errors import by_reason


class Count(enum.IntEnum):
    """Places in the list of counters."""

    RESERVED = 0
    """Answers with an address of the circular pool."""
    ADDRESSES = 1
    """Answers with other addresses: service pool, private hosts, name servers, apexes."""
    RECORDS = 2
    """Answers with records of other types."""
    NODATA = 3
    """The name exists, but has no record of that type."""
    NXDOMAIN = 4
    """There is no such name in our zones."""
    REFUSED = 5
    """Outside our zones, not of class IN, or a zone transfer."""
    FORMERR = 6
    """Queries that could not be read."""
    NOTIMP = 7
    """Opcodes that we do not have."""
    BADVERS = 8
    """EDNS versions that we do not have."""
    NOTAUTH = 9
    """Queries signed with a key that we do not know."""
    SERVFAIL = 10
    """TCP queries refused for lack of an address, all that are refused since flows can not be carried, and faults."""
    SILENT = 11
    """UDP queries refused for lack of an address, which get no answer: the resolver tries again."""
    WAITED = 12
    """Queries that were made to wait for an address."""
    RESPONSE = 13
    """Messages dropped because they are responses themselves, or too short to have a header."""
    UNSENT = 14
    """Answers that the kernel did not take, or whose connection was gone."""
    FAULT = 15
    """Faults of our own."""
    TCP_CONNECTIONS = 16
    """TCP connections accepted."""
    TCP_REFUSED = 17
    """TCP connections refused because there were too many."""
    TCP_EVICTED = 18
    """Silent TCP connections closed to make room."""
    TCP_IDLE = 19
    """TCP connections closed because they were silent, or sent or took octets too slowly."""
    TCP_BAD_LENGTH = 20
    """TCP connections closed because of a length that no query has."""
    CHALLENGED_COOKIE = 21
    """BADCOOKIE: come again with the server cookie in the answer."""
    CHALLENGED_TC = 22
    """TC: come again by TCP."""
    CHALLENGED_CNAME = 23
    """Answers with a one-time alias."""
    ALIASES_FULL = 24
    """Of those with TC: there were too many aliases for another one."""
    CHALLENGE_AUDITED = 25
    """Challenges that were due, and not made, since they are only counted."""
    TRUSTED = 26
    """Queries for a pool address that showed where they came from: by TCP, by server cookie, for an alias."""
    UNTRUSTED = 27
    """Queries for a pool address by bare UDP; this one and the one before only where `log_untrusted` is on."""
    MERGED = 28
    """Resolver groups that became one because of an alias."""
    RATE_DROPPED = 29
    """Answers not given, since their network had so many of that kind."""
    RATE_SLIPPED = 30
    """Answers with TC in their place."""
    RATE_AUDITED = 31
    """Answers given beyond the limit, since that is only counted."""
    TRIED_AGAIN = 32
    """Queries by TCP that the policy refused, and for which an address was asked for once more."""
    SERVFAIL_UDP = 33
    """Of those with SERVFAIL: by UDP, since the policy refused and that is to be told."""
    COOKIES = 34
    """Queries without a question, which were given a server cookie, or told that theirs is right."""
    INSIDE = 35
    """Queries from a LAN at the WAN's view, answered as on the LAN, since pool addresses lead nowhere from there; what
    was said to them is counted as well."""
    TC_TO_WAIT = 36
    """TC, since no address is to be had at once: by TCP a query can wait for one, and is not asked again meanwhile."""
    FORWARDED = 37
    """Answers about other people's names, from what resolvers say or said."""
    REPEATED = 38
    """TCP queries that were sent again while they waited: they get the same answer as the first one."""


REASONS = 64
"""How many counters of refusals there are, indexed by `errors.Reason`."""
QUERIES = (
    Count.RESERVED, Count.ADDRESSES, Count.RECORDS, Count.NODATA, Count.NXDOMAIN, Count.REFUSED, Count.FORMERR,
    Count.NOTIMP, Count.BADVERS, Count.NOTAUTH, Count.SERVFAIL, Count.SERVFAIL_UDP, Count.SILENT,
    Count.CHALLENGED_COOKIE, Count.CHALLENGED_TC, Count.CHALLENGED_CNAME, Count.ALIASES_FULL, Count.RATE_DROPPED,
    Count.RATE_SLIPPED, Count.TC_TO_WAIT, Count.COOKIES,
    Count.FORWARDED, Count.REPEATED,
)  # fmt: skip
"""What may become of a query: one of these, of which each query has one."""
_NAMES = tuple(each.name.lower() for each in Count)


_BY_RCODE = {
    Rcode.NXDOMAIN: Count.NXDOMAIN,
    Rcode.REFUSED: Count.REFUSED,
    Rcode.FORMERR: Count.FORMERR,
    Rcode.NOTIMP: Count.NOTIMP,
    Rcode.BADVERS: Count.BADVERS,
    Rcode.NOTAUTH: Count.NOTAUTH,
    Rcode.SERVFAIL: Count.SERVFAIL,
    Rcode.BADCOOKIE: Count.CHALLENGED_COOKIE,
}


def kind_of(response: Response) -> Count:
    """What a response counts as, by what it says."""
    if response.rcode is not Rcode.NOERROR:
        return _BY_RCODE[response.rcode]
    if not response.answers:
        return Count.NODATA
    return Count.ADDRESSES if response.answers[0].type in (Type.A, Type.AAAA) else Count.RECORDS


TYPES = (
    Type.A, Type.AAAA, Type.HTTPS, Type.SVCB, Type.SRV, Type.TXT, Type.MX, Type.NS, Type.SOA, Type.PTR, Type.CNAME,
    Type.NAPTR, Type.DS, Type.ANY,
)  # fmt: skip
"""Those that questions are told apart by; all others are counted together, behind them."""
_TYPE_NAMES = (*(kind.name for kind in TYPES), "other")
_PLACES = {int(kind): place for place, kind in enumerate(TYPES)}


@attrs.define
class Tally:
    """Messages that come in one way: by a transport and a family."""

    monotonic: Callable[[], float]
    """The present, in seconds."""
    received: int = 0
    """How many there were."""
    spent: Distribution = attrs.field(factory=lambda: Distribution(SPENT_BOUNDS))
    """How long some of them took, in seconds."""

    def done(self, began: float) -> None:
        """The kernel has the answer to a message, or it is to wait for one, or there is none.

        Args:
            began: When it was read, monotonic.
        """
        self.received += 1
        if self.received % EACH == 1:
            self.spent.add(self.monotonic() - began)


class Counts:
    """The counters of one view."""

    def __init__(self) -> None:
        self.events = [0] * len(Count)
        """Indexed by `Count`."""
        self.refused = [0] * REASONS
        """Queries refused by the allocator, indexed by `errors.Reason`."""
        self.types = [0] * (len(TYPES) + 1)
        """Queries by the type that they ask for, indexed as `TYPES`."""

    def asked(self, kind: int) -> None:
        """Counts a query by the type that it asks for, 0 if there is none."""
        self.types[_PLACES.get(kind, -1)] += 1

    def counts(self) -> dict[str, object]:
        """All of them by name, and how many queries there were in all."""
        return {
            "queries": sum(self.events[each] for each in QUERIES),
            **dict(zip(_NAMES, self.events, strict=True)),
            "refused_by": by_reason(self.refused),
            "types": dict(zip(_TYPE_NAMES, self.types, strict=True)),
        }
