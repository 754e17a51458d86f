"""Guests that have names: hosts of a LAN that a DHCP server tells of, and that are no subscribers.

A name or an address of a subscriber's may be here as well; that subscribers come first, is for who asks to see to.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from realmgw.subscribers.leases.book import Lease


class Guests:
    """All of them, by name and by address. Names are absolute and lower case, addresses packed."""

    def __init__(self) -> None:
        self._addresses: dict[str, tuple[bytes, ...]] = {}
        self._names: dict[bytes, str] = {}
        self._below: dict[str, int] = {}

    def __len__(self) -> int:
        """How many names there are."""
        return len(self._addresses)

    def put(self, name: str, lease: Lease | None) -> None:
        """What is registered at a name from now on; None: nothing that is a guest's."""
        gone = self._addresses.pop(name, ())
        for address in gone:
            if self._names.get(address) == name:
                del self._names[address]
        self._count(name, gone, -1)
        came = () if lease is None else tuple([each.packed for each in lease.addresses])
        if came:
            self._addresses[name] = came
            self._names.update(dict.fromkeys(came, name))
        self._count(name, came, 1)

    def addresses(self, name: str) -> tuple[bytes, ...]:
        """Those of a name."""
        return self._addresses.get(name, ())

    def at(self, address: bytes) -> str | None:
        """The name of an address: of several that have it, the one that was registered last."""
        return self._names.get(address)

    def is_above(self, name: str) -> bool:
        """Whether there is a guest's name below a name, be it one of an address."""
        return name in self._below

    def _count(self, name: str, addresses: tuple[bytes, ...], difference: int) -> None:
        """Names above those of a host are there, or no more (RFC 8020)."""
        for whole in (name, *(f"{ip_address(each).reverse_pointer}." for each in addresses)) if addresses else ():
            for above in _above(whole):
                left = self._below.get(above, 0) + difference
                if left:
                    self._below[above] = left
                else:
                    del self._below[above]


def _above(name: str) -> Iterator[str]:
    """The names above one, but the root."""
    above = name.partition(".")[2]
    while above:
        yield above
        above = above.partition(".")[2]
