"""What becomes of long lists of prefixes when only these change: many short transactions, in the place of a long one.

Each is about a range of addresses, in all lists at once: what was listed there is deleted, what is to be is added. So a
sender is on all lists as before, or on all of them as afterwards, whichever transactions have been made. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from heapq import merge
from ipaddress import ip_address

from realmgw.datapath.batches import Elements, Word
from realmgw.datapath.pipeline.parts import FAMILIES, Stages

AT_ONCE = 1024
"""So many prefixes one transaction deletes and adds, or a few more: what overlaps with them is in the same one."""
_LIST = re.compile(r"(?P<declared>\{ type \w+; flags interval;) elements = \{ (?P<elements>.*) \}; \}")
_LENGTH = {"ip": 4, "ip6": 16}

_Span = tuple[int, int, bool, str]
"""First and last address, whether it is added, and the set."""


def slices(before: Stages, after: Stages, most: int = AT_ONCE) -> tuple[tuple[Elements, ...], ...] | None:
    """The transactions that lead from some lists to others; None: there is more to it.

    Args:
        before: What stands.
        after: What shall.
        most: So many prefixes by each.
    """
    if before.chains != after.chains or before.objects.keys() != after.objects.keys():
        return None
    changed: dict[str, list[list[_Span]]] = {family: [] for family, _ in FAMILIES}
    for name, said in before.objects.items():
        if after.objects[name] == said:
            continue
        was, now = _LIST.fullmatch(said), _LIST.fullmatch(after.objects[name])
        if was is None or now is None or was["declared"] != now["declared"]:
            return None
        word = name.partition(" ")[2]
        there, wanted = ({*each["elements"].split(", ")} for each in (was, now))
        for some, is_added in ((there - wanted, False), (wanted - there, True)):
            changed[word.rpartition("_")[2]].append(sorted(_span(each, word, is_added=is_added) for each in some))
    return tuple(one for family, spans in changed.items() for one in _cut(merge(*spans), _LENGTH[family], most))


def _span(text: str, name: str, *, is_added: bool) -> _Span:
    first, _, length = text.partition("/")  # a whole network takes five times as long, and there may be many
    each = ip_address(first)
    return int(each), int(each) + (1 << each.max_prefixlen - int(length)) - 1, is_added, name


def _cut(spans: Iterable[_Span], length: int, most: int) -> Iterator[tuple[Elements, ...]]:
    """Spans in the order of their beginnings, cut where none reaches from one piece into the next."""
    piece, end = list[_Span](), -1
    for each in spans:
        if len(piece) >= most and each[0] > end:
            yield tuple(_elements(piece, length))
            piece = []
        piece.append(each)
        end = max(end, each[1])
    if piece:
        yield tuple(_elements(piece, length))


def _elements(piece: list[_Span], length: int) -> Iterator[Elements]:
    """Deletions first: what is added may overlap with what was there."""
    for is_added in (False, True):
        for name in sorted({each[3] for each in piece if each[2] is is_added}):
            some = [each for each in piece if each[2] is is_added and each[3] == name]
            found = tuple((Word("", first.to_bytes(length, "big")), _behind(last, length)) for first, last, *_ in some)
            yield Elements("add" if is_added else "delete", name, found, are_prefixes=True)


def _behind(last: int, length: int) -> Word | None:
    """The next address, by its octets alone; None behind the last one that there is."""
    return None if (last + 1) >> 8 * length else Word("", (last + 1).to_bytes(length, "big"))
