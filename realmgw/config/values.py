"""Values that many sections of the settings are made of."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import attrs

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAX_DURATION = 3600.0  # seconds
"""The longest time that anything may be told to wait or to remember."""


@attrs.frozen
class Endpoint:
    """Where a server listens."""

    address: Address
    """A single address: wildcards are refused, since answers must leave from the address that was asked."""
    port: int
    """1 to 65535."""
