"""Where the values of a subscriber stand in its text: which of the text's fields (see `by_shape`) are what."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

import attrs

from realmgw.config.document import Mapping, Node, Scalar
from realmgw.config.document import Sequence as Items

WORD = r"[A-Za-z_-]*+[0-9.][A-Za-z0-9_.-]*+"
"""What can stand in a field, for a regular expression; it begins with a letter, a digit or an underscore."""
FIELD = re.compile(rf"(\b{WORD})", re.ASCII)
"""Finds fields."""

Path = tuple[str | int, ...]
"""Where a scalar is: keys in lower case, positions in lists; `KEY` for the key itself that stands there."""
KEY = "\0key"


class Role(enum.Enum):
    """What a field is."""

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
    """The field of its name."""
    port: int | None
    """That of its port; None: it has none, or a fixed one."""


@attrs.frozen(eq=False)
class Places:
    """Which fields of a shape are what."""

    key: int
    """The field of the key."""
    names: tuple[int, ...]
    """Those of the host's names."""
    addresses: tuple[int, ...]
    """Those of its addresses, at least one."""
    phones: tuple[tuple[int, str], ...]
    """Those of its telephone numbers, each with what stands before it: nothing, or a plus sign."""
    services: tuple[ServicePlace, ...] | None
    """Its services; None: it has its own name only."""
    limit: int | None
    """The field of its limit; None: it has none."""
    is_first_own: bool
    """The first of its names is the host's, and not another one."""

    def known(self) -> frozenset[int]:
        """All these fields."""
        services = self.services or ()
        single = {self.key, *self.names, *self.addresses, *(field for field, _ in self.phones)}
        ports = {each.port for each in services if each.port is not None}
        return frozenset(single | ports | {each.name for each in services}) | (
            frozenset() if self.limit is None else {self.limit}
        )


def places(text: str, root: Node) -> Places | None:
    """Which fields are what.

    Args:
        text: A piece.
        root: What YAML makes of it.

    Returns:
        That; None if it is not one subscriber, or if anything that has to be a field is none, or more than one.
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
        field, written = starts.get((node.line, node.column + (not node.plain) + len(sign)), (0, None))
        if written is None or sign + written != node.text:
            return None
        found[role][path] = field
        signs[field] = sign
    return _arranged(found, signs, value, is_established=is_established)


def _arranged(
    found: dict[Role, dict[Path, int]], signs: dict[int, str], value: Node, *, is_established: bool
) -> Places | None:
    ports = {path[:2]: field for path, field in found[Role.PORT].items()}
    services = tuple(ServicePlace(field, ports.get(path[:2])) for path, field in found[Role.SERVICE].items())
    addresses = found[Role.ADDRESS]
    if not found[Role.HOST] or not addresses:
        return None
    said = {word.lower() for word in value.pairs} if isinstance(value, Mapping) else set()
    return Places(
        key=next(iter(found[Role.HOST].values())),
        names=tuple(found[Role.FQDN].values()),
        addresses=tuple(addresses[path] for path in sorted(addresses, key=("address",).__ne__)),
        phones=tuple((field, signs[field]) for field in found[Role.PHONE].values()),
        services=services if is_established or "services" in said else None,
        limit=next(iter(found[Role.LIMIT].values()), None),
        is_first_own=is_established and bool(found[Role.FQDN]),
    )


def _starts(text: str) -> dict[tuple[int, int], tuple[int, str]]:
    """The fields with what stands in them, by line and column, both counted from 1."""
    found: dict[tuple[int, int], tuple[int, str]] = {}
    line, begin, seen = 1, 0, 0
    for field, match in enumerate(FIELD.finditer(text)):
        start = match.start()
        breaks = text.count("\n", seen, start)
        if breaks:
            line += breaks
            begin = text.rindex("\n", seen, start) + 1
        seen = start
        found[line, start - begin + 1] = field, match.group()
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
