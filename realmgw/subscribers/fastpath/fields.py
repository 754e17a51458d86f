"""Where the values of a subscriber stand in its text: which of the text's slots (see `shapes`) are what."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

import attrs

from realmgw.config.document import Mapping, Node, Scalar
from realmgw.config.document import Sequence as Items

WORD = r"[A-Za-z_-]*+[0-9.][A-Za-z0-9_.-]*+"
"""What can stand in a slot, for a regular expression; it begins with a letter, a digit or an underscore."""
SLOT = re.compile(rf"(\b{WORD})", re.ASCII)
"""Finds slots."""

Path = tuple[str | int, ...]
"""Where a scalar is: keys in lower case, positions in lists; `KEY` for the key itself that stands there."""
KEY = "\0key"


class Role(enum.Enum):
    """What a slot is."""

    HOST = enum.auto()
    """The key of the piece."""
    FQDN = enum.auto()
    """A name of the host; the first one of the established style is the host's."""
    ADDRESS = enum.auto()
    """An address of the host; the first one is where flows go."""
    PHONE = enum.auto()
    """A telephone number."""
    SERVICE = enum.auto()
    """A service's name."""
    PORT = enum.auto()
    """A service's port."""
    LIMIT = enum.auto()
    """How many claims may be pending."""


_ESTABLISHED: tuple[tuple[Role, tuple[object, ...]], ...] = (
    (Role.FQDN, ("id", "fqdn", int)),
    (Role.ADDRESS, ("id", "ipv4", int)),
    (Role.PHONE, ("id", "msisdn", int)),
    (Role.PHONE, ("id", "msisdn")),
    (Role.SERVICE, ("sfqdn", int, "fqdn")),
    (Role.PORT, ("sfqdn", int, "port")),
    (Role.LIMIT, ("circularpool", int, "max")),
    (Role.LIMIT, ("circularpool", "max")),
)
_PLAIN: tuple[tuple[Role, tuple[object, ...]], ...] = (
    (Role.ADDRESS, ("address",)),
    (Role.ADDRESS, ("other_addresses", int)),
    (Role.FQDN, ("other_names", int)),
    (Role.PHONE, ("msisdn", int)),
    (Role.PHONE, ("msisdn",)),
    (Role.SERVICE, ("services", str, KEY)),
    (Role.PORT, ("services", str, "port")),
    (Role.LIMIT, ("max_claims",)),
)


@attrs.frozen(eq=False)
class ServicePlace:
    """A service of a shape."""

    name: int
    """The slot of its name."""
    port: int | None
    """That of its port; None: it has none, or a fixed one."""


@attrs.frozen(eq=False)
class Places:
    """Which slots of a shape are what."""

    key: int
    """The slot of the key."""
    names: tuple[int, ...]
    """Those of the host's names."""
    addresses: tuple[int, ...]
    """Those of its addresses, at least one."""
    phones: tuple[tuple[int, str], ...]
    """Those of its telephone numbers, each with what stands before it: nothing, or a plus sign."""
    services: tuple[ServicePlace, ...] | None
    """Its services; None: it has its own name only."""
    limit: int | None
    """The slot of its limit; None: it has none."""
    is_first_own: bool
    """The first of its names is the host's, and not another one."""

    def known(self) -> frozenset[int]:
        """All these slots."""
        services = self.services or ()
        single = {self.key, *self.names, *self.addresses, *(slot for slot, _ in self.phones)}
        ports = {each.port for each in services if each.port is not None}
        return frozenset(single | ports | {each.name for each in services}) | (
            frozenset() if self.limit is None else {self.limit}
        )


def places(text: str, root: Node) -> Places | None:
    """Which slots are what.

    Args:
        text: A piece.
        root: What YAML makes of it.

    Returns:
        That; None if it is not one subscriber, or if anything that has to be a slot is none, or more than one.
    """
    if not isinstance(root, Mapping) or len(root.pairs) != 1:
        return None
    [(key, value)] = root.pairs.values()
    starts = _starts(text)
    found: dict[Role, dict[Path, int]] = {role: {} for role in Role}
    signs: dict[int, str] = {}
    is_established = isinstance(value, Mapping) and any(word.lower() in ("id", "sfqdn") for word in value.pairs)
    for path, node in ((("", KEY), key), *_scalars(value, ())):
        role = Role.HOST if path == ("", KEY) else _role(path, _ESTABLISHED if is_established else _PLAIN)
        if role is None:
            continue
        sign = "+" if role is Role.PHONE and node.text.startswith("+") else ""
        slot, written = starts.get((node.line, node.column + (not node.plain) + len(sign)), (0, None))
        if written is None or sign + written != node.text:
            return None
        found[role][path] = slot
        signs[slot] = sign
    return _arranged(found, signs, value, is_established=is_established)


def _arranged(
    found: dict[Role, dict[Path, int]], signs: dict[int, str], value: Node, *, is_established: bool
) -> Places | None:
    ports = {path[:2]: slot for path, slot in found[Role.PORT].items()}
    services = tuple(ServicePlace(slot, ports.get(path[:2])) for path, slot in found[Role.SERVICE].items())
    addresses = found[Role.ADDRESS]
    if not found[Role.HOST] or not addresses:
        return None
    said = {word.lower() for word in value.pairs} if isinstance(value, Mapping) else set()
    return Places(
        key=next(iter(found[Role.HOST].values())),
        names=tuple(found[Role.FQDN].values()),
        addresses=tuple(addresses[path] for path in sorted(addresses, key=("address",).__ne__)),
        phones=tuple((slot, signs[slot]) for slot in found[Role.PHONE].values()),
        services=services if is_established or "services" in said else None,
        limit=next(iter(found[Role.LIMIT].values()), None),
        is_first_own=is_established and bool(found[Role.FQDN]),
    )


def _starts(text: str) -> dict[tuple[int, int], tuple[int, str]]:
    """The slots with what stands in them, by line and column, both counted from 1."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    line, begin, seen = 1, 0, 0
    for slot, match in enumerate(SLOT.finditer(text)):
        start = match.start()
        breaks = text.count("\n", seen, start)
        if breaks:
            line += breaks
            begin = text.rindex("\n", seen, start) + 1
        seen = start
        found[line, start - begin + 1] = slot, match.group()
    return found


def _scalars(node: Node, path: Path) -> Iterator[tuple[Path, Scalar]]:
    """Every scalar with its path, keys among them."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Items):
        for index, item in enumerate(node.items):
            yield from _scalars(item, (*path, index))
    else:
        for word, (key, value) in node.pairs.items():
            yield (*path, word.lower(), KEY), key
            yield from _scalars(value, (*path, word.lower()))


def _role(path: Path, roles: tuple[tuple[Role, tuple[object, ...]], ...]) -> Role | None:
    for role, pattern in roles:
        if len(path) == len(pattern) and all(map(_fits, path, pattern)):
            return role
    return None


def _fits(part: str | int, pattern: object) -> bool:
    return part == pattern or (isinstance(pattern, type) and part != KEY and isinstance(part, pattern))
