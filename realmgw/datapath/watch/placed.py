"""Everything that the gateway puts outside of its process, and what it needs there: one list, and what is not so.

Start places what is on the list, the watch compares it, a repair and a reload put back what can be put back, `status`
shows it. A thing is known by its kind and name; what it should be and what is found are words, so that one comparison
does for all of them. Links and addresses are not ours to put back: they are told.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping

import attrs

from realmgw.config.settings import Address, Offload, Settings
from realmgw.datapath import links, offload, outbound6
from realmgw.datapath.links import Route
from realmgw.datapath.machine import sysctls
from realmgw.datapath.machine.sysctls import Needs


class Kind(enum.Enum):
    """What a thing is."""

    TABLE = "nftables table"
    """Ours, with all that is in it but elements and counts."""
    GUARD = "nftables table of the guard"
    """What holds while the other is gone; see `realmgw.datapath.watch.guard`."""
    QUEUE_STEP = "iptables chain of the queue step"
    """Where nftables has no queue statement."""
    TRANSLATION = "last step of the translation"
    """Where it is not in our table."""
    PREFIXES = "ip6tables chain of the prefix translation"
    """Where a LAN leaves by nptv6."""
    CARRIED = "flowtable's interface"
    """Where packets that come in are looked for in the flowtable: the kernel forgets an interface that goes."""
    ROUTE = "route"
    """By which a prefix of the pool is ours."""
    SETTING = "kernel setting"
    """Below /proc/sys."""
    INTERFACE = "interface"
    """Towards the Internet or the private hosts."""
    ADDRESS = "address"
    """Of this machine, at which a socket of the gateway listens."""
    WAY_OUT = "default route"
    """By which answers find back to clients, where there was one at the start."""
    WAY_OUT6 = "default route of IPv6"
    """The same of IPv6."""


AS_PLACED, CHANGED, THERE, GONE = "as placed", "changed", "there", "gone"
UP, DOWN, NO_CARRIER = "up", "down", "without carrier"
"""What things are, but for settings, whose value it is."""

Key = tuple[Kind, str]
"""Which thing it is."""

_PUT_BACK = (*tuple(Kind)[:6], Kind.ROUTE, Kind.SETTING)


@attrs.frozen
class Thing:
    """Something that is to be outside of the process."""

    kind: Kind
    """What."""
    name: str
    """Which of that kind."""
    wanted: str
    """What it should be."""
    needed: bool
    """Whether flows need it."""
    remedy: str = ""
    """What an operator can do about it where we can not."""

    @property
    def key(self) -> Key:
        """Which thing it is."""
        return self.kind, self.name

    @property
    def is_ours(self) -> bool:
        """Whether we put it back."""
        return self.kind in _PUT_BACK


@attrs.frozen
class Deviation:
    """Something that is not what it should be."""

    thing: Thing
    """That."""
    found: str
    """What it is."""

    def __str__(self) -> str:
        thing = self.thing
        if thing.kind is Kind.SETTING:
            return f"{thing.kind.value} {thing.name} is {self.found}, not {thing.wanted}"
        return f"{thing.kind.value} {thing.name} is {self.found}"

    @property
    def told(self) -> str:
        """What is wrong, and what to do, for as long as it is so."""
        return f"{self}: {self.thing.remedy}" if self.thing.remedy else str(self)


OPTIONAL = frozenset((Kind.GUARD, Kind.QUEUE_STEP, Kind.TRANSLATION, Kind.CARRIED, Kind.WAY_OUT, Kind.WAY_OUT6))
"""What there may be or not, besides what the settings say; the last start has found that out."""


_NO_IPV6 = Needs()


def declared(settings: Settings, optional: Collection[Kind], ipv6: Needs = _NO_IPV6) -> tuple[Thing, ...]:
    """The list, in the order in which it is put back: what closes is first.

    Args:
        settings: The gateway's.
        optional: Those of `OPTIONAL` that there are.
        ipv6: What there is of it.
    """
    every = (*_rules(settings), *_ways(settings, ipv6), *_not_ours(settings))
    return tuple(thing for thing in every if thing.kind in optional or thing.kind not in OPTIONAL)


def _rules(settings: Settings) -> Iterator[Thing]:
    table = settings.datapath.table
    for kind in (Kind.GUARD, Kind.TABLE, Kind.QUEUE_STEP, Kind.TRANSLATION):
        yield Thing(kind, table, AS_PLACED, needed=kind is not Kind.GUARD)
    if any(outbound6.prefixes(settings)):
        yield Thing(Kind.PREFIXES, table, AS_PLACED, needed=False)
    if settings.datapath.offload is not Offload.OFF:
        yield from (Thing(Kind.CARRIED, name, THERE, needed=False) for name in offload.names(settings))


def _ways(settings: Settings, ipv6: Needs) -> Iterator[Thing]:
    for route in sorted(links.wanted_routes(settings.pools.circular), key=route_name):
        yield Thing(Kind.ROUTE, route_name(route), THERE, needed=True)
    for key, value in sysctls.required(settings.interfaces, ipv6).items():
        yield Thing(Kind.SETTING, sysctls.dotted(key), str(value), needed=key not in (sysctls.LOOSE, *sysctls.COUNTED))


def _not_ours(settings: Settings) -> Iterator[Thing]:
    wan, lan = settings.interfaces.wan, settings.interfaces.lan
    yield Thing(Kind.INTERFACE, wan, UP, needed=True, remedy=_bring_up(wan))
    for name in lan:
        yield Thing(Kind.INTERFACE, name, UP, needed=len(lan) == 1, remedy=_bring_up(name))
    dns = settings.dns
    portal, told = () if settings.portal is None else settings.portal.endpoints, set[Address]()
    views = [(dns.wan.listen, "dns.wan"), (dns.lan.listen, "dns.lan"), (dns.local.listen, "dns.local")]
    for endpoints, key in (*views, (portal, "portal")):
        heard = {endpoint.address for endpoint in endpoints}
        heard -= told if key == "portal" else set()
        told |= heard
        least = min((each.version for each in heard), default=0)  # a link that was down has lost those of IPv6 only
        for each in sorted(heard, key=str):
            remedy = f"the gateway listens there ({key}.listen) and is not heard: give it back to its interface"
            needed = key == "dns.wan" and each.version == least
            yield Thing(Kind.ADDRESS, str(each), THERE, needed=needed, remedy=remedy)
    remedy = "answers to clients beyond the link have no way: set it again"
    yield Thing(Kind.WAY_OUT, wan, THERE, needed=True, remedy=remedy)
    yield Thing(Kind.WAY_OUT6, wan, THERE, needed=False, remedy=remedy)


def _bring_up(name: str) -> str:
    return f"no flow passes there: create it, bring it up (ip link set {name} up), or look at its cable"


def route_name(route: Route) -> str:
    """What a route of ours is called."""
    return f"{route.kind.name.lower()} {route.network}"


def compare(things: Collection[Thing], found: Mapping[Key, str]) -> tuple[Deviation, ...]:
    """What is not what it should be.

    Args:
        things: The list.
        found: What things are; what is not in it is gone. A route of ours that is not on the list is one too many.
    """
    wrong = [
        Deviation(thing, found.get(thing.key, GONE)) for thing in things if found.get(thing.key, GONE) != thing.wanted
    ]
    listed = {thing.key for thing in things}
    more = [Thing(kind, name, GONE, needed=False) for kind, name in sorted(set(found) - listed, key=str)]
    return (*wrong, *(Deviation(thing, found[thing.key]) for thing in more if thing.kind is Kind.ROUTE))


def are_broken(things: Collection[Thing], wrong: Collection[Deviation]) -> frozenset[Key]:
    """Those of the deviations that keep flows from getting through: all that is needed, and LANs if all of them are."""
    broken = {each.thing.key for each in wrong if each.thing.needed}
    lans = {thing.key for thing in things if thing.kind is Kind.INTERFACE and not thing.needed}
    if lans and lans <= {each.thing.key for each in wrong}:
        broken |= lans
    return frozenset(broken)
