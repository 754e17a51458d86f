"""Subscribers as values, as they are written: not yet hosts, and not yet beside others."""

from __future__ import annotations

from ipaddress import IPv4Address

import attrs

from realmgw.subscribers.firewall import NO_RULES, Firewall
from realmgw.subscribers.model import ANY, CLAIM_LIFETIME, NO_MORE, Host, Identity, Service


@attrs.frozen
class Terms:
    """What may be reached by a service, and how; as in `model.Service`. Those that say the same are one object."""

    protocol: int = ANY
    """IP protocol number."""
    port: int = ANY
    """Destination port."""
    proxy_required: bool = False
    """A reverse proxy answers for it."""
    carriergrade: bool = False
    """The host is a realm gateway itself."""
    loose_packet: int = 0
    """How many packets one claim lets in beside the first."""
    autobind: bool = True
    """They come from the first one's sender."""
    timeout: float = CLAIM_LIFETIME  # seconds
    """How long a claim waits."""


@attrs.frozen
class Offer:
    """A service as it is written: without its host."""

    name: str
    """Absolute and lower case."""
    terms: Terms = Terms()
    """What may be reached by it."""

    def at(self, host: Host) -> Service:
        """The service of a host."""
        terms = self.terms
        return Service(
            self.name,
            host,
            terms.protocol,
            terms.port,
            terms.proxy_required,
            terms.carriergrade,
            terms.loose_packet,
            terms.autobind,
            terms.timeout,
        )


@attrs.frozen(eq=False)
class Entry:
    """A subscriber as it is written."""

    name: str
    """Absolute and lower case; empty if the value does not say it, then it is its key."""
    address: IPv4Address
    """Its private address."""
    services: tuple[Offer, ...] | None
    """Its services; None if the value does not say."""
    groups: tuple[str, ...]
    """Names of groups."""
    max_claims: int
    """As in `model.Host`."""
    identity: Identity = NO_MORE
    """What else it is known by."""
    firewall: Firewall = NO_RULES
    """Its rules."""
    carriergrade: tuple[IPv4Address, ...] = ()
    """As in `model.Host`, as addresses."""
