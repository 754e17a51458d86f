"""What one face of the DNS server counts: plain integers in a list, so that counting costs next to nothing."""

from __future__ import annotations

import enum


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
    """TCP queries refused for lack of an address, and faults."""
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


REASONS = 64
"""How many counters of refusals there are, indexed by `errors.Reason`."""


class Counts:
    """The counters of one face."""

    def __init__(self) -> None:
        self.events = [0] * len(Count)
        """Indexed by `Count`."""
        self.refused = [0] * REASONS
        """Queries refused by the allocator, indexed by `errors.Reason`."""
