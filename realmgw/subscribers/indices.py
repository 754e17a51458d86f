"""Which index each host has, and keeps: packet marks and kernel maps speak of hosts by it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from realmgw.errors import RealmGatewayError

LAST_INDEX = 2**24 - 1
"""The highest index that a packet mark has room for."""


@attrs.frozen(eq=False)
class Indices:
    """The indices of one load of the subscribers; the next load's are made from them.

    A name keeps its index from load to load. An index that came free is given again only when there is no fresh one
    left, since flows of its former host may live on: then the one goes first that has been free for longest.
    """

    by_name: dict[str, int] = attrs.Factory(dict)
    """Of every host that there is."""
    fresh: int = 1
    """The lowest index that no host ever had."""
    freed: tuple[int, ...] = ()
    """Those that a host had once, in the order in which they came free."""

    def following(self, names: Iterable[str], *, last: int = LAST_INDEX) -> Indices:
        """The indices of the next load. Fresh ones are given in the order of the names.

        Args:
            names: Every host that there is now, absolute and lower case.
            last: The highest index.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        wanted = sorted(set(names))
        kept = {name: self.by_name[name] for name in wanted if name in self.by_name}
        freed = [*self.freed, *(index for name, index in self.by_name.items() if name not in kept)]
        added = [name for name in wanted if name not in kept]
        fresh = range(self.fresh, last + 1)[: len(added)]
        reused = freed[: len(added) - len(fresh)]
        if len(fresh) + len(reused) < len(added):
            raise RealmGatewayError(f"{len(wanted)} hosts are more than there are indices ({last})")
        given = dict(zip(added, [*fresh, *reused], strict=True))
        return Indices({**kept, **given}, self.fresh + len(fresh), tuple(freed[len(reused) :]))

    def amended(self, gone: Iterable[str], came: Iterable[str], *, last: int = LAST_INDEX) -> Indices:
        """What `following` does, for a few changes among many hosts.

        Args:
            gone: Hosts that are no more.
            came: Hosts that are told of, known ones among them; fresh indices are given in their order.
            last: The highest index.

        Returns:
            The indices with only those names in `by_name` that were given one now, for `amend`.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        freed = [*self.freed, *(self.by_name[name] for name in gone)]
        added = [name for name in came if name not in self.by_name]
        fresh = range(self.fresh, last + 1)[: len(added)]
        reused = freed[: len(added) - len(fresh)]
        if len(fresh) + len(reused) < len(added):
            raise RealmGatewayError(f"{len(added)} more hosts are more than there are indices left ({last} in all)")
        given = dict(zip(added, [*fresh, *reused], strict=True))
        return Indices(given, self.fresh + len(fresh), tuple(freed[len(reused) :]))
