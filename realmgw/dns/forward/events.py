"""What is counted of the forwarder."""

from __future__ import annotations

import enum


class Event(enum.IntEnum):
    """Places in a list of integers."""

    HITS = 0
    """Queries answered from what is kept, besides those that the same octets were given to within a second."""
    REPEATED = 1
    """The latter."""
    QUESTIONS = 2
    """Questions put to resolvers."""
    JOINED = 3
    """Queries that joined a question under way."""
    PREFETCHED = 4
    """Questions put again before their answers end."""
    DATAGRAMS = 5
    """Queries to resolvers by UDP."""
    STREAMED = 6
    """By TCP and TLS."""
    WRONG = 7
    """Messages that were no answers to what was sent."""
    MALFORMED = 8
    """Answers that could not be used."""
    TRUNCATED = 9
    """Answers that sent us to TCP."""
    LATE = 10
    """Times that a resolver gave no answer within its time."""
    REFUSED_BY = 11
    """Answers of resolvers that say that there is none: SERVFAIL, REFUSED and others."""
    FAILED = 12
    """Questions that no resolver answered."""
    STALE = 13
    """Queries answered with what had outlived its TTL."""
    SPECIAL = 14
    """Queries for names of special use, answered here."""
    STRIPPED = 15
    """Answers from which private addresses were taken."""
    LIMITED = 16
    """Queries refused since their host asks too much."""
    FULL = 17
    """Queries refused since too many questions wait."""
    LOOPED = 18
    """Our own questions that came back to us."""
    MADE = 19
    """Answers with addresses of IPv6 that stand for ones of IPv4."""
    SOCKETS = 20
    """Sockets made for queries by UDP, each with a port of its own."""
    STRAYS = 21
    """Messages that came to a socket on which nobody waited, which was closed then."""
