"""What there is of nftables but elements and counts: whether a table stands, what is in it, the ruleset's generation.

To list a table, libnftables first reads every element of every set: half a second with 100 000 hosts. Declarations of
chains, rules, sets, counters and limits are read here without one of them, in about a millisecond. Nothing of it is
understood: it was so when it was placed, handles included, or it is not so any more. Pure: octets to values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.codec import Channel, Message, RefusedError
from realmgw.errors import PlatformError, RealmGatewayError

INET, IPV4, IPV6 = 1, 2, 10
"""Families of tables (NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6)."""
Table = tuple[int, str]
"""A table: its family and its name."""
Contents = Mapping[str, bytes]
"""What there is, by its name in words (`chain settle`): as the kernel writes it."""

# linux/netfilter/nf_tables.h
SUBSYSTEM = 10 << 8
"""Of all messages."""
TABLE, CHAIN, RULE, SET, OBJECT, GENERATION = 0, 3, 6, 9, 18, 15
"""What messages tell of; the one that asks for it has the next number."""
IN_TABLE, TABLE_HANDLE, TABLE_DATA, SET_FLAGS, OBJECT_TYPE, OBJECT_DATA, GENERATION_ID = 1, 4, 6, 3, 3, 4, 1
"""Attributes; the first one names the table, of all of them."""
COUNTER, _MAP = 1, 8
"""A type of objects, and a flag of sets."""
_OBJECTS = {COUNTER: "counter", 10: "SYN proxy"}
"""What objects are called, by their types."""
NAME = {TABLE: 1, CHAIN: 3, RULE: 2, SET: 2, OBJECT: 2}
"""The attribute that names it, or its chain."""
_CHANGING = {TABLE: {3}, CHAIN: {6, 8}, RULE: set[int](), SET: {20}, OBJECT: {5}}
"""Attributes that say how often it is used, and what it has counted."""
_HANDLE = {TABLE: TABLE_HANDLE, CHAIN: 2, RULE: 3, SET: 16, OBJECT: 6}
"""The attribute that is its number."""
_FLOWTABLE, _FLOWTABLE_NAME, _FLOWTABLE_HOOK, _HOOK_DEVICES, _DEVICE = 22, 2, 3, 3, 1
"""What a flowtable's messages tell of; of its attributes, its name and its hook; within that, its interfaces."""
_COMMENT = 0  # libnftnl: NFTNL_UDATA_TABLE_COMMENT, NFTNL_UDATA_RULE_COMMENT
_EPERM = 1


@attrs.frozen
class Standing:
    """A table that stands."""

    handle: int
    """The kernel's number for it; another table of the same name has another."""
    comment: str = ""
    """What whoever made it says of it."""


def standing(channel: Channel, table: Table, sequence: int) -> Standing | None:
    """The table of that name; None when there is none.

    Args:
        channel: Where to ask.
        table: It.
        sequence: What the answer shall carry.

    Raises:
        PlatformError: The kernel does not let us.
        RealmGatewayError: It refused, or it says what nobody can understand.
    """
    family, name = table
    request = _request(TABLE, codec.REQUEST, sequence, family, codec.name(IN_TABLE, name))
    try:
        said = codec.ask(channel, request, "a table")
    except RefusedError as error:
        if error.number == codec.ENOENT:
            return None
        if error.number == _EPERM:
            raise PlatformError("CAP_NET_ADMIN is missing: run as root, or give it to the service") from error
        raise
    found = codec.fields(said)
    if said.kind != SUBSYSTEM | TABLE or len(found.get(TABLE_HANDLE, b"")) != 8:
        raise RealmGatewayError("netlink: the kernel's answer is not about a table")
    return Standing(codec.number(found[TABLE_HANDLE]), comment(found.get(TABLE_DATA, b"")))


def comment(data: bytes) -> str:
    """What whoever made a table or a rule says of it, by its user data: a row of type, length and value."""
    at = 0
    while at + 2 <= len(data):
        kind, length = data[at], data[at + 1]
        if kind == _COMMENT:
            return codec.text(data[at + 2 : at + 2 + length])
        at += 2 + length
    return ""


