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


@attrs.frozen
class Peer:
    """A server that we speak to, by TLS or without."""

    endpoint: Endpoint
    """Where it is."""
    name: str | None = None
    """The name that its certificate must be for: it is spoken to by TLS; None: without."""

    @property
    def text(self) -> str:
        """As the configuration writes it."""
        address = self.endpoint.address
        host = str(address) if address.version == 4 else f"[{address}]"
        return f"{host}:{self.endpoint.port}{'' if self.name is None else f'#{self.name}'}"


@attrs.frozen(cache_hash=True)
class Resolver(Peer):
    """A server that is asked about other people's names: by TLS (RFC 7858), or by UDP and TCP."""
