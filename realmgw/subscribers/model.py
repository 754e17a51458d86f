"""Hosts and services as values, and the directory of them.

Names are absolute, lower case and in presentation form with the final dot (`www.test.gwa.demo.`). Addresses are packed
bytes in network order, 4 of IPv4 and 16 of IPv6; nothing here looks inside.

`Profile` and `Terms` are the options that a subscriber file has for a host and for a service. A field of theirs is all
that there is to say of an option: files, documents and OpenAPI have a key of its name, with its validator.
"""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

from realmgw.config.addresses import host4
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.config.terms import CLAIM_LIFETIME as CLAIM_LIFETIME
from realmgw.config.terms import MOST_CLAIMS as MOST_CLAIMS
from realmgw.config.terms import Terms as Terms
from realmgw.config.validators import choice, integer, key, parsed, plain_text, sequence
from realmgw.subscribers import firewall
from realmgw.subscribers.host_indices import HostIndices

DEFAULT_MAX_CLAIMS = 100
"""How many claims may be pending on a host whose file says nothing."""


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


@attrs.frozen
class Profile:
    """What holds for a host as a whole. Hosts of which the same is said share one."""

    max_claims: int = key(integer(0, MOST_CLAIMS), DEFAULT_MAX_CLAIMS)
    """At how many addresses, or shares of one, its clients may be expected at once; CIRCULARPOOL `max`."""
    groups: tuple[str, ...] = key(sequence(plain_text), ())
    """Names of the subscriber groups that it belongs to."""
    firewall: firewall.Firewall = key(firewall.PLAIN, firewall.NO_RULES)
    """Its rules."""
    carriergrade: tuple[IPv4Address, ...] = key(sequence(parsed(host4)), ())
    """If it is a realm gateway itself: where it may say that its hosts are."""
    ipv6: Ipv6Mode | None = key(choice(Ipv6Mode), None)
    """How its names are answered with AAAA; None: as its prefix or the configuration says."""


USUAL, EVERYTHING = Profile(), Terms()
"""Of those that say nothing."""


@attrs.frozen(eq=False)
class Host:
    """A private host. Compared by identity: the directory holds one object for each."""

    index: int
    """1 to 2**24 - 1; what the packet mark carries. Never given to another host while this one has flows."""
    name: str
    """The subscriber's ID: its first FQDN."""
    address: bytes
    """Its private IPv4 address, packed; empty if it has none. It has an address of one family at least."""
    profile: Profile = USUAL
    """Its options."""
    identity: Identity = NO_MORE
    """What else it is known by."""
    address6: bytes = b""
    """Its IPv6 address, packed; empty if it has none."""

    @property
    def own(self) -> tuple[bytes, ...]:
        """Where its flows go, packed: an address of either family, or of both, IPv4 first."""
        return tuple([each for each in (self.address, self.address6) if each])


@attrs.frozen(eq=False)
class Service:
    """A name under which a host is reached, and what may be reached by it."""

    name: str
    """The service's FQDN."""
    host: Host
    """Where its flows go."""
    terms: Terms = EVERYTHING
    """Its options."""
    target: int = attrs.field(init=False)
    """Host index << 24 | protocol << 16 | port: equal for names that lead to the same place."""

    direct4: bool = attrs.field(init=False)
    """Its clients come to the host itself, by IPv4: it has such an address, and needs no proxy."""
    direct6: bool = attrs.field(init=False)
    """The same by IPv6."""

    @direct4.default
    def _has_address4(self) -> bool:
        return bool(self.host.address) and not self.terms.proxy_required

    @direct6.default
    def _has_address6(self) -> bool:
        return bool(self.host.address6) and not self.terms.proxy_required

    @target.default
    def _target_of_host(self) -> int:
        return self.host.index << 24 | self.terms.protocol << 16 | self.terms.port


@attrs.frozen(eq=False)
class Directory:
    """Every host and service of the realm at one moment: a new one is built when anything changes."""

    services: dict[str, Service]
    """By name (absolute, lower case)."""
    hosts: dict[int, Host]
    """By index."""
    indices: HostIndices = attrs.Factory(HostIndices)
    """Which index each host has, and what the next load needs to know to keep it so."""
