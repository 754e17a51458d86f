"""What a captured frame says, and the filter by which the kernel hands over those that may be meant: pure.

Family: each, as they come.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import attrs

from realmgw.datapath.capture.pcapng import ETHERNET
from realmgw.datapath.netlink.bpf import IF_EQUAL, LOAD_WORD, NOTHING, WHOLE, Instruction, program
from realmgw.datapath.netlink.traces import Headers, headers_of

# linux/filter.h, linux/bpf_common.h, linux/if_ether.h
_JUMP = 0x05
_PROTOCOL, _NETWORK = 0x1_0000_0000 - 0x1000, 0x1_0000_0000 - 0x10_0000  # SKF_AD_OFF, SKF_NET_OFF
_IPV4, _IPV6 = 0x0800, 0x86DD
_PROTOCOL_LOADED: Instruction = (LOAD_WORD, 0, 0, _PROTOCOL)
_VLANS = (0x8100, 0x88A8)
_ENDS4, _ENDS6 = (12, 16), (8, 24)
MOST_ADDRESSES = 100
"""For more addresses there is no filter."""

_ICMP, _TCP, _UDP, _ICMP6 = 1, 6, 17, 58
_ERRORS = {_ICMP: frozenset((3, 4, 5, 11, 12)), _ICMP6: frozenset((1, 2, 3, 4))}
_OF_LINK = frozenset(bytes((kind,)) for kind in (130, 131, 132, 133, 134, 135, 136, 137, 143))
"""Types of ICMPv6."""
_ICMP_HEADER = 8  # octets


@attrs.frozen
class Seen:
    """A packet."""

    headers: Headers
    """Its ends, and what else it says of itself."""
    payload: bytes = b""
    """Of TCP or UDP: what is carried."""
    about: Seen | None = None
    """Of an ICMP error: the packet that it is about, as far as it is quoted."""
    is_of_link: bool = False
    """It is about neighbours and groups of a link (RFC 4861, RFC 3810), and of no flow."""


def network_of(frame: bytes, link: int) -> bytes:
    """The IP packet of a frame; empty: there is none.

    Args:
        frame: It.
        link: `pcapng.ETHERNET` or `pcapng.RAW`.
    """
    if link != ETHERNET:
        return frame
    at = 12
    while int.from_bytes(frame[at : at + 2], "big") in _VLANS:
        at += 4
    return frame[at + 2 :] if int.from_bytes(frame[at : at + 2], "big") in (_IPV4, _IPV6) else b""


def seen(packet: bytes) -> Seen | None:
    """What an IP packet says; None: it is none, or cut off. Extension headers of IPv6 hide what is behind them."""
    begin = (packet[0] & 15) * 4 if packet and packet[0] >> 4 == 4 else 40
    carried = packet[begin:]
    headers = headers_of(packet[:begin], carried)
    if headers is None:
        return None
    if headers.protocol in _ERRORS and len(carried) > _ICMP_HEADER and carried[0] in _ERRORS[headers.protocol]:
        return Seen(headers, about=seen(carried[_ICMP_HEADER:]))
    if headers.sport is None:
        return Seen(headers, is_of_link=headers.protocol == _ICMP6 and carried[:1] in _OF_LINK)
    if headers.protocol == _TCP and len(carried) > 12:
        return Seen(headers, carried[(carried[12] >> 4) * 4 :])
    return Seen(headers, carried[8:] if headers.protocol == _UDP else b"")


def lets_through(addresses: Iterable[bytes]) -> bytes:
    """A filter for packets of IP with one of these (packed) addresses at one of their ends; none: for all of IP."""
    some = list(addresses)
    if not some or len(some) > MOST_ADDRESSES:
        return program(_PROTOCOL_LOADED, (IF_EQUAL, 1, 0, _IPV4), (IF_EQUAL, 0, 1, _IPV6), WHOLE, NOTHING)
    four = [*_either([each for each in some if len(each) == 4], _ENDS4), NOTHING]
    six = [*_either([each for each in some if len(each) == 16], _ENDS6), NOTHING]
    return program(
        _PROTOCOL_LOADED, (IF_EQUAL, 1, 0, _IPV4), (_JUMP, 0, 0, len(four)), *four,
        (IF_EQUAL, 1, 0, _IPV6), (_JUMP, 0, 0, len(six)), *six, NOTHING,
    )  # fmt: skip


def _either(addresses: list[bytes], ends: Iterable[int]) -> Iterator[Instruction]:
    """Those with one of the addresses at one of the ends, which are offsets within the IP header."""
    for address in addresses:
        words = struct.unpack(f"!{len(address) // 4}I", address)
        for end in ends:
            for count, word in enumerate(words):
                yield LOAD_WORD, 0, 0, _NETWORK + end + 4 * count
                yield IF_EQUAL, 0, 2 * (len(words) - count - 1) + 1, word
            yield WHOLE
