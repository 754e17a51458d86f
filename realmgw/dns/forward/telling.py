"""What a gateway and its forwarder in a process of its own say to each other, as values and as octets. Pure.

The gateway says by which rules names of others are answered: all of them, each time that they change, in portions that
nobody waits for. The forwarder says what it has counted, and hands back what it does not know the answer to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from realmgw.config.namelists import Verdict
from realmgw.config.settings import Settings, Zone
from realmgw.config.steps import portions
from realmgw.dns.forward.policy import NameSet
from realmgw.dns.zones import ZONES_AT_ONCE

BEGIN, ZONES, LISTED, END = "begin", "zones", "listed", "end"
"""Kinds of news, in the order in which they come."""
NEWEST = frozenset(("milliseconds", "resting", "trouble", "names"))
"""Of counts: what is no sum; the forwarder's own word for it counts."""
PRESENT = frozenset(("outstanding", "kept", "octets", "tcp_open", *NEWEST))
"""What a process that has ended has no more."""
_BACK = struct.Struct("!HHB")  # the socket's number, the sender's port, and how long its address is


@attrs.frozen(eq=False)
class Rules:
    """By what names of others are answered."""

    number: int
    """Of those that were told."""
    settings: Settings
    """They, as far as names are answered by them; all else has its default."""
    lists: tuple[NameSet, ...]
    """Names that are not to be had."""


def told(number: int, settings: Settings, lists: Iterable[NameSet]) -> Iterator[tuple[Any, ...]]:
    """The news that rules are told by: small ones, so that nobody waits long for one of them."""
    yield BEGIN, number, Settings(settings.name, (), settings.interfaces, settings.pools, settings.dns)
    for some in portions(settings.zones, ZONES_AT_ONCE):
        yield ZONES, some
    for place, each in enumerate(lists):
        for is_exact, names in ((True, each.exact), (False, each.below)):
            for few in portions(names.items()):
                yield LISTED, (place, is_exact), few
    yield (END,)


class Hearing:
    """Puts rules together of the news that they are told by."""

    def __init__(self) -> None:
        self._begun: tuple[int, Settings] | None = None

    def hear(self, news: tuple[Any, ...]) -> Rules | None:
        """The rules, once they are whole. News of rules that were begun anew meanwhile are forgotten."""
        kind, *what = news
        if kind == BEGIN:
            number, settings = what
            self._begun = number, settings
            self._zones: list[Zone] = []
            self._names: dict[tuple[int, bool], dict[bytes, Verdict]] = {}
        elif kind == ZONES:
            self._zones += what[0]
        elif kind == LISTED:
            place, names = what
            self._names.setdefault(place, {}).update(names)
        elif kind == END and self._begun is not None:
            number, settings = self._begun
            listed = enumerate(settings.dns.forward.lists)
            of = self._names.get
            lists = [NameSet(each, of((place, True), {}), of((place, False), {})) for place, each in listed]
            return Rules(number, attrs.evolve(settings, zones=tuple(self._zones)), tuple(lists))
        return None


def handed_back(number: int, host: str, port: int, message: bytes) -> bytes:
    """A query that the gateway has to answer, at its socket of this number, for who sent it."""
    who = host.encode()
    return _BACK.pack(number, port, len(who)) + who + message


def taken_back(octets: bytes) -> tuple[int, str, int, bytes]:
    """The socket's number, the sender's address and port, and the query."""
    number, port, length = _BACK.unpack_from(octets)
    end = _BACK.size + length
    return number, octets[_BACK.size : end].decode(), port, octets[end:]


def together(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of two that do the same, by name: sums, but for those of `NEWEST`, which are the second one's."""
    both = {name: _sum(name, ours[name], theirs[name]) for name in ours if name in theirs}
    return {**ours, **theirs, **both}


def _sum(name: str, one: Any, other: Any) -> Any:
    if isinstance(one, Mapping):
        return together(one, other)
    if isinstance(one, list):  # of a distribution: its bounds, which are the same, or how many lie between them
        return one if name == "bounds" else [mine + theirs for mine, theirs in zip(one, other, strict=True)]
    return other if name in NEWEST else one + other


def past(counts: Mapping[str, Any]) -> dict[str, Any]:
    """What still holds of the counts of a process that has ended."""
    return {
        name: past(value) if isinstance(value, Mapping) else value
        for name, value in counts.items()
        if name not in PRESENT
    }
