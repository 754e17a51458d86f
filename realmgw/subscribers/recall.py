"""What was made of pieces of subscriber files, kept on disk, so that a start need not parse a hundred thousand of them.

A line for each piece: its token (a digest of its text, in hexadecimal), a space, and its entry as a JSON list. Lines are
looked at only when a piece with that token is read. Subscribers with firewall rules or other rare things are not kept:
they are parsed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path

import attrs

from realmgw import config
from realmgw.config import disk
from realmgw.errors import MalformedError
from realmgw.subscribers.firewall import NO_RULES
from realmgw.subscribers.model import NO_MORE, Identity
from realmgw.subscribers.pieces import TOKEN, Unit
from realmgw.subscribers.schema import Entry, Offer, Terms

FORMAT = b"realmgw-pieces-1"
"""Of the file."""
WORTH = 1000
"""With fewer subscribers, parsing takes less than a second, and nothing is kept."""

_DIGITS = 2 * TOKEN


def place(main_file: Path, state: Path) -> Path:
    """Where it is kept.

    Args:
        main_file: The gateway's main file.
        state: The folder of the gateway's state.
    """
    return config.state_file(main_file, state, "pieces")


class Memory:
    """What is known of pieces.

    Args:
        lines: As `encoded` made them.
    """

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._known = {bytes.fromhex(line[:_DIGITS].decode()): line[_DIGITS + 1 :] for line in lines}

    def __call__(self, token: bytes) -> list[Entry] | None:
        """The entry of a piece, by its token; None when it is not known.

        Raises:
            MalformedError: What is kept is no entry.
        """
        text = self._known.get(token)
        return None if text is None else [decoded(text)]


def read(path: Path) -> Memory:
    """What was kept; nothing if there is no such file, or it can not be used.

    Raises:
        MalformedError: The file is damaged; the text says how.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return Memory()
    try:
        return Memory(disk.unsealed(FORMAT, content).splitlines())
    except ValueError as error:
        raise MalformedError(f"{path}: it is damaged: {error}") from error


def write(path: Path, lines: Iterable[bytes]) -> None:
    """Keeps what `encoded` made, in place of what was kept before.

    Raises:
        PlatformError: It can not be written; what was kept before is as it was.
    """
    disk.write(path, disk.sealed(FORMAT, b"\n".join(lines)))


def encoded(unit: Unit) -> Iterator[bytes]:
    """The lines of what was read of a file, before it is made into hosts. Every piece has one subscriber there."""
    for name, token in unit.tokens.items():
        entry = unit.entries.get(name)
        if entry is not None and isinstance(token, bytes) and entry.firewall == NO_RULES and not entry.carriergrade:
            yield b"%s %s" % (token.hex().encode(), _line(entry))


def _line(entry: Entry) -> bytes:
    identity = entry.identity
    more = [list(identity.fqdns), [address.hex() for address in identity.addresses], list(identity.msisdns)]
    services = [[offer.name, *attrs.astuple(offer.terms)] for offer in entry.services or ()]
    value = [entry.name, str(entry.address), entry.max_claims, list(entry.groups), more, services]
    return json.dumps(value, separators=(",", ":")).encode()


def decoded(text: bytes) -> Entry:
    """The entry of a line.

    Raises:
        MalformedError: It is none.
    """
    try:
        name, address, max_claims, groups, (fqdns, addresses, numbers), services = json.loads(text)
        more = fqdns or addresses or numbers
        identity = Identity(tuple(fqdns), tuple(map(bytes.fromhex, addresses)), tuple(numbers)) if more else NO_MORE
        offers = tuple(Offer(service, _terms(*terms)) for service, *terms in services)
        return Entry(name, IPv4Address(address), offers, _groups(*groups), max_claims, identity)
    except (ValueError, TypeError) as error:
        raise MalformedError(f"a piece that was kept is damaged: {error}") from error


@lru_cache(maxsize=1024)
def _terms(*terms: object) -> Terms:
    """One object for all services that say the same."""
    return Terms(*terms)  # type: ignore[arg-type]  # as they were written; attrs checks their number


@lru_cache(maxsize=1024)
def _groups(*groups: str) -> tuple[str, ...]:
    """One object for all hosts of the same groups."""
    return groups
