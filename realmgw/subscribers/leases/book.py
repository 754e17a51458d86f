"""What is registered, by name, and what an update makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address

import attrs

from realmgw.config.addresses import host
from realmgw.config.names import absolute
from realmgw.config.values import Address
from realmgw.subscribers.leases.records import Record, Transaction

A, PTR, TXT, AAAA, DHCID = 1, 12, 16, 28, 49
TYPES = {A: "A", PTR: "PTR", TXT: "TXT", AAAA: "AAAA", DHCID: "DHCID"}
"""What can be registered. What DHCP servers keep beside an address is kept for them, and answered to nobody else."""
MOST_OF_NAME = 32
"""So many records a name may have."""
LONGEST = 1024  # octets
"""Of a record's data."""
_ADDRESSES: Mapping[int, Callable[[bytes], Address]] = {A: IPv4Address, AAAA: IPv6Address}
_SIZES = {A: 4, AAAA: 16}


@attrs.frozen
class Lease:
    """What is registered at a name."""

    name: str
    """Absolute and lower case."""
    records: tuple[Record, ...]
    """All of it; never empty."""
    key: str
    """With which TSIG key it was registered or refreshed last; empty: it was not signed."""
    since: float
    """When it was registered, in seconds of the wall clock."""
    refreshed: float
    """When it was registered or refreshed last, likewise."""
    life: float = 0.0  # seconds
    """How long it counts after that; 0: as long as all others."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The host's, of either family, or of both; none: it is no host's name."""
        return tuple([_ADDRESSES[each.type](each.data) for each in self.records if each.type in _ADDRESSES])


class Book:
    """All that is registered.

    Attributes:
        leases: It, by name.
        most: How many names there may be.
    """

    def __init__(self, leases: Iterable[Lease] = (), most: int = 100_000) -> None:
        self.leases = {lease.name: lease for lease in leases}
        self.most = most

    def records(self, name: str) -> tuple[Record, ...]:
        """What is registered at a name."""
        lease = self.leases.get(name)
        return () if lease is None else lease.records

    def following(self, change: Transaction, *, now: float, life: float = 0.0) -> dict[str, Lease | None]:
        """What the names that an update is about become; None: nothing is registered there any more.

        Args:
            change: The update.
            now: The wall clock, in seconds.
            life: How long its names count, in seconds; 0: as long as all others.
        """
        gone = {(each.name, each.type, each.data) for each in change.removed}
        names = dict.fromkeys(each.name for each in (*change.removed, *change.added))
        left = {
            name: {
                (each.type, each.data): each for each in self.records(name) if (name, each.type, each.data) not in gone
            }
            for name in names
        }
        for each in change.added:
            left[each.name][each.type, each.data] = each
        refreshed = {each.name for each in change.added}
        found: dict[str, Lease | None] = {}
        for name, records in left.items():
            former = self.leases.get(name)
            if not records:
                found[name] = None
            elif former is None:
                found[name] = Lease(name, tuple(records.values()), change.key, now, now, life)
            elif name in refreshed:
                found[name] = Lease(name, tuple(records.values()), change.key, former.since, now, life)
            else:
                found[name] = attrs.evolve(former, records=tuple(records.values()))
        return found

    def refusal(self, following: Mapping[str, Lease | None]) -> str | None:
        """Why names can not become that, whoever else there is; None if they can."""
        more = sum((lease is not None) - (name in self.leases) for name, lease in following.items())
        if more > 0 and len(self.leases) + more > self.most:
            return f"there are {len(self.leases)} registered names: dns.update.most has no room for more"
        for name, lease in following.items():
            why = None if lease is None else _refusal(name, lease)
            if why is not None:
                return f"{name}: {why}"
        return None

    def put(self, following: Mapping[str, Lease | None]) -> dict[str, Lease | None]:
        """Names become that; returns what they were."""
        before = {name: self.leases.get(name) for name in following}
        for name, lease in following.items():
            if lease is None:
                self.leases.pop(name, None)
            else:
                self.leases[name] = lease
        return before


def _refusal(name: str, lease: Lease) -> str | None:
    if len(lease.records) > MOST_OF_NAME:
        return f"a name may have {MOST_OF_NAME} records"
    for each in lease.records:
        if each.type not in TYPES:
            return f"records of type {each.type} can not be registered, only {', '.join(TYPES.values())}"
        if len(each.data) != _SIZES.get(each.type, len(each.data)) or len(each.data) > LONGEST:
            return f"a record of type {TYPES[each.type]} can not have {len(each.data)} octets"
    addresses = lease.addresses
    if len({each.version for each in addresses}) < len(addresses):
        return "a host has one address of each family: let the update remove the former one"
    try:
        if addresses:
            absolute(name)
        for address in addresses:
            host(str(address))
    except ValueError as error:
        return str(error)
    return None
