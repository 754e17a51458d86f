"""What the kernel tells of packets that are traced: each rule that has matched one, and what came of it; and all rules.

A message tells of one step. The first one of each chain at a hook carries the packet's headers as they are there. What
the kernel calls the packet is the same from hook to hook, but not for ever: numbers come again. Pure: octets to values.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.config.protocols import ICMP, ICMP6, PORTED, TCP
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message
from realmgw.datapath.netlink.nftables import IN_TABLE, NAME, RULE, SUBSYSTEM, comment
from realmgw.errors import RealmGatewayError

GROUP = 9
"""NFNLGRP_NFTRACE, of NETLINK_NETFILTER."""

# linux/netfilter/nf_tables.h
_TRACE = SUBSYSTEM | 17
_TABLE, _CHAIN, _RULE, _KIND, _VERDICT, _PACKET = 1, 2, 3, 4, 5, 6
_NETWORK, _TRANSPORT, _FROM, _TO, _MARK, _POLICY = 8, 9, 10, 12, 14, 16
_CODE, _JUMP_TO = 1, 2
_RULE_HANDLE, _RULE_DATA = 3, 7
_NUMBER = struct.Struct("!i")
_VERDICTS = {
    0: "drop", 1: "accept", 2: "stolen", 3: "queue", 4: "repeat", -1: "continue", -2: "continue", -3: "jump",
    -4: "goto", -5: "return",
}  # fmt: skip
_IPV4, _IPV6 = struct.Struct("!6xHxB2x4s4s"), struct.Struct("!6xBx16s16s")
_PORTS = struct.Struct("!HH")
_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
_OFFSET = 0x1FFF

Chain = tuple[int, str, str]
"""A chain: the number of its table's family, its table, its own name."""


class Kind(enum.IntEnum):
    """What a step is."""

    POLICY = 1
    """The end of a chain at a hook, whose policy decides."""
    RETURN = 2
    """The end of another chain: it goes on where that was called."""
    RULE = 3
    """A rule has matched."""


@attrs.frozen
class Headers:
    """A packet, as it was at a hook."""

    source: bytes
    """Packed address."""
    destination: bytes
    """Packed address."""
    protocol: int
    """IP protocol number; of IPv6 that of the first header behind its own."""
    sport: int | None = None
    """Source port; None: the protocol has none, or this is not a first fragment."""
    dport: int | None = None
    """Destination port, likewise."""
    more: str = ""
    """TCP's flags, or type and code of ICMP."""


@attrs.frozen
class Step:
    """Something that a packet has met."""

    packet: int
    """The kernel's number for the packet."""
    chain: Chain
    """Where."""
    kind: Kind
    """What it is."""
    rule: int
    """The handle of the rule; 0: no rule is left in a chain."""
    verdict: str
    """What came of it: `accept`, `drop`, `continue`, `jump`, `goto`, `return`, `queue`, `stolen`, `repeat`."""
    to: str
    """The chain that it led to; empty: to none."""
    headers: Headers | None
    """The packet; None: as before."""
    came_by: int
    """The index of the interface that it came by; 0: by none."""
    leaves_by: int
    """The index of the interface that it shall leave by; 0: that is not known yet, or it is for the machine itself."""
    mark: int
    """Its mark."""


def parse(received: bytes) -> Iterator[Step]:
    """The steps that a read of the socket tells of.

    Raises:
        RealmGatewayError: It is malformed.
    """
    for each in codec.messages(received):
        if each.kind == _TRACE:
            yield _step(each)


def _step(message: Message) -> Step:
    found = codec.fields(message)
    number = codec.number(found.get(_KIND, b""))
    if number not in tuple(Kind) or _PACKET not in found:
        raise RealmGatewayError("netlink: the kernel tells of a packet, and not what became of it")
    kind = Kind(number)
    decided = found.get(_VERDICT, b"")
    code = found.get(_POLICY, b"") if kind is Kind.POLICY else codec.find(decided, _CODE)
    came, leaves, mark = (codec.number(found.get(key, b"")) for key in (_FROM, _TO, _MARK))
    chain = message.body[0], codec.text(found.get(_TABLE, b"")), codec.text(found.get(_CHAIN, b""))
    headers = headers_of(found[_NETWORK], found.get(_TRANSPORT, b"")) if _NETWORK in found else None
    return Step(
        codec.number(found[_PACKET]), chain, kind, codec.number(found.get(_RULE, b"")), _verdict(kind, code),
        codec.text(codec.find(decided, _JUMP_TO)), headers, came, leaves, mark,
    )  # fmt: skip


def _verdict(kind: Kind, code: bytes) -> str:
    if not code:
        return "return" if kind is Kind.RETURN else "continue"
    number = codec.unpack(_NUMBER, code)[0]
    return _VERDICTS.get(number, _VERDICTS.get(number & 0xFF, str(number)))  # of a queue's the number stands above


def headers_of(network: bytes, transport: bytes) -> Headers | None:
    """What a packet says of itself; None where it is of another protocol than IP, or is cut off."""
    version = network[0] >> 4 if network else 0
    is_first = True
    if version == 4 and len(network) >= _IPV4.size:
        fragment, protocol, source, destination = _IPV4.unpack_from(network)
        is_first = not fragment & _OFFSET
    elif version == 6 and len(network) >= _IPV6.size:
        protocol, source, destination = _IPV6.unpack_from(network)
    else:
        return None
    sport = dport = None
    if is_first and protocol in PORTED and len(transport) >= _PORTS.size:
        sport, dport = _PORTS.unpack_from(transport)
    return Headers(source, destination, protocol, sport, dport, _more(protocol, transport) if is_first else "fragment")


def _more(protocol: int, transport: bytes) -> str:
    if protocol == TCP and len(transport) >= 14:
        return " ".join(name for bit, name in enumerate(_FLAGS) if transport[13] & 1 << bit)
    if protocol in (ICMP, ICMP6) and len(transport) >= 2:
        return f"type {transport[0]} code {transport[1]}"
    return ""


def request(sequence: int) -> bytes:
    """The message that asks for all rules of all tables."""
    return codec.netfilter(SUBSYSTEM | RULE + 1, codec.REQUEST | codec.DUMP, sequence, 0)


def rules(messages: Iterable[Message]) -> Mapping[Chain, dict[int, str]]:
    """Rules with their comments, by chain and handle, in the order in which they are tried.

    Args:
        messages: The answers.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    listed: dict[Chain, dict[int, str]] = {}
    for each in messages:
        found = codec.fields(each)
        table, chain = (codec.text(found.get(key, b"")) for key in (IN_TABLE, NAME[RULE]))
        if each.kind == SUBSYSTEM | RULE and _RULE_HANDLE in found:
            handles = listed.setdefault((each.body[0], table, chain), {})
            handles[codec.number(found[_RULE_HANDLE])] = comment(found.get(_RULE_DATA, b""))
    return listed
