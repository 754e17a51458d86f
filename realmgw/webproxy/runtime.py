"""What is said to HAProxy while it runs, by its runtime API, and what it answers. Pure.

A connection carries one line of commands with a semicolon between each two, and all answers; then HAProxy closes it. A
change that succeeds is answered with an empty line, so whatever else is said means that the map is not what we take it
for. Names and routes have no character that means anything here (`names`).

To change an entry HAProxy goes through all of them, to add one it does not: where much is different, a new version of
the whole map is added beside the old one, and takes its place in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar

from realmgw.errors import MalformedError, PlatformError
from realmgw.webproxy import configuration

MOST_LINE = 8000  # octets
"""The longest line; HAProxy takes 16 383."""
MANY = 100
"""So many changes are told by a new version of the map: to go through all entries of it takes a hundredth of the time
that it takes to add them, 18 ms of 100 000."""
MOST_WORK = 200_000
"""So many entries HAProxy goes through for a line, which is not to keep it from its clients for long."""
FIGURES = b"show stat -1 3 -1"
"""Asks for everything that HAProxy counts, but of each server."""
_VERSION = re.compile(rb"New version created: ([0-9]+)")
T = TypeVar("T")
Changes = Sequence[tuple[str, str | None]]
"""Names with their routes; None: it has none any more."""


def listing(map_name: str) -> bytes:
    """Asks for all entries of the map."""
    return f"show map {map_name}".encode()


def changing(
    map_name: str, told: Mapping[str, str], changes: Changes
) -> Iterator[tuple[bytes, list[tuple[str, str | None]]]]:
    """The lines that change entries, each with those that it changes.

    Args:
        map_name: The map's.
        told: What is in it.
        changes: What is different.
    """
    at_once = max(1, MOST_WORK // max(1, len(told)))
    return lines(((each, _change(map_name, told, *each)) for each in changes), at_once)


def _change(map_name: str, told: Mapping[str, str], name: str, route: str | None) -> str:
    if route is None:
        return f"del map {map_name} {name}"
    return f"{'set' if name in told else 'add'} map {map_name} {name} {route}"


def lines(commands: Iterable[tuple[T, str]], at_once: int = MOST_LINE) -> Iterator[tuple[bytes, list[T]]]:
    """Lines of commands: as many in each as it holds, and no more than is said.

    Args:
        commands: Each with what it is about.
        at_once: So many commands at most are in a line.
    """
    about, portion, size = list[T](), list[str](), 0
    for each, command in commands:
        if portion and (size + len(command) > MOST_LINE or len(portion) >= at_once):
            yield ";".join(portion).encode(), about
            about, portion, size = [], [], 0
        about.append(each)
        portion.append(command)
        size += len(command) + 1
    if portion:
        yield ";".join(portion).encode(), about


def preparing(map_name: str) -> bytes:
    """Begins a new version of the map."""
    return f"prepare map {map_name}".encode()


def version(answer: bytes) -> int:
    """The version that was begun.

    Raises:
        MalformedError: None was.
    """
    found = _VERSION.search(answer)
    if found is None:
        raise MalformedError(f"HAProxy begins no new version of the map: {words(answer)}")
    return int(found[1])


def adding(map_name: str, number: int, routes: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """The lines that fill a version."""
    for line, _ in lines((name, f"add map @{number} {map_name} {name} {route}") for name, route in routes):
        yield line


def committing(map_name: str, number: int) -> bytes:
    """Puts a version in the place of the one before."""
    return f"commit map @{number} {map_name}".encode()


def succeeded(answer: bytes) -> None:
    """Looks at the answers to changes.

    Raises:
        MalformedError: One of them was refused.
    """
    if answer.strip():
        raise MalformedError(f"HAProxy refuses a change: {words(answer)}")


class Lines:
    """An answer of many lines, read as they come."""

    what: ClassVar[str]
    """What is listed, as people call it."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, octets: bytes) -> None:
        """More of the answer.

        Raises:
            MalformedError: It is none of these.
        """
        *lines, self._rest = (self._rest + octets).split(b"\n")
        if len(self._rest) > MOST_LINE:
            raise MalformedError(f"HAProxy's {self.what} can not be read: a line has no end")
        for line in filter(None, lines):
            self._take(line)

    def _take(self, line: bytes) -> None:
        """One of them, which is not empty; raises `MalformedError`."""
        raise NotImplementedError


class Listing(Lines):
    """The entries of the map.

    Attributes:
        entries: Those that were read.
    """

    what = "map"

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}

    def _take(self, line: bytes) -> None:
        """A line: where the entry is in HAProxy's memory, name, route."""
        entry = line.split()
        if len(entry) != 3 or not entry[0].startswith(b"0x"):
            raise MalformedError(f"HAProxy's map can not be read: {words(line)}")
        self.entries[entry[1].decode("ascii", "replace")] = entry[2].decode("ascii", "replace")


def certificates(list_name: str) -> bytes:
    """Asks for the list of certificates."""
    return f"show ssl crt-list {list_name}".encode()


