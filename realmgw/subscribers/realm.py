"""What subscribers may say beside the gateway's settings; hosts and services that live on when they say the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Set
from itertools import islice

import attrs

from realmgw.config.addresses import UNIQUE_LOCAL
from realmgw.config.consistency import unknown_group
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.config.names import MAX_NAME, is_reverse, within
from realmgw.config.settings import Address, Network, Settings, Zone
from realmgw.config.steps import Steps, finish, portions
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.model import Directory, Host, Profile, Service
from realmgw.subscribers.reach import NOWHERE, Around, Ranges

NAMED = 5
"""So many zones are named in a problem."""


class _Family:
    """Addresses of one family, as numbers, that there may be something to say against.

    Attributes:
        special: Those that no host can have here.
        own: The gateway's own.
        pool: Those of the circular pool.
        reached: Those that routes lead to by a LAN; none: it is not known.
    """

    def __init__(self) -> None:
        self.special = frozenset[int]()
        self.own: set[int] = set()
        self.pool = Ranges()
        self.reached = Ranges()

    def is_odd(self, number: int) -> bool:
        """Whether there may be something to say against an address."""
        if number in self.special or number in self.own or number in self.pool:
            return True
        return bool(self.reached) and number not in self.reached


class Realm:
    """What subscribers may say beside the gateway's own settings.

    Args:
        zones: Every zone; services lie within the forward ones.
        has_service_pool: Names with `proxy_required` can be answered.
        around: What is around the gateway.
        groups: Which groups there are; none: hosts may be of any.
    """

    def __init__(
        self,
        zones: Iterable[Zone] = (),
        *,
        has_service_pool: bool = True,
        around: Around = NOWHERE,
        groups: Iterable[str] = (),
    ) -> None:
        self._forward: dict[str, None] = {}
        self._aliases: set[str] = set()
        self._taken: set[str] = set()
        self._families = {version: _Family() for version in (4, 6)}
        self._has_service_pool = has_service_pool
        self._groups = frozenset(groups)
        finish(self._gather(zones, around))

    def __eq__(self, other: object) -> bool:
        """Whether both refuse the same."""
        return isinstance(other, Realm) and self._said() == other._said()

    __hash__ = None  # type: ignore[assignment]  # it is filled step by step

    def _said(self) -> tuple[object, ...]:
        return (
            self._forward, self._aliases, self._taken, self._has_service_pool, self._around, self._groups,
            [(each.own, each.pool) for each in self._families.values()],
        )  # fmt: skip

    @classmethod
    def of(cls, settings: Settings, around: Around = NOWHERE) -> Steps[Realm]:
        """The realm of a gateway, in steps: it may have tens of thousands of zones and prefixes."""
        dns, pools = settings.dns, settings.pools
        groups = (each.name for each in settings.policy.pipeline.groups)
        realm = cls(has_service_pool=bool(pools.service), groups=groups)
        for each in (*settings.listened, *dns.update.listen):
            realm._have(each.address)
        for address in pools.service:
            realm._have(address)
        yield from realm._gather(settings.zones, around, [piece.network for piece in pools.circular])
        return realm

    def _gather(self, zones: Iterable[Zone], around: Around, pool: Collection[Network] = ()) -> Steps[None]:
        self._around = around
        for portion in portions(zones):
            for zone in portion:
                self._add(zone)
            yield None
        for version, family in self._families.items():
            family.special = around.special(version)
            family.pool = yield from Ranges.of(pool, version)
            family.reached = yield from Ranges.of(around.reached, version)

    def _add(self, zone: Zone) -> None:
        if zone.aliases:
            self._aliases.add(zone.name)
        elif not is_reverse(zone.name):
            self._forward[zone.name] = None
        servers = [(server.name, server.addresses) for server in zone.name_servers]
        for name, addresses in (*servers, (zone.name, zone.apex_addresses)):
            if addresses:
                self._taken.add(name)
            for address in addresses:
                self._have(address)

    def _have(self, address: Address) -> None:
        """An address of the gateway's own."""
        self._families[address.version].own.add(int(address))

    def is_apex(self, name: str) -> bool:
        """Whether a zone is called so."""
        return name in self._forward or name in self._aliases

    def is_on_lan(self, address: Address) -> bool:
        """Whether an address lies behind the LANs; it may do so where nothing is known of them."""
        if self._around == NOWHERE:
            return True
        inside = any(address in link for link in self._around.links if link.version == address.version)
        return inside or int(address) in self._families[address.version].reached

    def contradictions(self, entry: Entry) -> Iterator[str]:
        """Everything that a subscriber can not be, beside other subscribers: what is wrong, and what to write instead.

        There are very many, and nearly all are as they should be, which is found out quickly.
        """
        if entry.address is not None and self._families[4].is_odd(int(entry.address)):
            yield from self._refusals_of_address(entry, entry.address)
        if entry.address6 is not None:
            if self._families[6].is_odd(int(entry.address6)):
                yield from self._refusals_of_address(entry, entry.address6)
            if entry.profile.ipv6 is Ipv6Mode.PINHOLE and entry.address6 in UNIQUE_LOCAL:
                need = f"needs a public address, and {entry.address6} is none: write another, or 'ipv6: pool'"
                yield f"'ipv6: pinhole' {need}"
        forward, taken, aliases = self._forward.keys(), self._taken, self._aliases
        for offer in entry.services or ():
            name = offer.name
            is_odd = len(name) >= MAX_NAME or name in taken or (aliases and _is_within(name, aliases))
            if is_odd or not _is_within(name, forward):
                yield from self._refusals_of_name(name)
            if offer.terms.proxy_required and not self._has_service_pool:
                need = "needs the service pool, and there is none: write pools.service, or no proxy_required"
                yield f"{offer.name} {need}"

    def unknown_groups(self, profile: Profile) -> Iterator[str]:
        """The groups of a subscriber that there are not: what is wrong, and what to write instead."""
        if self._groups and not self._groups.issuperset(profile.groups):
            yield from (unknown_group(each, self._groups) for each in profile.groups if each not in self._groups)

    def _refusals_of_name(self, name: str) -> Iterator[str]:
        if _is_within(name, self._aliases):
            yield f"{name} lies within a zone of one-time aliases: write a name within {self._zones()}"
        elif not _is_within(name, self._forward.keys()):
            yield f"{name} lies outside our zones: write a name within {self._zones()}"
        if len(name) >= MAX_NAME:  # made of a registered host's
            yield f"{name} is no domain name: it may have {MAX_NAME - 2} characters, shorten it"
        if name in self._taken:
            yield f"{name} has an address of the gateway itself: write another name"

    def _zones(self) -> str:
        more = len(self._forward) - NAMED
        return " or ".join([*islice(self._forward, NAMED), *([f"one of {more} others"] if more > 0 else [])])

    def _refusals_of_address(self, entry: Entry, address: Address) -> Iterator[str]:
        """Who is reached by no name may have the gateway's own: so existing collections list the gateway itself."""
        number, family = int(address), self._families[address.version]
        if entry.services and number in family.own:
            yield f"{address} is the gateway's own address: write the host's"
        if number in family.pool:
            yield f"{address} is an address of the circular pool: write the host's own one"
        if entry.services and number not in family.own:
            yield from self._around.refusals(address)


def _is_within(name: str, zones: Set[str]) -> bool:
    """Whether a name is one of these, or below one, however many they are."""
    return not zones.isdisjoint(within(name))


def host_of(entry: Entry, index: int, former: Host | None) -> Host:
    """The host of an entry; the former one, if it says the same."""
    address = b"" if entry.address is None else entry.address.packed
    address6 = b"" if entry.address6 is None else entry.address6.packed
    host = Host(index, entry.name, address, entry.profile, entry.identity, address6)
    return former if former is not None and _fields(former) == _fields(host) else host


def service_of(offer: Offer, host: Host, previous: Directory) -> Service:
    """A service with its host; the one of the previous directory, if it says the same."""
    service = Service(offer.name, host, offer.terms)
    former = previous.services.get(service.name)
    return former if former is not None and _fields(former) == _fields(service) else service


def _fields(value: Host | Service) -> tuple[object, ...]:
    """Everything that a host or a service says; its host as an object."""
    return attrs.astuple(value, recurse=False)
