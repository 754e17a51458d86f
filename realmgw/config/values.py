"""Values that many sections of the settings are made of."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath

import attrs

from realmgw.system.endpoints import Endpoint

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAX_DURATION = 3600.0  # seconds
"""The longest time that anything may be told to wait or to remember."""


class Places:
    """Where something listens: at addresses, and at unix sockets by their paths."""

    __slots__ = ()
    listen: tuple[Endpoint | PurePath, ...]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those of the places that are addresses."""
        return tuple(each for each in self.listen if isinstance(each, Endpoint))

    @property
    def sockets(self) -> tuple[PurePath, ...]:
        """Those that are unix sockets."""
        return tuple(each for each in self.listen if isinstance(each, PurePath))


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
        return f"{self.endpoint.text}{'' if self.name is None else f'#{self.name}'}"


@attrs.frozen(cache_hash=True)
class Resolver(Peer):
    """A server that is asked about other people's names: by TLS (RFC 7858), or by UDP and TCP."""
