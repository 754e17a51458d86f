"""Where a server listens, and where somebody comes from, as sockets have it. Pure."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import attrs


@attrs.frozen
class Endpoint:
    """Where a server listens."""

    address: IPv4Address | IPv6Address
    """A single address: wildcards are refused, since answers must leave from the address that was asked."""
    port: int
    """1 to 65535."""

    @property
    def host(self) -> str:
        """Its address, as it is written before a port."""
        return str(self.address) if self.address.version == 4 else f"[{self.address}]"

    @property
    def text(self) -> str:
        """As the configuration writes it."""
        return f"{self.host}:{self.port}"


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """An address without its scope; one of IPv4 that a socket of both families gave as IPv6, as what it is."""
    plain = ip_address(text.partition("%")[0])
    return getattr(plain, "ipv4_mapped", None) or plain
