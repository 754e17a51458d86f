"""The realm that the DNS tests ask about."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network
from random import Random
from typing import Any

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.dns.lan import lan_view
from realmgw.dns.lending import Later
from realmgw.dns.mitigation.aliases import MOST, Aliases
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.view import View
from realmgw.dns.wan import wan_view
from realmgw.dns.zones import ZoneTable, compile_table
from realmgw.subscribers.model import Directory, Host, Profile, Service, Terms
from realmgw.test.dns.allocator import MemoryAllocator

GATEWAY = IPv4Address("203.0.113.1")
POOL_ADDRESS = IPv4Address("192.0.2.1")
POOL_ADDRESS6 = IPv6Address("2001:db8:1::1")
POOL = ip_network("192.0.2.0/30")
POOL6 = ip_network("2001:db8:1::/64")
SERVICE_POOL = (IPv4Address("203.0.113.2"), IPv4Address("203.0.113.3"))
SERVER = settings.NameServer("ns1.example.org.", (GATEWAY,))
ZONE = settings.Zone("example.org.", (SERVER,), "hostmaster.example.org.", (GATEWAY,))
CHILD = settings.Zone("child.example.org.", (settings.NameServer("ns.example.net."),), "hostmaster.example.org.")
PIN = "2001:db8:5::5"
REVERSE = settings.Zone("168.192.in-addr.arpa.", (SERVER,), "hostmaster.example.org.")
ZONES = (ZONE, CHILD, REVERSE)
ALIASES = settings.Zone("a.example.org.", (SERVER,), "hostmaster.example.org.", aliases=True)
PLAIN = settings.Policy(system_load=(), challenges=settings.Challenges())
NO_LIMIT = settings.RateLimit(per_second=0)
NOON = 1_795_262_400.0  # seconds since 1970: 2026-11-21 12:00 UTC
RESOLVER = ("198.51.100.53", 5353)


def host(index: int, name: str, six: str = "", mode: Ipv6Mode | None = None, *, four: bool = True) -> Host:
    """A host at 192.168.0.`index`, at an IPv6 address, or at both."""
    own = IPv4Address(f"192.168.0.{index}").packed if four else b""
    return Host(index, name, own, Profile(10, ipv6=mode), address6=IPv6Address(six).packed if six else b"")


def directory(*, extra: tuple[str, ...] = ()) -> Directory:
    """Two hosts, the second one with a name for the proxy and one far down, and further names of the first one.

    Three with an IPv6 address beside them: `dual`, `six`, which has no other, and `pin`, where it is told.
    """
    one, two, dual = host(1, "one.example.org."), host(2, "two.example.org."), host(3, "dual.example.org.", "fd00::3")
    six, pin = host(4, "six.example.org.", "fd00::4", four=False), host(5, "pin.example.org.", PIN, Ipv6Mode.PINHOLE)
    services = [
        *[Service(each.name, each) for each in (dual, six, pin)],
        Service(one.name, one),
        Service(two.name, two, Terms(protocol=6, port=80)),
        Service("www.two.example.org.", two, Terms(proxy_required=True)),
        Service("deep.empty.nodes.example.org.", two),
        *[Service(name, one) for name in extra],
    ]
    hosts = {each.index: each for each in (one, two, dual, six, pin)}
    return Directory({service.name: service for service in services}, hosts)


def table(*, extra: tuple[str, ...] = ()) -> ZoneTable:
    """The zone table of that realm."""
    return compile_table(ZONES, directory(extra=extra))


def make_settings(
    policy: settings.Policy = PLAIN,
    rate: settings.RateLimit = NO_LIMIT,
    zones: tuple[settings.Zone, ...] = ZONES,
    service_pool: tuple[IPv4Address | IPv6Address, ...] = SERVICE_POOL,
    pools: tuple[settings.Network, ...] = (POOL, POOL6),
    ipv6: settings.Ipv6 = settings.Ipv6(),  # noqa: B008 - it is frozen
    **dns: Any,
) -> settings.Settings:
    """The settings of that realm's gateway: without load policy, challenges or rate limit, unless told otherwise."""
    return settings.Settings(
        "gateway",
        zones,
        settings.Interfaces("wan", ("lan",)),
        settings.Pools(tuple(settings.PoolPrefix(each, settings.Attachment.ROUTED) for each in pools), service_pool),
        settings.Dns(rate_limit=rate, **dns),
        policy=policy,
        ipv6=ipv6,
    )


def defences(made: settings.Settings, most: int = MOST) -> Defences:
    """Theirs, with so many aliases at most; chance is a sequence, the same each time, and it is 2026."""
    found = Defences.of(made, Random(4).randbytes, lambda: NOON, now=0.0)
    return attrs.evolve(found, aliases=Aliases(Random(5).randbytes, most))


def wan(
    allocator: Allocator | None = None,
    made: settings.Settings | None = None,
    later: Later | None = None,
    present: Callable[[], float] = lambda: 1.0,
) -> View:
    """The WAN's answers."""
    made = made or make_settings()
    pool = allocator or MemoryAllocator(POOL_ADDRESS.packed)
    table = compile_table(made.zones, directory())
    return wan_view(made, table, pool, defences(made), later or no_clock, present)


def no_clock(seconds: float, function: Callable[[float], None]) -> object:
    """Stands for a clock where nothing may be put off."""
    raise AssertionError(seconds, function)


def lan() -> View:
    """The LAN's answers."""
    return lan_view(make_settings(), table())
