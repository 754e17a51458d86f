"""Which places in a tree of what was counted have a metric, and which need none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from realmgw.metrics.declared import Source, Tree, at
from realmgw.metrics.names import FACE, OF_QUERIES

UNTOLD = {
    at("repository.{text:url|fault|version|identity|not_in_force}"): "texts: in `realmgw status`",
    at("dns.resolver *.{what:milliseconds|trouble}"): "of a single resolver: in `realmgw status`",
    at("repository.answered"): "`silent` says the same, and is there before the first answer",
    at("reloads.problems"): "texts: in `realmgw status`",
    at(f"{FACE}.refused_by.{{reason:!{OF_QUERIES}}}"): "no query is refused for these reasons",
    at(f"allocation.refused.{{reason:!{OF_QUERIES}}}"): "no query is refused for these reasons",
    at(f"allocation.ipv6.pinholes.refused.{{reason:!{OF_QUERIES}}}"): "no query is refused for these reasons",
}
"""What is in the tree and in no metric, with the reason."""


def leaves(tree: Tree, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything in a tree that is no tree, with its place."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*place, name))
        else:
            yield (*place, name), value


def covered(sources: Iterable[Source], tree: Tree) -> set[tuple[str, ...]]:
    """The places in a tree where sources are, and all below them."""
    return {
        (*place, *below)
        for source in sources
        for place, _, value in source.found(tree)
        for below in ([each for each, _ in leaves(value)] if isinstance(value, Mapping) else [()])
    }
