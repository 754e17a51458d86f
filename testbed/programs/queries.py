"""What a query costs in the gateway by what is said to it: decisions and octets, without sockets, on one core.

    python -m testbed.programs.queries

Each row is 50 000 queries in blocks of 100; told is the median block, in microseconds a query.
"""

from __future__ import annotations

import argparse
import os
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_network

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.dns.codec.names import to_wire
from realmgw.dns.fastpath.fast import POOL_RECORD, POOL_RECORD6
from realmgw.dns.mitigation.defences import Defences
from realmgw.dns.wan import wan_view
from realmgw.dns.zones import compile_table
from realmgw.subscribers.model import Directory, Host, Profile, Service

QUERIES = 50_000
BLOCK = 100
HOSTS = 100
RATE = 10_000  # queries a second, by the clock that the gateway is told
CLIENT, CLIENT6 = bytes((198, 51, 100, 9)), IPv6Address("2001:db8:9::9").packed
PRIVATE6 = IPv6Address("fd00::")
RESOLVER, RESOLVER6 = "198.51.100.53", "2001:db8:7::53"
POOLS = ip_network("192.0.2.0/24"), ip_network("2001:db8:2::/64")
OPT = struct.Struct("!BHHIH")

Case = tuple[bytes, str]
"""A query without its ID, and where it comes from."""


class Gateway:
    """A WAN's view and an allocator with 256 addresses; whoever is given one comes at once."""

    def __init__(self, *words: str) -> None:
        zone = settings.Zone("example.org.", (settings.NameServer("ns.example.net."),), "hostmaster.example.org.")
        zones = (zone, attrs.evolve(zone, name="a.example.org.", aliases=True))
        policy = settings.Policy(challenges=settings.Challenges(**dict.fromkeys(words, True)))
        made = settings.Settings(
            "gateway",
            zones,
            settings.Interfaces("wan", ("lan",)),
            settings.Pools(tuple(settings.PoolPrefix(each, settings.Attachment.ROUTED) for each in POOLS)),
            settings.Dns(),
            policy=policy,
        )
        hosts = [
            Host(index, f"h{index}.example.org.", bytes((10, 0, 0, index)), Profile(1 << 30))
            for index in range(1, HOSTS)
        ]
        hosts += [
            Host(HOSTS + index, f"s{index}.example.org.", b"", Profile(1 << 30), address6=(PRIVATE6 + index).packed)
            for index in range(1, HOSTS)
        ]
        directory = Directory({host.name: Service(host.name, host) for host in hosts}, {})
        self.now = 1000.0
        self.allocator = Allocator(settings.Allocation(), POOLS, now=self.now, policy=policy, chance=os.urandom)
        defences = Defences.of(made, os.urandom, time.time, now=self.now)
        self.wan = wan_view(
            made, compile_table(zones, directory), self.allocator, defences, self._later, lambda: self.now
        )

    def _later(self, seconds: float, function: Callable[[float], None]) -> None:
        raise SystemExit(f"{function} was put off by {seconds} s")

    def ask(self, cases: list[Case]) -> float:
        """The seconds that a block of queries takes, at the same moment; then the clients' first packets come."""
        self.now += len(cases) / RATE
        now, fast = self.now, self.wan.fast
        asked = [
            ((number & 0xFFFF).to_bytes(2, "big") + query, (resolver, number & 0xFFFF), self.wan.senders.who(resolver))
            for number, (query, resolver) in enumerate(cases)
        ]
        begin = time.perf_counter()
        answers = [fast(message, address, who, now=now) for message, address, who in asked]
        taken = time.perf_counter() - begin
        for number, answer in enumerate(answers):
            if not isinstance(answer, bytes):
                raise SystemExit(f"not on the fast path: {answer!r}")
            for record, client in ((POOL_RECORD, CLIENT), (POOL_RECORD6, CLIENT6)):
                at = answer.find(record)
                if at > 0:
                    packed = answer[at + len(record) :][: len(client)]
                    self.allocator.admit((client, packed, 6, 1024 + number, 80), now=now)
        return taken

    def cookie(self, resolver: str) -> bytes:
        """A valid cookie of a resolver."""
        answer = self.wan.fast(b"\0\0" + query("nobody.example.org.", cookie=bytes(8)), (resolver, 1), now=self.now)
        if not isinstance(answer, bytes):
            raise SystemExit("no cookie was given")
        return answer[-24:]