def requests(table: Table, sequence: int) -> Iterator[bytes]:
    """The messages that ask for what is in a table, one to be answered after the other.

    Args:
        table: It.
        sequence: What all answers shall carry.
    """
    family, name = table
    for kind in NAME:
        # Tables and chains can not be chosen by that; where they can, the others are not sent at all.
        chosen = (codec.name(IN_TABLE, name),) if kind not in (TABLE, CHAIN) else ()
        yield _request(kind, codec.REQUEST | codec.DUMP, sequence, family, *chosen)


def _request(kind: int, flags: int, sequence: int, family: int, *attributes: bytes) -> bytes:
    return codec.netfilter(SUBSYSTEM | kind + 1, flags, sequence, family, *attributes)


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
        kind, found = each.kind - SUBSYSTEM, codec.fields(each)
        if kind not in NAME or codec.text(found.get(IN_TABLE, b"")) != table[1]:
            continue
        if NAME[kind] not in found or (kind == OBJECT and OBJECT_TYPE not in found):
            raise RealmGatewayError("netlink: a table holds something without a name")
        is_counter = kind == OBJECT and codec.number(found[OBJECT_TYPE]) == COUNTER
        changing = {*_CHANGING[kind], *([OBJECT_DATA] if is_counter else ())}
        written = b"".join(codec.attribute(key, value) for key, value in found.items() if key not in changing)
        words = _words(kind, found)
        into[words] = into.get(words, b"") + written  # a chain's rules come after it, in their order


def handles(messages: Iterable[Message], table: Table) -> Iterator[bytes]:
    """What the kernel itself calls the things in a table, each by kind and number: what is replaced has another one.

    Args:
        messages: The answers to one request.
        table: What was asked for.

    Raises:
        RealmGatewayError: One is malformed, or as `messages` does.
    """
    for each in messages:
        kind, found = each.kind - SUBSYSTEM, codec.fields(each)
        if kind in _HANDLE and codec.text(found.get(IN_TABLE, b"")) == table[1] and each.body[0] == table[0]:
            yield bytes((kind,)) + found.get(_HANDLE[kind], b"")


def _words(kind: int, found: Mapping[int, bytes]) -> str:
    if kind == TABLE:
        return "table"
    what = "chain"
    if kind == SET:
        what = "map" if codec.number(found.get(SET_FLAGS, b"")) & _MAP else "set"
    elif kind == OBJECT:
        what = _OBJECTS.get(codec.number(found[OBJECT_TYPE]), "limit")
    return f"{what} {codec.text(found[NAME[kind]])}"


def devices(channel: Channel, table: Table, flowtable: str, sequence: int) -> frozenset[str]:
    """The interfaces of a flowtable; none where there is no such flowtable.

    Args:
        channel: Where to ask.
        table: It is in this one.
        flowtable: Its name.
        sequence: What the answer shall carry.

    Raises:
        RealmGatewayError: The kernel refused.
    """
    family, name = table
    words = codec.name(IN_TABLE, name), codec.name(_FLOWTABLE_NAME, flowtable)
    try:
        said = codec.ask(channel, _request(_FLOWTABLE, codec.REQUEST, sequence, family, *words), "a flowtable")
    except RefusedError as error:
        if error.number == codec.ENOENT:
            return frozenset()
        raise
    listed = codec.find(codec.fields(said).get(_FLOWTABLE_HOOK, b""), _HOOK_DEVICES)
    return frozenset(codec.text(value) for kind, value in codec.attributes(listed) if kind == _DEVICE)


def difference(placed: Contents, found: Contents) -> tuple[str, ...]:
    """What is not as it was placed, each in words; sets without a name of their own go with their rule."""
    every = sorted({*placed, *found})
    return tuple(
        f"{words} {'changed' if words in placed and words in found else 'added' if words in found else 'removed'}"
        for words in every
        if placed.get(words) != found.get(words) and not words.startswith(("set __", "map __"))
    )


def generation(channel: Channel, sequence: int) -> int:
    """The number of the ruleset's generation: each transaction makes another one.

    Args:
        channel: Where to ask.
        sequence: What the answer shall carry.

    Raises:
        RealmGatewayError: The kernel does not tell.
    """
    said = codec.ask(channel, _request(GENERATION, codec.REQUEST, sequence, 0), "the ruleset's generation")
    found = codec.fields(said) if said.kind == SUBSYSTEM | GENERATION else {}
    if GENERATION_ID not in found:
        raise RealmGatewayError("netlink: the kernel does not tell the ruleset's generation")
    return codec.number(found[GENERATION_ID])
