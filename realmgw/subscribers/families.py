"""Of which family a host's addresses are, and how its names are answered in each."""

from __future__ import annotations

from ipaddress import IPv6Address

from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.subscribers.model import Host


def mode_of(host: Host, settings: Ipv6) -> Ipv6Mode:
    """How the names of a host are answered with AAAA: by its own option, by its prefix, or as all others.

    A host without an IPv6 address is `Ipv6Mode.OFF`, whatever is said.
    """
    if not host.address6:
        return Ipv6Mode.OFF
    if host.profile.ipv6 is not None:
        return host.profile.ipv6
    return mode_at(host.address6, settings) if settings.prefixes else settings.mode


def mode_at(address: bytes, settings: Ipv6) -> Ipv6Mode:
    """How the names of a host that says nothing of it are answered, by its packed IPv6 address."""
    value = IPv6Address(address)
    within = (each for each in settings.prefixes if value in each.prefix)
    longest = max(within, key=lambda each: each.prefix.prefixlen, default=None)
    return settings.mode if longest is None else longest.mode
