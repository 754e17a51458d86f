"""What a table holds but its elements and counts, by raw netlink: so that it can be compared with what was placed.

To list a table, libnftables first reads every element of every set: half a second with 100 000 hosts. Declarations of
chains, rules, sets, counters and limits are read here without one of them, in about a millisecond. Nothing of it is
understood: it was so when it was placed, handles included, or it is not so any more. Pure: octets to values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Message
from realmgw.errors import RealmGatewayError

INET, IPV4 = 1, 2
"""Families of tables (NFPROTO_INET, NFPROTO_IPV4)."""
Table = tuple[int, str]
"""A table: its family and its name."""
Contents = Mapping[str, bytes]
"""What there is, by its name in words (`chain settle`): as the kernel writes it."""

# linux/netfilter/nf_tables.h; messages are of the subsystem 10.
_SUBSYSTEM = 10 << 8
_TABLE, _CHAIN, _RULE, _SET, _OBJECT, _GENERATION = 0, 3, 6, 9, 18, 15
_GET = {_TABLE: 1, _CHAIN: 4, _RULE: 7, _SET: 10, _OBJECT: 19, _GENERATION: 16}
_OF_TABLE = 1  # the attribute that names the table, of all of them
_NAME = {_TABLE: 1, _CHAIN: 3, _RULE: 2, _SET: 2, _OBJECT: 2}  # that which names it, or its chain
_CHANGING = {_TABLE: {3}, _CHAIN: {6, 8}, _RULE: set[int](), _SET: {20}, _OBJECT: {5}}
"""Attributes that say how often it is used, and what it has counted."""
_OBJECT_TYPE, _OBJECT_DATA, _COUNTER = 3, 4, 1
_SET_FLAGS, _IS_MAP = 3, 8
_GENERATION_ID = 1


def requests(table: Table, sequence: int) -> Iterator[bytes]:
    """The messages that ask for what is in a table, one to be answered after the other.

    Args:
        table: It.
        sequence: What all answers shall carry.
    """
    family, name = table
    for kind in (_TABLE, _CHAIN, _RULE, _SET, _OBJECT):
        # Tables and chains can not be chosen by that; where they can, the others are not sent at all.
        chosen = codec.attribute(_OF_TABLE, name.encode() + b"\0") if kind not in (_TABLE, _CHAIN) else b""
        body = struct.pack("!BBH", family, 0, 0) + chosen
        yield codec.message(_SUBSYSTEM | _GET[kind], codec.REQUEST | codec.DUMP, sequence, body)


def take(messages: Iterable[Message], table: Table, into: dict[str, bytes]) -> None:
    """Take in the answers to one request.

    Args:
        messages: Those.
        table: What was asked for.
        into: What is in it is added.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    for each in messages:
        _take(each, table[1], into)


def _take(message: Message, table: str, into: dict[str, bytes]) -> None:
    kind = message.kind - _SUBSYSTEM
    found = dict(codec.attributes(message.body[4:]))
    if kind not in _NAME or codec.text(found.get(_OF_TABLE, b"")) != table:
        return
    if _NAME[kind] not in found or (kind == _OBJECT and _OBJECT_TYPE not in found):
        raise RealmGatewayError("netlink: a table holds something without a name")
    name = codec.text(found[_NAME[kind]])
    changing = _CHANGING[kind]
    if kind == _OBJECT and _number(found[_OBJECT_TYPE]) == _COUNTER:
        changing = {*changing, _OBJECT_DATA}
    written = b"".join(codec.attribute(key, value) for key, value in found.items() if key not in changing)
    words = _words(kind, name, found)
    into[words] = into.get(words, b"") + written  # a chain's rules come after it, in their order


def _words(kind: int, name: str, found: Mapping[int, bytes]) -> str:
    if kind == _TABLE:
        return "table"
    if kind == _SET:
        return f"{'map' if _number(found.get(_SET_FLAGS, bytes(4))) & _IS_MAP else 'set'} {name}"
    if kind == _OBJECT:
        return f"{'counter' if _number(found[_OBJECT_TYPE]) == _COUNTER else 'limit'} {name}"
    return f"chain {name}"


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def difference(placed: Contents, found: Contents) -> tuple[str, ...]:
    """What is not as it was placed, each in words; sets without a name of their own go with their rule."""
    every = sorted({*placed, *found})
    return tuple(
        f"{words} {'changed' if words in placed and words in found else 'added' if words in found else 'removed'}"
        for words in every
        if placed.get(words) != found.get(words) and not words.startswith(("set __", "map __"))
    )


def generation_request(sequence: int) -> bytes:
    """The message that asks for the number of the ruleset's generation: each transaction makes another one."""
    return codec.message(_SUBSYSTEM | _GET[_GENERATION], codec.REQUEST, sequence, bytes(4))


def generation(said: Message) -> int:
    """That number.

    Args:
        said: The answer to that question.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    found = dict(codec.attributes(said.body[4:])) if said.kind == _SUBSYSTEM | _GENERATION else {}
    if _GENERATION_ID not in found:
        raise RealmGatewayError("netlink: the kernel does not tell the ruleset's generation")
    return _number(found[_GENERATION_ID])
