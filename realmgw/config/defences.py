"""The settings of what the DNS server does against those who ask in other people's names, and too often."""

from __future__ import annotations

from pathlib import PurePath

import attrs

from realmgw.config.values import Network


@attrs.frozen
class Cookies:
    """DNS server cookies (RFC 7873, RFC 9018): what proves a sender's address by UDP."""

    enabled: bool = True
    """They are given and believed."""
    secret_file: PurePath | None = None
    """A file of secrets that several servers of one address share; None: the gateway makes its own and tells nobody."""
    rotation: float = 86_400.0  # seconds
    """How long a secret of our own is used; the one before it is believed as long again."""


@attrs.frozen
class RateLimit:
    """How many answers that are much longer than their queries a network gets by UDP without a valid cookie."""

    per_second: int = 100
    """To each network; 0: there is no limit."""
    slip: int = 1
    """Every so many answers beyond the limit, one with TC is given instead of silence; 0: never, 1: always."""
    ipv4_prefix: int = 24
    """Length of the prefix that is one network, for IPv4; 8 to 32."""
    ipv6_prefix: int = 56
    """The same for IPv6; 16 to 128."""
    exempt: tuple[Network, ...] = ()
    """Senders without a limit."""
