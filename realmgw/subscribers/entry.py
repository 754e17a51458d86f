"""Subscribers as values, as they are written: not yet hosts, and not yet beside others."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

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
    address: IPv4Address
    """Its private address."""
    services: tuple[Offer, ...] | None
    """Its services; None if the value does not say."""
    profile: Profile = USUAL
    """Its options."""
    identity: Identity = NO_MORE
    """What else it is known by."""
