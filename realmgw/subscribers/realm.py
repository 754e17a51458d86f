"""What subscribers may say beside the gateway's settings; hosts and services that live on when they say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.names import is_reverse, is_within
from realmgw.config.settings import Address, Network, Settings, Zone
from realmgw.subscribers.entry import Entry, Offer
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.subscribers.reach import NOWHERE, Around


class Realm:
    """What subscribers may say beside the gateway's own settings.

    Args:
        zones: Every zone; services lie within the forward ones.
        own: The gateway's own addresses.
        pool: Prefixes of its circular pool.
        has_service_pool: Names with `proxy_required` can be answered.
        around: What is around the gateway.
    """

    def __init__(
        self,
        zones: Iterable[Zone],
        own: Iterable[Address] = (),
        pool: Iterable[Network] = (),
        *,
        has_service_pool: bool = True,
        around: Around = NOWHERE,
    ) -> None:
        zones = tuple(zones)
        self._forward = tuple(zone.name for zone in zones if not is_reverse(zone.name) and not zone.aliases)
        self._aliases = tuple(zone.name for zone in zones if zone.aliases)
        self._taken = {server.name for zone in zones for server in zone.name_servers if server.address is not None}
        self._taken.update(zone.name for zone in zones if zone.apex_address is not None)
        self._endings = tuple(f".{zone}" for zone in self._forward)
        self._own = frozenset(own)
        self._pool = tuple(pool)
        self._ranges = tuple((int(each[0]), int(each[-1])) for each in self._pool if each.version == 4)
        self._around = around
        self._reached = tuple((int(each[0]), int(each[-1])) for each in around.reached)
        self._special = around.special().union(int(each) for each in self._own if each.version == 4)
        self._has_service_pool = has_service_pool
        self._said = (
            self._forward,
            self._aliases,
            frozenset(self._taken),
            self._own,
            self._pool,
            has_service_pool,
            around,
        )

    def __eq__(self, other: object) -> bool:
        """Whether both refuse the same."""
        return isinstance(other, Realm) and self._said == other._said

    def __hash__(self) -> int:
        """Equal for equal ones."""
        return hash(self._said)

    @classmethod
    def of(cls, settings: Settings, around: Around = NOWHERE) -> Realm:
        """The realm of a gateway."""
        dns, pools = settings.dns, settings.pools
        own = {listen.address for view in (dns.wan, dns.lan, dns.local, dns.update) for listen in view.listen}
        own.update(pools.service)
        for zone in settings.zones:
            own.update(server.address for server in zone.name_servers if server.address is not None)
            own.update([] if zone.apex_address is None else [zone.apex_address])
        return cls(settings.zones, own, pools.networks, has_service_pool=bool(pools.service), around=around)

    def contradictions(self, entry: Entry) -> Iterator[str]:
        """Everything that a subscriber can not be, beside other subscribers: what is wrong, and what to write instead.

        There are very many, and nearly all are as they should be, which is found out quickly.
        """
        if self._is_odd(int(entry.address)):
            yield from self._refusals_of_address(entry)
        endings, taken, has_aliases = self._endings, self._taken, bool(self._aliases)
        for offer in entry.services or ():
            if has_aliases or not offer.name.endswith(endings) or offer.name in taken:
                yield from self._refusals_of_name(offer.name)
            if offer.terms.proxy_required and not self._has_service_pool:
                need = "needs the service pool, and there is none: write pools.service, or no proxy_required"
                yield f"{offer.name} {need}"

    def _refusals_of_name(self, name: str) -> Iterator[str]:
        if any(is_within(name, zone) for zone in self._aliases):
            yield f"{name} lies within a zone of one-time aliases: write a name within {self._zones()}"
        elif not any(is_within(name, zone) for zone in self._forward):
            yield f"{name} lies outside our zones: write a name within {self._zones()}"
        if name in self._taken:
            yield f"{name} has an address of the gateway itself: write another name"

    def _zones(self) -> str:
        return " or ".join(self._forward)

    def _is_odd(self, number: int) -> bool:
        """Whether there may be something to say against an address."""
        if number in self._special or any(first <= number <= last for first, last in self._ranges):
            return True
        return bool(self._reached) and not any(first <= number <= last for first, last in self._reached)

    def _refusals_of_address(self, entry: Entry) -> Iterator[str]:
        """Who is reached by no name may have the gateway's own: so existing collections list the gateway itself."""
        if entry.services and entry.address in self._own:
            yield f"{entry.address} is the gateway's own address: write the host's"
        if any(entry.address in network for network in self._pool):
            yield f"{entry.address} is an address of the circular pool: write the host's private one"
        if entry.services and entry.address not in self._own:
            yield from self._around.refusals(entry.address)


def host_of(entry: Entry, index: int, former: Host | None) -> Host:
    """The host of an entry; the former one, if it says the same."""
    host = Host(index, entry.name, entry.address.packed, entry.profile, entry.identity)
    return former if former is not None and _fields(former) == _fields(host) else host


def service_of(offer: Offer, host: Host, previous: Directory) -> Service:
    """A service with its host; the one of the previous directory, if it says the same."""
    service = Service(offer.name, host, offer.terms)
    former = previous.services.get(service.name)
    return former if former is not None and _fields(former) == _fields(service) else service


def _fields(value: Host | Service) -> tuple[object, ...]:
    """Everything that a host or a service says; its host as an object."""
    return attrs.astuple(value, recurse=False)
