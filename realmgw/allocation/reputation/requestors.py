"""Requestors: the clients that a resolver under agreement names, by their network or by an id of his.

Only what a group with `sla` says is believed; whoever else names a client is judged himself. A requestor is made when
it is first named and forgotten when enough others were named since.

Family: each, as people write it, and records have it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Protocol

import attrs

from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.lru import TwoGenerationLRU
from realmgw.allocation.reputation.score import Journal, Rated


class ClientNetwork(Hashable, Protocol):
    """The network that a claim is bound to, where the asker told it and is believed."""

    def __contains__(self, address: bytes, /) -> bool:
        """Whether a packed address lies in the network; False for one of another family."""
        ...

    @property
    def octets(self) -> int:
        """How many octets its addresses have."""
        ...


@attrs.frozen
class ClientPrefix:
    """A client's network: `address in network` says whether a packed address is in it."""

    packed: bytes
    """The prefix in network order, 4 or 16 octets; bits beyond `length` are 0."""
    length: int
    """In bits."""

    @classmethod
    def of(cls, packed: bytes, length: int) -> ClientPrefix:
        """The network of so many bits that a packed address lies in."""
        bits = len(packed) * 8
        mask = ((1 << length) - 1) << (bits - length)
        return cls((int.from_bytes(packed, "big") & mask).to_bytes(len(packed), "big"), length)

    @property
    def octets(self) -> int:
        """How many octets its addresses have."""
        return len(self.packed)

    def __contains__(self, address: bytes, /) -> bool:
        if len(address) != len(self.packed):
            return False
        beyond = len(address) * 8 - self.length
        return int.from_bytes(address, "big") >> beyond == int.from_bytes(self.packed, "big") >> beyond

    def __str__(self) -> str:
        if len(self.packed) == 4:
            return ".".join(map(str, self.packed)) + f"/{self.length}"
        return ":".join(self.packed[at : at + 2].hex() for at in range(0, 16, 2)) + f"/{self.length}"


@attrs.define(eq=False)
class Requestor(Rated):
    """A client that was named. Compared by identity."""

    key: Hashable
    """What it is known by: its network, or the group that named it with its id there."""
    network: ClientNetwork | None
    """Where its packets come from; None if only an id was told."""

    def bound(self, octets: int) -> ClientNetwork | None:
        """Where packets come from that use a claim at an address of so many octets; None: from anywhere.

        Who has told his resolver's server by IPv4 who he is, may come by IPv6 all the same.
        """
        network = self.network
        return network if network is not None and network.octets == octets else None

    def used(self, group: Group, sure: float, *, now: float) -> None:
        """A claim of it was used: good for it, and for the group that named it.

        Args:
            group: The group.
            sure: How sure it is that nobody else's client was meant, 0 to 1.
            now: The present, in monotonic seconds.
        """
        for rated in (self, group):
            rated.count(now, ok=sure, neutral=1 - sure)

    def lapsed(self, group: Group, cost: float, sure: float, *, now: float) -> None:
        """Nobody used a claim of it: that is its own fault, and not that of the group that named it.

        Args:
            group: The group.
            cost: What it has kept from others, 0 to 1.
            sure: How sure it is that it was its packet that did not come, 0 to 1.
            now: The present, in monotonic seconds.
        """
        self.count(now, nok=cost * sure, neutral=cost * (1 - sure))
        if sure < 1.0:
            group.count(now, neutral=cost * (1 - sure))


class Requestors:
    """The requestors named lately, bounded in number."""

    def __init__(self, limit: int, journal: Journal | None = None) -> None:
        self._seen: TwoGenerationLRU[Hashable, Requestor] = TwoGenerationLRU(limit)
        self._journal = journal

    def __len__(self) -> int:
        return len(self._seen)

    def __iter__(self) -> Iterator[Requestor]:
        for key in self._seen:
            requestor = self._seen.peek(key)
            if requestor is not None:
                yield requestor

    def configure(self, limit: int) -> None:
        """From now on, remember so many."""
        self._seen.configure(limit)

    def of(self, key: Hashable, network: ClientNetwork | None) -> Requestor:
        """The requestor that is known by a key; made if it is not known."""
        requestor = self._seen.get(key)
        if requestor is None:
            requestor = Requestor(key, network, journal=self._journal)
            self._seen.put(key, requestor)
        return requestor

    def find(self, key: Hashable) -> Requestor | None:
        """The requestor that is known by a key, or None; nothing is changed."""
        return self._seen.peek(key)

    def forget(self, key: Hashable) -> bool:
        """Forget a requestor; False if there was none."""
        return self._seen.pop(key) is not None
