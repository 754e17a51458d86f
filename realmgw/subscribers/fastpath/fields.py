"""Where the values of a subscriber stand in its text: which of the text's fields (see `by_shape`) are what."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator

import attrs

from realmgw.config.document import Mapping, Node, Scalar
from realmgw.config.document import Sequence as Items

WORD = r"[A-Za-z_-]{0,63}+[0-9.][A-Za-z0-9_.-]*+"
"""What can stand in a field, for a regular expression; it begins with a letter, a digit or an underscore.

No label of a name is longer than what may stand before the first digit or dot: it is gone through again from each
beginning of a word in it, so that without a bound a run of `a-a-a` would take a time that grows as its square.
"""
ADDRESS6 = r"[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){1,6}:[0-9A-Fa-f]{1,4}(?![\w.:-])"
"""The same of an address of IPv6 that neither begins nor ends with a colon, so that YAML takes it for a scalar."""
FIELD = re.compile(rf"(\b(?:{ADDRESS6}|{WORD}))", re.ASCII)
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
    """The address of the host where flows go, or one of two."""
    OTHER = enum.auto()
    """A further address."""
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
    (Role.ADDRESS, ("id", "ipv4", 0)),
    (Role.ADDRESS, ("id", "ipv6", 0)),
    (Role.OTHER, ("id", "ipv4", int)),
    (Role.OTHER, ("id", "ipv6", int)),
    (Role.PHONE, ("id", "msisdn", int)),
    (Role.PHONE, ("id", "msisdn")),
    (Role.SERVICE, ("sfqdn", int, "fqdn")),
    (Role.PORT, ("sfqdn", int, "port")),
    (Role.LIMIT, ("circularpool", int, "max")),
    (Role.LIMIT, ("circularpool", "max")),
)
_PLAIN: tuple[tuple[Role, tuple[object, ...]], ...] = (
    (Role.ADDRESS, ("address",)),
    (Role.ADDRESS, ("address", int)),
    (Role.OTHER, ("other_addresses", int)),
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
    address: int | None
    """That of its IPv4 address; None: it has none."""
    address6: int | None
    """That of its IPv6 address; None: it has none. It has one of both at least."""
    others: tuple[int, ...]
    """Those of its further addresses."""
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
        several = {*self.names, *self.others, *(field for field, _ in self.phones), *(each.name for each in services)}
        single = {self.key, self.address, self.address6, self.limit, *(each.port for each in services)}
        return frozenset(field for field in several | single if field is not None)


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
    signs, six = dict[int, str](), set[int]()
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
        six.update((field,) if ":" in written else ())
    return _arranged(found, signs, six, value, is_established=is_established)


def _arranged(
    found: dict[Role, dict[Path, int]], signs: dict[int, str], six: set[int], value: Node, *, is_established: bool
) -> Places | None:
    ports = {path[:2]: field for path, field in found[Role.PORT].items()}
    services = tuple(ServicePlace(field, ports.get(path[:2])) for path, field in found[Role.SERVICE].items())
    if not found[Role.HOST] or not found[Role.ADDRESS]:
        return None
    others = found[Role.OTHER]
    said = {word.lower() for word in value.pairs} if isinstance(value, Mapping) else set()
    return Places(
        key=next(iter(found[Role.HOST].values())),
        names=tuple(found[Role.FQDN].values()),
        address=next((field for field in found[Role.ADDRESS].values() if field not in six), None),
        address6=next((field for field in found[Role.ADDRESS].values() if field in six), None),
        others=tuple(others[path] for path in sorted(others, key=lambda path: path[1] == "ipv6")),
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
