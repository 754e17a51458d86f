"""A transaction that adds and deletes elements of sets and maps, and nothing else.

Before libnftables (1.0.6) adds or deletes any element it lists every element of every set of prefixes that there is, in
whosever table: half a second where a black list has 65 536. The kernel needs none of that. Pure: values to octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from realmgw.datapath.batches import ELEMENTS_PER_COMMAND, Elements, Word
from realmgw.datapath.netlink import codec
from realmgw.datapath.netlink.nftables import SUBSYSTEM, Table

# linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
_BEGIN, _END, _OF_NFTABLES = 0x10, 0x11, bytes((0, 0, 0, SUBSYSTEM >> 8))
_KINDS = {"add": SUBSYSTEM | 12, "delete": SUBSYSTEM | 14}
_CREATE = 0x400
_TABLE, _SET, _ELEMENTS, _ELEMENT, _KEY, _DATA, _VALUE, _TIMEOUT, _OBJECT = 1, 2, 3, 1, 1, 2, 1, 4, 9
_FLAGS, _IS_END = 3, 1


def transaction(table: Table, changes: Iterable[Elements], sequence: int) -> bytes:
    """The messages of one transaction, to be handed over at once; all of them take effect or none does.

    The first answer tells which: what is refused is told in the order of the messages, and of the last one, too, that
    it was done.

    Args:
        table: Where the sets are.
        changes: What becomes of them, one after the other; there has to be something.
        sequence: What all answers shall carry.
    """
    family, name = table
    portions = [
        (each, each.elements[start : start + size])
        for each in changes
        for size in (ELEMENTS_PER_COMMAND // (2 if each.are_prefixes else 1),)
        for start in range(0, len(each.elements), size)
    ]
    begin, end = (codec.message(kind, codec.REQUEST, sequence, _OF_NFTABLES) for kind in (_BEGIN, _END))
    said = [begin]
    for at, (each, pairs) in enumerate(portions, 1):
        is_added = each.verb == "add"
        flags = codec.REQUEST | (_CREATE if is_added else 0) | (codec.ACK if at == len(portions) else 0)
        timeout = each.timeout if is_added else 0
        elements = (
            part
            for key, value in pairs
            for part in (
                _prefix(key, value)
                if each.are_prefixes
                else (_element(key, value if is_added else None, timeout, is_object=each.are_objects),)
            )
        )
        where = codec.name(_TABLE, name), codec.name(_SET, each.name)
        said.append(
            codec.netfilter(_KINDS[each.verb], flags, sequence, family, *where, codec.nested(_ELEMENTS, *elements))
        )
    return b"".join((*said, end))


def _prefix(first: Word, behind: Word | None) -> Iterator[bytes]:
    """Two elements, one behind the other: the kernel takes no prefix that begins before the last one has ended."""
    yield _element(first, None, 0, is_object=False)
    if behind is not None:
        before, between, after = _around(len(behind.packed), 0, 0, is_end=True)
        yield before + behind.packed + between + after


def _element(key: Word, value: Word | None, timeout: int, *, is_object: bool) -> bytes:
    stands = b"" if value is None else value.packed
    data, name = (b"", stands) if is_object else (stands, b"")
    before, between, after = _around(len(key.packed), len(data), timeout, name)
    return before + key.packed + between + data + after


@lru_cache(1024)
def _around(
    key: int, data: int, timeout: int, name: bytes = b"", *, is_end: bool = False
) -> tuple[bytes, bytes, bytes]:
    """What stands before the key of an element, between it and what stands for it, and after that.

    All elements of a set are alike. Of what stands for keys nothing needs padding, but for names.

    Args:
        key: The length of the key, in octets.
        data: That of what stands for it.
        timeout: For how long it stays, in milliseconds; 0: as the set has it.
        name: That of the object that stands for it; empty: none does.
        is_end: Whether it is the end of an interval, which begins with another one.
    """
    after = codec.attribute(_TIMEOUT, timeout.to_bytes(8, "big")) if timeout else b""
    after += codec.attribute(_OBJECT, name) if name else b""
    after += codec.attribute(_FLAGS, _IS_END.to_bytes(4, "big")) if is_end else b""
    of_key = codec.nested(_KEY, codec.attribute(_VALUE, bytes(key)))
    of_data = codec.nested(_DATA, codec.attribute(_VALUE, bytes(data))) if data else b""
    whole = codec.nested(_ELEMENT, of_key, of_data, after)
    end = len(whole) - len(after)
    start = end - len(of_data) - codec.aligned(key)
    return whole[:start], whole[start + key : end - data], after
