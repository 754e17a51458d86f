"""Subscribers in batch, from a template: a subscriber file with placeholders for what differs.

| placeholder | for number 7 |
|---|---|
| `REPLACE_SEQ` | `7` |
| `REPLACE_SEQ3` | `007`: at least so many digits, 1 to 9 |
| `REPLACE_UENAME3` | `ue007` |
| `REPLACE_IPV4_10.0.0.0` | `10.0.0.7`: the address so many after the one that is written |
| `'REPLACE_IPV6_fd00::10'` | `'fd00::17'`: the same of IPv6 |

Edge: files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path

from realmgw.config import pointers
from realmgw.config.document import Mapping, Node, Problems, Sequence, parse
from realmgw.errors import ConfigurationError, PlatformError
from realmgw.subscribers.entry import Entry, shown
from realmgw.subscribers.exchange import Kind, document_line
from realmgw.subscribers.schema import entries
from realmgw.system import disk

PER_FILE = 10_000
"""How many renderings a file gets, unless told otherwise: few large files are read faster than many small ones."""
STEP = 1000
"""Progress is told after so many."""

_PLACEHOLDER = re.compile(
    r"REPLACE_(?:(SEQ|UENAME)([1-9]?)|IPV4_([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)|IPV6_([0-9A-Fa-f:]+))"
)
_NUMBER = "REPLACE_SEQ"
_MARKED = f"\0{_NUMBER}"

Progress = Callable[[int], None]


class Template:
    """A subscriber file with placeholders.

    Args:
        text: The file's text.
        source: The file, for messages.
    """

    def __init__(self, text: str, source: str) -> None:
        self._text = text
        self._source = source
        self._pieces = _pieces(text)

    def render(self, number: int) -> str:
        """The text for a number.

        Raises:
            ValueError: There is no address for it.
        """
        return _render(self._pieces, number)

    def check(self, numbers: range) -> None:
        """Reads the first and the last rendering as the gateway would; those between differ in numbers only.

        Args:
            numbers: Which ones, at least one, with a step of 1.

        Raises:
            ConfigurationError: One of them has problems, or both claim the same names or addresses.
        """
        problems: list[str] = []
        claimed: dict[str, int] = {}
        for number in dict.fromkeys((numbers[0], numbers[-1])):
            found = self._read(number, problems)
            if not found and not problems:
                problems.append(f"{self._source}:1:1: there is no subscriber: write one with placeholders")
            for what in (claim for entry in found for claim in _claims(entry)):
                if claimed.setdefault(what, number) != number:
                    where = f"numbers {claimed[what]} and {number}"
                    problems.append(f"{self._source}:1:1: {what} is the same for {where}: put a placeholder into it")
        if not problems:
            unquoted = Problems(self._source)
            parse(self._text.encode(), unquoted)  # as `lines` will
            problems += unquoted.lines()
        if problems:
            raise ConfigurationError(tuple(problems))

    def _read(self, number: int, lines: list[str]) -> list[Entry]:
        problems = Problems(f"{self._source} (number {number})")
        try:
            root = parse(self.render(number).encode(), problems)
        except ValueError as error:
            problems.add(None, str(error))
            root = None
        found = [] if root is None else entries(root, problems)
        lines += problems.lines()
        return found

    def lines(self, numbers: range) -> Iterator[bytes]:
        """The renderings as documents for exchange (`realmgw.subscribers.exchange`), which `check` has accepted."""
        problems = Problems(self._source)
        root = parse(self._text.encode(), problems)
        assert isinstance(root, Mapping), "checked"
        _mark(root)
        pieces = [_pieces(_line(name, value)) for name, (_, value) in root.pairs.items()]
        for number in numbers:
            for each in pieces:
                yield _render(each, number).encode()

    @property
    def subscribers(self) -> int:
        """How many there are for each number, of a template that `check` has accepted."""
        root = parse(self._text.encode(), Problems(self._source))
        assert isinstance(root, Mapping), "checked"
        return len(root.pairs)

    def write(self, numbers: range, folder: Path, progress: Progress, *, per_file: int = PER_FILE) -> list[Path]:
        """Writes the renderings, which `check` has accepted, to new files.

        Args:
            numbers: Which ones.
            folder: Where; it is made when it is not there.
            progress: Called now and then, and at the end, with how many were written so far.
            per_file: How many go into one file.

        Returns:
            The files.

        Raises:
            PlatformError: A file can not be written, or is there already; earlier ones stay.
        """
        paths = []
        width = len(str(numbers[-1]))
        for begin in range(0, len(numbers), per_file):
            some = numbers[begin : begin + per_file]
            path = folder / f"generated-{some[0]:0{width}}-{some[-1]:0{width}}.yaml"
            try:
                disk.create(path, self._written(some, begin, progress))
            except FileExistsError as error:
                raise PlatformError(f"{path}: {error.strerror}: remove it, or choose another folder") from error
            paths.append(path)
        progress(len(numbers))
        return paths

    def _written(self, numbers: range, before: int, progress: Progress) -> Iterator[bytes]:
        for done, number in enumerate(numbers, before + 1):
            yield f"{self.render(number).rstrip()}\n".encode()
            if not done % STEP:
                progress(done)


def _pieces(text: str) -> list[str | Callable[[int], str]]:
    """The text, with a function of the number for each placeholder."""
    pieces: list[str | Callable[[int], str]] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        pieces += [text[end : match.start()], _placeholder(*match.groups())]
        end = match.end()
    return [*pieces, text[end:]]


def _placeholder(word: str | None, width: str | None, four: str | None, six: str | None) -> Callable[[int], str]:
    if four is not None or six is not None:
        try:
            first = IPv4Address(four) if four is not None else IPv6Address(six or "")
        except AddressValueError as error:
            raise ConfigurationError((f"REPLACE_IPV{4 if six is None else 6}_{four or six}: {error}",)) from error
        return lambda number: str(first + number)
    prefix = "ue" if word == "UENAME" else ""
    return lambda number: f"{prefix}{number:0{width or 1}}"


def _render(pieces: list[str | Callable[[int], str]], number: int) -> str:
    return "".join([piece if isinstance(piece, str) else piece(number) for piece in pieces])


def _claims(entry: Entry) -> list[str]:
    return list(dict.fromkeys([entry.name, *map(shown, entry.claims())]))


def _mark(node: Node) -> None:
    """Marks placeholders that stand for numbers, those without quotes: in JSON a number has none."""
    if isinstance(node, Sequence):
        for item in node.items:
            _mark(item)
    elif isinstance(node, Mapping):
        for _, member in node.pairs.values():
            _mark(member)
    elif node.plain and node.text == _NUMBER:
        node.text = _MARKED


def _line(name: str, value: Node) -> str:
    text = pointers.encode(pointers.value(value)).replace(pointers.encode(_MARKED), _NUMBER)
    return document_line(Kind.SUBSCRIBER.value, name, text).decode()
