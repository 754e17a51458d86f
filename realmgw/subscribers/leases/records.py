"""What a dynamic update (RFC 2136) takes away and adds, as values: each name and each octet checked already."""

from __future__ import annotations

import attrs

from realmgw.errors import RealmGatewayError


class ContradictionError(RealmGatewayError):
    """What there is speaks against a change; nothing was changed, and the same would be told as long as that is so."""


@attrs.frozen
class Record:
    """A resource record of class IN."""

    name: str
    """Whose it is: absolute, lower case, with the final dot."""
    type: int
    """Its type, as the protocol has it."""
    ttl: int
    """Its time to live, in seconds."""
    data: bytes
    """RDATA in wire form: nothing is compressed, and names in it are lower case."""


@attrs.frozen
class Transaction:
    """One update: all of it holds from one moment on, or nothing of it."""

    key: str
    """The name of the TSIG key that it was signed with, absolute and lower case; empty if it was not signed."""
    removed: tuple[Record, ...]
    """Records that are no more, as they are registered."""
    added: tuple[Record, ...]
    """Records that are registered from then on; one that is so already is refreshed by it."""
