"""Neighbour discovery's messages (RFC 4861) and announcements by ARP, as frames of Ethernet. Pure: octets to values.

Only solicitations without extension headers are known: with a fragment header they have to be ignored (RFC 6980), and
others nobody sends.

Family: each has messages of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from ipaddress import IPv6Network

import attrs

from realmgw.datapath.netlink import bpf

IPV6, ARP = 0x86DD, 0x0806
"""Types of Ethernet frames."""
LINK = 6  # octets
"""How long a link-layer address of Ethernet is."""
ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")
"""The address of all nodes of a link."""
UNSPECIFIED = bytes(16)
"""The source of who only wants to know whether an address is taken (RFC 4862)."""
MOST_PREFIXES = 256
"""So many prefixes a filter can tell apart; with more, it lets all solicitations through."""

_HEADER = struct.Struct("!6s6sHIHBB16s16s")  # Ethernet's, and IPv6's behind it
_BODY = struct.Struct("!BBHI16s")  # ICMPv6: type, code, checksum, flags, target
_ARP = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_ICMP, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_HOPS, _VERSION = 255, 6
_SOURCE_LINK, _TARGET_LINK = 1, 2  # options
_SOLICITED_NODE = bytes.fromhex("ff02" + "00" * 9 + "01ff")
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_ONES = 0xFFFF  # a sum of 16-bit words, with the carry added, is the remainder by this
_BROADCAST = b"\xff" * LINK
_ETHERNET, _IPV4, _REQUEST = 1, 0x0800, 1
# Places in a frame.
_NEXT_HEADER, _TYPE, _TARGET = 20, 54, 62
_PACKET_TYPE, _OTHER_HOST = 0x1_0000_0000 - 0x1000 + 4, 3


@attrs.frozen
class Solicitation:
    """A neighbour wants to know where an address is."""

    target: bytes
    """It, packed."""
    source: bytes
    """Who asks, packed; `UNSPECIFIED` when he wants to have the address himself."""
    link: bytes
    """His link-layer address: what he says it is, else that of the frame."""
    is_probe: bool = False
    """Whether it was sent to the target itself: he knows where it was, and wants to know whether it still is."""


def solicitation(frame: bytes) -> Solicitation | None:
    """Read a solicitation.

    Args:
        frame: A frame with one, as far as a filter can tell.

    Returns:
        It; None if it is to be ignored in silence (RFC 4861 section 7.1.1).
    """
    if len(frame) < _HEADER.size + _BODY.size:
        return None
    _, link, _, first, length, following, hops, source, destination = _HEADER.unpack_from(frame)
    kind, code, _, _, target = _BODY.unpack_from(frame, _HEADER.size)
    body = frame[_HEADER.size : _HEADER.size + length]
    if (first >> 28, following, hops, kind, code) != (_VERSION, _ICMP, _HOPS, _SOLICITATION, 0):
        return None
    if not _BODY.size <= length == len(body) or _sum(source, destination, body):
        return None
    options = _options(body[_BODY.size :])
    if options is None or 0xFF in (target[0], source[0]) or destination not in (target, _group(target)):
        return None
    said = options.get(_SOURCE_LINK)
    if source == UNSPECIFIED and (said is not None or destination == target):
        return None
    return Solicitation(target, source, said if said and len(said) == LINK else link, destination == target)


def advertisement(asked: Solicitation, own: bytes) -> bytes:
    """The frame that answers a solicitation: to who has asked, or to all if he has no address yet (section 7.2.4).

    Args:
        asked: It.
        own: Our link-layer address.
    """
    if asked.source == UNSPECIFIED:
        return announcement(asked.target, own)
    return _advertisement(asked.target, own, (asked.source, asked.link), _SOLICITED | _OVERRIDE)


def announcement(address: bytes, own: bytes) -> bytes:
    """The frame that tells all neighbours, unasked, that an address is here.

    Args:
        address: Packed. For IPv6 it is an unsolicited advertisement (section 7.2.6), for IPv4 a request of ARP for
            oneself (RFC 5227 section 3).
        own: Our link-layer address.
    """
    if len(address) == 4:
        said = _ETHERNET, _IPV4, LINK, 4, _REQUEST
        return _ARP.pack(_BROADCAST, own, ARP, *said, own, address, bytes(LINK), address)
    return _advertisement(address, own, (ALL_NODES, b"\x33\x33" + ALL_NODES[-4:]), _OVERRIDE)


def program(networks: Collection[IPv6Network]) -> bytes:
    """The filter for the socket: solicitations for addresses of these prefixes, in frames that are for us."""
    chosen = [each for network in networks for each in _within(network)] + [bpf.NOTHING]
    return bpf.program(
        (bpf.LOAD_WORD, 0, 0, _PACKET_TYPE),
        (bpf.IF_EQUAL, 0, 1, _OTHER_HOST),
        bpf.NOTHING,
        (bpf.LOAD_OCTET, 0, 0, _NEXT_HEADER),
        (bpf.IF_EQUAL, 1, 0, _ICMP),
        bpf.NOTHING,
        (bpf.LOAD_OCTET, 0, 0, _TYPE),
        (bpf.IF_EQUAL, 1, 0, _SOLICITATION),
        bpf.NOTHING,
        *(chosen if len(networks) <= MOST_PREFIXES else (bpf.WHOLE,)),
    )


def _within(network: IPv6Network) -> list[bpf.Instruction]:
    """Delivers what is for an address of a prefix; goes on behind it otherwise."""
    words = (network.prefixlen + 31) // 32
    masks, wanted = (struct.unpack("!4I", each.packed) for each in (network.netmask, network.network_address))
    found = []
    for at in range(words):
        left = (words - at - 1) * 3 + 1
        found += [
            (bpf.LOAD_WORD, 0, 0, _TARGET + 4 * at),
            (bpf.AND, 0, 0, masks[at]),
            (bpf.IF_EQUAL, 0, left, wanted[at]),
        ]
    return [*found, bpf.WHOLE]


def _advertisement(target: bytes, own: bytes, to: tuple[bytes, bytes], flags: int) -> bytes:
    """To an address, and the link-layer address that goes with it."""
    destination, link = to
    option = bytes((_TARGET_LINK, 1)) + own
    length = _BODY.size + len(option)
    blank = _BODY.pack(_ADVERTISEMENT, 0, 0, flags, target) + option
    checksum = -_sum(target, destination, blank) % _ONES
    body = _BODY.pack(_ADVERTISEMENT, 0, checksum, flags, target) + option
    return _HEADER.pack(link, own, IPV6, _VERSION << 28, length, _ICMP, _HOPS, target, destination) + body


def _sum(source: bytes, destination: bytes, body: bytes) -> int:
    """What the words of a message and its pseudo-header add up to (RFC 8200 section 8.1); 0: the checksum is right."""
    head = source + destination + struct.pack("!II", len(body), _ICMP)
    return int.from_bytes(head + body + bytes(len(body) % 2), "big") % _ONES


def _group(target: bytes) -> bytes:
    """The address of the nodes that may have a target (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE + target[-3:]


def _options(data: bytes) -> dict[int, bytes] | None:
    """Options by their types, the first of each; None where they are malformed."""
    found: dict[int, bytes] = {}
    while data:
        length = data[1] * 8 if len(data) > 1 else 0
        if not 0 < length <= len(data):
            return None
        found.setdefault(data[0], data[2:length])
        data = data[length:]
    return found
