"""What the checks have in common: the remembered values, with their places, and what a check says of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.settings import Network

T = TypeVar("T")
Found = Generator[tuple[Node, str] | None, Any, T]
"""Says of one value after the other what is wrong, and at which place; None: nothing, and there is time for others."""


def values(problems: Problems, label: Label, kind: type[T]) -> Iterator[tuple[T, Node]]:
    """The remembered values of a label, with their places."""
    for value, node in problems.remembered.get(label, ()):
        assert isinstance(value, kind)
        yield value, node


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
