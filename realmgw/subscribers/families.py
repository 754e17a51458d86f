"""Of which family a host's addresses are, and how its names are answered in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.config.settings import Pools
from realmgw.subscribers.model import Host

_POOL, _PINHOLE, _OFF = Ipv6Mode.POOL, Ipv6Mode.PINHOLE, Ipv6Mode.OFF
"""Slow to get at by name."""


def mode_of(host: Host, settings: Ipv6) -> Ipv6Mode:
    """How the names of a host are answered with AAAA: by its own option, by its prefix, or as all others.

    A host without an IPv6 address is `Ipv6Mode.OFF`, whatever is said; and so is one whose address is private (RFC
    4193) and would be told as it is: nobody outside reaches it. Where the machine has no IPv6 all of them are.
    """
    address = host.address6
    if not address or not settings.is_served:
        return _OFF
    mode = _said_of(host, settings)
    return _OFF if mode is _PINHOLE and _is_private(address) else mode


def _said_of(host: Host, settings: Ipv6) -> Ipv6Mode:
    return host.profile.ipv6 or (_mode_at(host.address6, settings) if settings.prefixes else settings.mode)


def _mode_at(address: bytes, settings: Ipv6) -> Ipv6Mode:
    """By the longest prefix that it lies in, however many there are: each query for AAAA needs it."""
    number = int.from_bytes(address, "big")
    for left, modes in settings.by_length:
        mode = modes.get(number >> left)
        if mode is not None:
            return mode
    return settings.mode


def _is_private(address: bytes) -> bool:
    return address[0] & 0xFE == 0xFC


def unanswered(hosts: Iterable[Host], pools: Pools, settings: Ipv6) -> Iterator[str]:
    """How many hosts have an address of a family and are not answered with it, and why, in lines.

    Those that are not by their own wish, or their prefix's, are not told of.
    """
    without4 = without6 = private = switched_off = 0
    lacks4, lacks6 = not pools.networks4, not pools.networks6
    for host in hosts:
        without4 += lacks4 and bool(host.address)
        if host.address6:
            mode = _said_of(host, settings)
            without6 += lacks6 and mode is _POOL
            private += mode is _PINHOLE and _is_private(host.address6)
            switched_off += mode is _PINHOLE and not settings.is_served
    for count, family, kind in ((without4, "IPv4", "A"), (without6, "IPv6", "AAAA")):
        if count:
            yield f"{_hosts(count)} an address of {family} and no {kind}: pools.circular has no prefix of {family}."
    if private:
        yield f"{_hosts(private)} no AAAA: 'ipv6: pinhole' holds there, and what is at fc00::/7 nobody reaches."
    if switched_off:
        yield f"{_hosts(switched_off)} no AAAA: 'ipv6: pinhole' holds there, and IPv6 is switched off on this machine."


def _hosts(count: int) -> str:
    return "1 host has" if count == 1 else f"{count} hosts have"