def listed(answer: bytes) -> frozenset[str]:
    """The files that are in the list of certificates.

    Raises:
        MalformedError: There is no such list.
    """
    head, *lines = answer.decode("ascii", "replace").splitlines() or [""]
    if not head.startswith("# "):
        raise MalformedError(f"HAProxy's certificates can not be read: {words(answer)}")
    return frozenset(line.split()[0] for line in lines if line.strip())


def bringing(list_name: str, line: str, pem: bytes) -> Iterator[bytes]:
    """Adds a certificate, by a line of the list; each of these is said by itself, as it may have many lines."""
    file = line.split(maxsplit=1)[0].encode()
    yield b"new ssl cert " + file
    yield b"set ssl cert %s <<\n%s" % (file, pem)
    yield b"commit ssl cert " + file
    yield b"add ssl crt-list %s <<\n%s\n" % (list_name.encode(), line.encode())


def removing(list_name: str, file: str) -> Iterator[bytes]:
    """Removes a certificate; connections that have it go on."""
    yield f"del ssl crt-list {list_name} {file}".encode()
    yield f"del ssl cert {file}".encode()


def discarding(list_name: str, file: str) -> Iterator[bytes]:
    """Removes whatever is left of a certificate that was not taken; the answers say nothing."""
    yield f"abort ssl cert {file}".encode()
    yield from removing(list_name, file)


def taken(answer: bytes) -> None:
    """Looks at the answer to the last line that brings or removes a certificate.

    Raises:
        MalformedError: It was refused.
        PlatformError: Nothing was said of it.
    """
    if not answer.strip():
        raise PlatformError("HAProxy says nothing")
    if b"Success!" not in answer and b"deleted" not in answer:
        raise MalformedError(f"HAProxy refuses it: {words(answer)}")


_COUNTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "connected": [(configuration.HTTP, "FRONTEND", "scur"), (configuration.TLS, "FRONTEND", "scur")],
    "http_connections": [(configuration.HTTP, "FRONTEND", "conn_tot")],
    "http_requests": [(configuration.HTTP, "FRONTEND", "req_tot"), (configuration.ENDED, "FRONTEND", "req_tot")],
    "http_malformed": [
        (each, "FRONTEND", column) for each in (configuration.HTTP, configuration.ENDED) for column in ("ereq", "dreq")
    ],
    "http_unknown": [(configuration.HTTP_UNKNOWN, "BACKEND", "stot")],
    "tls_connections": [(configuration.TLS, "FRONTEND", "conn_tot")],
    "tls_ended": [(configuration.TLS_ENDING, "BACKEND", "stot")],
    "misdirected": [(configuration.MISDIRECTED, "BACKEND", "stot")],
    "tls_unknown": [(configuration.TLS_UNKNOWN, "BACKEND", "stot")],
    "tls_hidden": [(configuration.TLS_HIDDEN, "BACKEND", "stot")],
    "tls_nameless": [(configuration.TLS_NAMELESS, "BACKEND", "stot")],
    "tls_malformed": [(configuration.TLS, "FRONTEND", "dreq")],
    "too_many": [(configuration.HTTP, "FRONTEND", "dcon"), (configuration.TLS, "FRONTEND", "dcon")],
    "hosts_unreachable": [
        (each, "BACKEND", "econ")
        for each in (*configuration.HTTP_HOSTS, *configuration.TLS_HOSTS, *configuration.CHECKED.values())
    ],
    "octets_in": [(configuration.HTTP, "FRONTEND", "bin"), (configuration.TLS, "FRONTEND", "bin")],
    "octets_out": [(configuration.HTTP, "FRONTEND", "bout"), (configuration.TLS, "FRONTEND", "bout")],
}  # fmt: skip
"""What is told of HAProxy's figures: sums of these, each by proxy, row and column."""
NO_FIGURES: Mapping[str, int] = dict.fromkeys(_COUNTS, 0)
"""Of one that has not told any."""


def figures(answer: bytes) -> Mapping[str, int]:
    """What HAProxy has counted since it began.

    Raises:
        MalformedError: It is no table.
    """
    head, *lines = answer.decode("ascii", "replace").strip().splitlines() or [""]
    if not head.startswith("# pxname,svname,"):
        raise MalformedError(f"HAProxy's figures can not be read: {words(answer)}")
    columns = head[2:].split(",")
    rows = {tuple(cells[:2]): dict(zip(columns, cells, strict=False)) for cells in (each.split(",") for each in lines)}
    try:
        return {
            word: sum(int(rows.get((proxy, row), {}).get(column) or 0) for proxy, row, column in summed)
            for word, summed in _COUNTS.items()
        }
    except ValueError:
        raise MalformedError(f"HAProxy's figures can not be read: {words(answer)}") from None


def words(answer: bytes) -> str:
    """What HAProxy says, in few words."""
    return " ".join(answer[:200].decode("ascii", "replace").split()) or "it says nothing"
