"""Elements of sets and maps that are added or deleted, many at once, and the commands of nft for it: pure, text."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import attrs

ELEMENTS_PER_COMMAND = 1024
"""How many elements one command of a transaction adds or deletes; longer lines are no faster, and take more memory."""
_NUMBER = struct.Struct("=I")


@attrs.frozen
class Word:
    """A key, or what stands for it in a map."""

    text: str
    """As nft has it."""
    packed: bytes
    """As the kernel has it: addresses and ports in network order, marks and class numbers in that of the machine, names
    with a 0 behind them."""


@attrs.frozen
class Elements:
    """Elements of one set or map."""

    verb: str
    """`add` or `delete`."""
    name: str
    """The set or map."""
    elements: tuple[tuple[Word, Word | None], ...]
    """Keys, and what stands for each in a map; to delete one the key is enough."""
    timeout: int = 0  # milliseconds
    """For how long those stay that are added; 0: as the set has it."""
    are_objects: bool = False
    """What stands for keys is the name of an object of the table: a counter, a SYN proxy."""
    are_prefixes: bool = False
    """It is a set of prefixes: keys are their first addresses, and what stands beside each is the first one behind it,
    None where there is none. In the order of addresses; `commands` is not for such."""

    def commands(self, table: str) -> Iterator[str]:
        """The same as commands of nft, to be run with others in one transaction."""
        is_added = self.verb == "add"
        stays = f" timeout {self.timeout}ms" if self.timeout and is_added else ""
        written = (
            f"{key.text}{stays} : {value.text}" if value and is_added else f"{key.text}{stays}"
            for key, value in self.elements
        )
        yield from commands(self.verb, table, self.name, written)


@attrs.frozen
class InSteps:
    """A change in three steps; what becomes of packets is the business of the second one alone."""

    before: str
    """Commands that make what is new; may be nothing."""
    elements: tuple[Elements, ...]
    """What leads there, in one transaction."""
    after: str
    """Commands that remove what nothing leads to any more; may be nothing."""
    slices: tuple[tuple[Elements, ...], ...] = ()
    """Of long lists, what follows that: a transaction each, short enough for others to have their turn between them."""


def named(name: str) -> Word:
    """An object of the table."""
    return Word(f'"{name}"', name.encode() + b"\0")


def number(value: int, text: str = "") -> Word:
    """A mark or the number of a class; without other words for it, nft reads it as a number."""
    return Word(text or f"{value:#x}", _NUMBER.pack(value))


def commands(verb: str, table: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    """The commands that add or delete elements of a set or map, so many by each."""
    every = list(elements)
    for start in range(0, len(every), ELEMENTS_PER_COMMAND):
        yield f"{verb} element inet {table} {name} {{ {', '.join(every[start : start + ELEMENTS_PER_COMMAND])} }}"
