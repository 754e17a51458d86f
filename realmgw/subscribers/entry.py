"""Subscribers as values, as they are written: not yet hosts, and not yet beside others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs

from realmgw.config.values import Address
from realmgw.subscribers.model import EVERYTHING, NO_MORE, USUAL, Identity, Profile, Terms


@attrs.frozen
class Offer:
    """A service as it is written: without its host."""

    name: str
    """Absolute and lower case."""
    terms: Terms = EVERYTHING
    """Its options."""


@attrs.frozen(eq=False)
class Entry:
    """A subscriber as it is written."""

    name: str
    """Absolute and lower case; empty if the value does not say it, then it is its key."""
    address: IPv4Address | None
    """Its private IPv4 address; None: it has none. It has an address of one family at least."""
    services: tuple[Offer, ...] | None
    """Its services; None if the value does not say."""
    profile: Profile = USUAL
    """Its options."""
    identity: Identity = NO_MORE
    """What else it is known by."""
    address6: IPv6Address | None = None
    """Its IPv6 address; None: it has none."""
    groups_at: tuple[int, int] | None = None
    """Where in its text its groups stand: line and column, counted from 1; None: that is not known."""

    @property
    def own(self) -> tuple[Address, ...]:
        """Where its flows go: one address of either family, or both."""
        return tuple([each for each in (self.address, self.address6) if each is not None])

    def claims(self) -> tuple[bytes | str, ...]:
        """What belongs to nobody else, beside its own name: all of its addresses (packed), and its services' names."""
        own = [each.packed for each in self.own]
        return (*own, *self.identity.addresses, *[offer.name for offer in self.services or ()])


def shown(claim: bytes | str) -> str:
    """A claim, for messages."""
    return claim if isinstance(claim, str) else str(ip_address(claim))
