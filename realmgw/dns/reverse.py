"""Reverse names: under which names an address has its PTR records.

Family: each has names of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import attrs

from realmgw.dns.codec import names

_IN_ADDR, _IP6 = names.to_wire("in-addr.arpa."), names.to_wire("ip6.arpa.")
_OCTETS = [b"%c%d" % (len(str(octet)), octet) for octet in range(256)]
_NIBBLES = [b"\1%x\1%x" % (octet & 0xF, octet >> 4) for octet in range(256)]
"""The labels of an octet: of IPv4, and of IPv6, where there are two."""


@attrs.frozen
class Part:
    """A zone for a part of a network of 24 bits, whose owner has an alias in it for each address (RFC 2317)."""

    apex: bytes
    """Its wire name, the whole network's with one label before it."""
    first: int
    """The first address that it is for, by its last octet."""
    last: int
    """The last one."""


def parts(apexes: Iterable[bytes]) -> dict[bytes, tuple[Part, ...]]:
    """Of some zones those that are such parts, by the wire name of the whole network.

    A label like `64/26` says which addresses it is for; one that is no number and says nothing (as the RFC allows) is
    for all of the network.
    """
    found: dict[bytes, tuple[Part, ...]] = {}
    for apex in apexes:
        above = names.ancestors(apex)
        if len(above) == 7 and above[4] == _IN_ADDR and not _label(apex).isdigit():
            found[above[1]] = (*found.get(above[1], ()), _part(apex))
    return found


def _label(name: bytes) -> str:
    return name[1 : 1 + name[0]].decode("ascii", "replace")


def _part(apex: bytes) -> Part:
    first, _, length = _label(apex).partition("/")
    if not (first.isdigit() and length.isdigit() and int(first) < 256 and 24 <= int(length) <= 32):
        return Part(apex, 0, 255)
    size = 1 << 32 - int(length)
    begin = int(first) // size * size
    return Part(apex, begin, begin + size - 1)


def names_of(address: bytes, classless: Mapping[bytes, tuple[Part, ...]]) -> list[bytes]:
    """The wire names under which a packed address has its PTR record, be they ours or not.

    Args:
        address: It.
        classless: What `parts` says of our zones.
    """
    name = name_of(address)
    if not classless or len(address) != 4:
        return [name]
    label, network = name[: 1 + name[0]], name[1 + name[0] :]
    inside = [part.apex for part in classless.get(network, ()) if part.first <= address[3] <= part.last]
    return [name, *(label + apex for apex in inside)]


def address_of(name: bytes) -> bytes | None:
    """The packed address that a wire name in lower case is the reverse name of; None if it is none's.

    One in a zone for a part of a network (RFC 2317) is the same as the one that leads there.
    """
    labels = names.to_text(name).split(".")[:-1]  # none of an address has a dot in it, or anything that is escaped
    if name.endswith(_IN_ADDR):
        numbers = [*labels[:1], *labels[2:-2]] if len(labels) == 7 and not labels[1].isdigit() else labels[:-2]
        if len(numbers) != 4 or not all(each.isdecimal() and len(each) < 4 and int(each) < 256 for each in numbers):
            return None
        return bytes(map(int, reversed(numbers)))
    if name.endswith(_IP6) and len(labels) == 34 and all(len(each) == 1 for each in labels[:32]):
        with suppress(ValueError):
            return bytes.fromhex("".join(reversed(labels[:32])))
    return None


def name_of(address: bytes) -> bytes:
    """The wire name of a packed address (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    labels, ending = (_OCTETS, _IN_ADDR) if len(address) == 4 else (_NIBBLES, _IP6)
    return b"".join([labels[octet] for octet in reversed(address)]) + ending
