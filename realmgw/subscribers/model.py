"""Hosts and services as values, and the directory of them.

Names are absolute, lower case and in presentation form with the final dot (`www.test.gwa.demo.`). Addresses are packed
bytes in network order: 4 of them now, 16 for IPv6; nothing here looks inside.
"""

from __future__ import annotations

import attrs

from realmgw.subscribers.firewall import NO_RULES, Firewall
from realmgw.subscribers.host_indices import HostIndices

ANY = 0
"""As a protocol or a port: every one."""
CLAIM_LIFETIME = 2.0  # seconds
"""How long an unused reservation of a service lives, unless the service says otherwise."""


@attrs.frozen
class Identity:
    """What a subscriber is known by, beside its first name and address."""

    fqdns: tuple[str, ...] = ()
    """Further names; nobody is reached by them unless they are services as well."""
    addresses: tuple[bytes, ...] = ()
    """Further addresses that are its own, packed."""
    msisdns: tuple[str, ...] = ()
    """Telephone numbers."""


NO_MORE = Identity()
"""The first name and address are all there is."""


@attrs.frozen(eq=False)
class Host:
    """A private host. Compared by identity: the directory holds one object for each."""

    index: int
    """1 to 2**24 - 1; what the packet mark carries. Never given to another host while this one has flows."""
    name: str
    """The subscriber's ID: its first FQDN."""
    address: bytes
    """Its private address, packed."""
    max_claims: int
    """At how many addresses, or shares of one, its clients may be expected at once; CIRCULARPOOL `max`."""
    groups: tuple[str, ...] = ()
    """Names of the subscriber groups that it belongs to."""
    identity: Identity = NO_MORE
    """What else it is known by."""
    firewall: Firewall = NO_RULES
    """Its rules."""
    carriergrade: tuple[bytes, ...] = ()
    """If it is a realm gateway itself: where it may say that its hosts are, packed."""


@attrs.frozen(eq=False)
class Service:
    """A name under which a host is reached, and what may be reached by it."""

    name: str
    """The service's FQDN."""
    host: Host
    """Where its flows go."""
    protocol: int = ANY
    """IP protocol number (1, 6, 17, 132, ...), 0 for any."""
    port: int = ANY
    """Destination port, 0 for any."""
    proxy_required: bool = False
    """Answer with the service pool's address: a reverse proxy routes by HTTP Host or TLS SNI."""
    carriergrade: bool = False
    """The host is a realm gateway itself."""
    loose_packet: int = 0
    """0: the first packet uses the claim. n > 0: n further ones are let in. -1: the claim stays open till its end."""
    autobind: bool = True
    """After the first packet, what `loose_packet` lets in is bound to that sender."""
    timeout: float = CLAIM_LIFETIME
    """How long, in seconds, a claim waits for its client."""
    target: int = attrs.field(init=False)
    """Host index << 24 | protocol << 16 | port: equal for names that lead to the same place."""

    @target.default
    def _target_of_host(self) -> int:
        return self.host.index << 24 | self.protocol << 16 | self.port


@attrs.frozen(eq=False)
class Directory:
    """Every host and service of the realm at one moment: a new one is built when anything changes."""

    services: dict[str, Service]
    """By name (absolute, lower case)."""
    hosts: dict[int, Host]
    """By index."""
    indices: HostIndices = attrs.Factory(HostIndices)
    """Which index each host has, and what the next load needs to know to keep it so."""
