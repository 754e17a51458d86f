"""EDNS options that say something about the client for whom a resolver asks, read strictly, and what goes back.

RFC 7871 (Client Subnet); 0xFF01 and 0xFF02 are of the local range: the client's address, and an opaque name for him
that means something to his resolver's group only. What such codes mean is agreed between two, so from everybody else
they are options that nobody here knows, which are ignored (RFC 6891 section 6.1.2).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_network
from typing import TypeVar

import attrs

from realmgw.config.values import Network
from realmgw.dns.codec import cookies
from realmgw.dns.codec.wire import COOKIE
from realmgw.errors import MalformedError

CLIENT_SUBNET = 8
CLIENT_INFORMATION = 0xFF01
CLIENT_IDENTIFIER = 0xFF02
LONGEST_IDENTIFIER = 255  # octets

T = TypeVar("T")

_SUBNET = struct.Struct("!HBB")  # FAMILY, SOURCE PREFIX-LENGTH, SCOPE PREFIX-LENGTH
_FAMILY = struct.Struct("!H")
_TRANSACTION = struct.Struct("!HH")
_NO_FAMILY = bytes(_SUBNET.size)
_OCTETS = {1: 4, 2: 16}
"""Length of an address by family."""


class BadOptionError(MalformedError):
    """An option's data is not what its code says; the text says why."""


@attrs.frozen
class ClientSubnet:
    """RFC 7871: the network that a client is in."""

    network: Network
    """It; of length 0 if the client does not want it to be told."""

    @property
    def octets(self) -> bytes:
        """The address, as long as its prefix needs."""
        return self.network.network_address.packed[: (self.network.prefixlen + 7) // 8]

    def reply(self, believed: bool) -> bytes:
        """The option's data for an answer: whether it is for that network, or for everybody (section 7.2.1)."""
        family, length = 1 if self.network.version == 4 else 2, self.network.prefixlen
        return _SUBNET.pack(family, length, length if believed else 0) + self.octets


@attrs.frozen
class ClientInformation:
    """0xFF01: exactly who a client is."""

    network: Network
    """His address, as a network of one."""
    protocol: int
    """IP protocol that he is going to use, 0: not told."""
    transaction: int
    """His own number for what he wants, or his port."""


@attrs.frozen
class Options:
    """What the options of a query say that means something here; unknown ones do not."""

    cookie: bytes | None = None
    """Data of the first COOKIE option: 8 octets, or 16 to 40."""
    subnet: ClientSubnet | None = None
    """The client's network."""
    information: ClientInformation | None = None
    """The client's address."""
    identifier: bytes | None = None
    """A name for the client."""

    @property
    def network(self) -> Network | None:
        """Where the client is, as exactly as it is told; None if it is not."""
        if self.information is not None:
            return self.information.network
        return self.subnet.network if self.subnet is not None and self.subnet.network.prefixlen else None


NONE = Options()


def read(options: tuple[tuple[int, bytes], ...], *, agreed: bool = False) -> Options:
    """What options say. Of several with one code the first counts (RFC 7873 section 5.2).

    Args:
        options: Code and data of each.
        agreed: Their sender means by 0xFF01 and 0xFF02 what we do.

    Raises:
        BadOptionError: The data of one of those that we know is malformed: FORMERR (RFC 7873 section 5.2.2, RFC 7871
            section 7.1.2).
    """
    if not options:
        return NONE
    found = dict(reversed(options))
    return Options(
        _read(found, COOKIE, _read_cookie),
        _read(found, CLIENT_SUBNET, _read_subnet),
        _read(found, CLIENT_INFORMATION, _read_information) if agreed else None,
        _read(found, CLIENT_IDENTIFIER, _read_identifier) if agreed else None,
    )


def _read(found: dict[int, bytes], code: int, reader: Callable[[bytes], T]) -> T | None:
    data = found.get(code)
    return None if data is None else reader(data)


def _read_cookie(data: bytes) -> bytes:
    if len(data) != cookies.CLIENT_LENGTH and not 2 * cookies.CLIENT_LENGTH <= len(data) <= cookies.LONGEST:
        raise BadOptionError("a cookie has 8 or 16 to 40 octets")
    return data


def _read_subnet(data: bytes) -> ClientSubnet | None:
    if len(data) < _SUBNET.size:
        raise BadOptionError("a client subnet of less than four octets")
    family, source, scope = _SUBNET.unpack_from(data)
    octets = data[_SUBNET.size :]
    if data == _NO_FAMILY:  # what some resolvers say for "not to be told"; others take it as well
        return None
    size = _OCTETS.get(family)
    if size is None or source > size * 8:
        raise BadOptionError("a client subnet of no family, or longer than its addresses")
    if scope:
        raise BadOptionError("a scope in a query")
    if len(octets) != (source + 7) // 8:
        raise BadOptionError("a client subnet with more or less octets than its prefix needs")
    return ClientSubnet(_network(octets.ljust(size, b"\0"), source))


def _network(packed: bytes, length: int) -> Network:
    try:
        return ip_network((packed, length))
    except ValueError:
        raise BadOptionError("a client subnet with bits beyond its prefix") from None


def _read_information(data: bytes) -> ClientInformation:
    size = _OCTETS.get(_FAMILY.unpack_from(data)[0] if len(data) >= _FAMILY.size else 0)
    if size is None or len(data) != _FAMILY.size + size + _TRANSACTION.size:
        raise BadOptionError("client information of no family, or of another length than its family has")
    at = _FAMILY.size + size
    return ClientInformation(_network(data[_FAMILY.size : at], size * 8), *_TRANSACTION.unpack_from(data, at))


def _read_identifier(data: bytes) -> bytes:
    if not 0 < len(data) <= LONGEST_IDENTIFIER:
        raise BadOptionError(f"a client identifier has 1 to {LONGEST_IDENTIFIER} octets")
    return data
