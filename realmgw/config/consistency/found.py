"""What the checks have in common: the remembered values, with their places, and what a check says of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any, TypeVar

from realmgw.config.document import Mapping, Node, Problems, Sequence
from realmgw.config.labels import Label
from realmgw.config.settings import Network

T = TypeVar("T")
Found = Generator[tuple[Node, str] | None, Any, T]
"""Says of one value after the other what is wrong, and at which place; None: nothing, and there is time for others."""

DNS_SERVER = "the DNS server"
LISTENING = (
    (Label.LISTEN, DNS_SERVER),
    (Label.PORTAL, "the portal"),
    (Label.METRICS, "metrics.listen"),
    (Label.DASHBOARD, "dashboard.listen"),
)
"""Who listens by TCP, at addresses and perhaps at unix sockets; the first one by UDP, too."""


def values(problems: Problems, label: Label, kind: type[T]) -> Iterator[tuple[T, Node]]:
    """The remembered values of a label, with their places."""
    for value, node in problems.remembered.get(label, ()):
        assert isinstance(value, kind)
        yield value, node


def parts(problems: Problems, kind: type[T]) -> Iterator[tuple[T, Mapping]]:
    """The parts of a kind that something is written of, each with what its keys stand in."""
    for value, node in problems.remembered.get(Label.PART, ()):
        if type(value) is kind and isinstance(node, Mapping):
            yield value, node


def at(part: Mapping, word: str) -> Node:
    """Where a key of a part stands; the part itself, where it is not written."""
    return part.pairs[word][0] if word in part.pairs else part


def items(part: Mapping, word: str) -> Collection[Node]:
    """Where the values of a list of a part stand; nothing, where it is not written."""
    _, found = part.pairs.get(word, (None, None))
    return found.items if isinstance(found, Sequence) else ()


def twice(problems: Problems, label: Label, kind: type[T], said: Callable[[T], str]) -> Found[None]:
    """Of the remembered values that stood before already, at their later places."""
    seen = set()
    for value, node in values(problems, label, kind):
        yield (node, said(value)) if value in seen else None
        seen.add(value)


def pieces(problems: Problems) -> Found[list[tuple[Network, Node]]]:
    """The prefixes of the circular pool."""
    pool = []
    for networks, node in values(problems, Label.POOL, tuple):
        pool += [(network, node) for network in networks]
        yield None
    return pool
