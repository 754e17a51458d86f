"""The realm that the DNS tests ask about."""

from __future__ import annotations

from ipaddress import IPv4Address

from realmgw.config import settings
from realmgw.dns.answers import Allocator, LanAnswers, WanAnswers
from realmgw.dns.zones import ZoneTable, compile_table
from realmgw.subscribers.model import Directory, Host, Service
from realmgw.testing import MemoryAllocator

GATEWAY = IPv4Address("203.0.113.1")
POOL_ADDRESS = IPv4Address("192.0.2.1")
SERVICE_POOL = (IPv4Address("203.0.113.2"), IPv4Address("203.0.113.3"))
SERVER = settings.NameServer("ns1.example.org.", GATEWAY)
ZONE = settings.Zone("example.org.", (SERVER,), "hostmaster.example.org.", GATEWAY)
CHILD = settings.Zone("child.example.org.", (settings.NameServer("ns.example.net."),), "hostmaster.example.org.")
REVERSE = settings.Zone("168.192.in-addr.arpa.", (SERVER,), "hostmaster.example.org.")
ZONES = (ZONE, CHILD, REVERSE)
RESOLVER = ("198.51.100.53", 5353)


def host(index: int, name: str) -> Host:
    """A host at 192.168.0.`index`."""
    return Host(index, name, IPv4Address(f"192.168.0.{index}").packed, 10)


def directory(*, extra: tuple[str, ...] = ()) -> Directory:
    """Two hosts, the second one with a name for the proxy and one far down, and further names of the first one."""
    one, two = host(1, "one.example.org."), host(2, "two.example.org.")
    services = [
        Service(one.name, one),
        Service(two.name, two, protocol=6, port=80),
        Service("www.two.example.org.", two, proxy_required=True),
        Service("deep.empty.nodes.example.org.", two),
        *[Service(name, one) for name in extra],
    ]
    return Directory({service.name: service for service in services}, {1: one, 2: two})


def table(*, extra: tuple[str, ...] = ()) -> ZoneTable:
    """The zone table of that realm."""
    return compile_table(ZONES, directory(extra=extra))


def wan(allocator: Allocator | None = None) -> WanAnswers:
    """The WAN's answers."""
    service_pool = tuple(address.packed for address in SERVICE_POOL)
    return WanAnswers(table(), settings.Dns(), allocator or MemoryAllocator(POOL_ADDRESS.packed), service_pool)


def lan() -> LanAnswers:
    """The LAN's answers."""
    return LanAnswers(table(), settings.Dns())