def query(name: str, kind: int = 1, cookie: bytes = b"") -> bytes:
    """A query without its ID; with a cookie it has an OPT record."""
    options = struct.pack("!HH", 10, len(cookie)) + cookie if cookie else b""
    opt = OPT.pack(0, 41, 1232, 0, len(options)) + options if cookie else b""
    return struct.pack("!HHHHH", 0x0100, 1, 0, 0, bool(opt)) + to_wire(name) + struct.pack("!HH", kind, 1) + opt


def names() -> Iterator[str]:
    """Those of all hosts, again and again."""
    while True:
        yield from (f"h{index}.example.org." for index in range(1, HOSTS))


def six() -> Iterator[str]:
    """Those of all hosts that have IPv6 only."""
    while True:
        yield from (f"s{index}.example.org." for index in range(1, HOSTS))


def spoofed() -> Iterator[str]:
    """A million senders in as many networks of 24 bits as there are queries."""
    for number in range(1 << 24):
        yield f"{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.53"


def one() -> Iterator[str]:
    """One resolver."""
    while True:
        yield RESOLVER


def one_by_ipv6() -> Iterator[str]:
    """One resolver that comes by IPv6."""
    while True:
        yield RESOLVER6


def same(name: str) -> Iterator[str]:
    """One name."""
    while True:
        yield name


Row = tuple[str, Callable[[], tuple[Gateway, list[Case]]]]


def row(
    said: str,
    *words: str,
    asked: Callable[[], Iterator[str]] = names,
    senders: Callable[[], Iterator[str]] = spoofed,
    kind: int = 1,
    cookie: str = "",
) -> Row:
    """One row of the table: how queries and gateway are made for it."""

    def make() -> tuple[Gateway, list[Case]]:
        gateway = Gateway(*words)
        own = {"": b"", "client": bytes(8), "valid": gateway.cookie(RESOLVER)}[cookie]
        cases = [
            (query(name, kind, own), sender)
            for name, sender, _ in zip(asked(), senders(), range(QUERIES), strict=False)
        ]
        return gateway, cases

    return said, make


ROWS = (
    row("an address, no challenges, one resolver", senders=one),
    row("an address of IPv6, the same", senders=one, asked=six, kind=28),
    row("an address of IPv6, by IPv6", senders=one_by_ipv6, asked=six, kind=28),
    row("an address of IPv4, with a valid cookie (remembered)", senders=one, cookie="valid"),
    row("an address, `tcp`, one resolver with a valid cookie", "tcp", senders=one, cookie="valid"),
    row("an address, `adaptive`, one resolver with a valid cookie", "adaptive", senders=one, cookie="valid"),
    row("TC, spoofed", "tcp"),
    row("TC, spoofed, `adaptive`", "adaptive"),
    row("BADCOOKIE, spoofed", "tcp", cookie="client"),
    row("CNAME to a new alias, spoofed", "cname"),
    row("NODATA (AAAA), spoofed", kind=28),
    row("NXDOMAIN, spoofed", asked=lambda: same("nobody.example.org.")),
    row("REFUSED, spoofed", asked=lambda: same("www.example.net.")),
)


def main() -> None:
    """Prints the table."""
    argparse.ArgumentParser(
        prog="python -m testbed.programs.queries", description=(__doc__ or "").partition("\n")[0]
    ).parse_args()
    print("| said | µs |\n|---|---|")
    for said, make in ROWS:
        gateway, cases = make()
        taken = [gateway.ask(cases[at : at + BLOCK]) for at in range(0, QUERIES, BLOCK)]
        print(f"| {said} | {statistics.median(taken) / BLOCK * 1e6:.1f} |", flush=True)


if __name__ == "__main__":
    main()
