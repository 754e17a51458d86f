"""Which index each host has, and keeps: packet marks and kernel maps speak of hosts by it."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

import attrs

from realmgw.config.steps import Steps, portions
from realmgw.errors import RealmGatewayError

LAST_INDEX = 2**24 - 1
"""The highest index that a packet mark has room for."""
RESTING = 2**16
"""So many indices that came free are kept from being given again."""


@attrs.frozen(eq=False)
class HostIndices:
    """The indices of one moment; those of the next one are made from them.

    A name keeps its index. An index that came free is given again only when `RESTING` others came free after it, or
    when there is no fresh one left, since flows of its former host may live on: the one goes first that has been free
    for longest. So those that are free are few, however many hosts come and go.
    """

    by_name: dict[str, int] = attrs.Factory(dict)
    """Of every host that there is."""
    fresh: int = 1
    """The lowest index that no host ever had."""
    freed: tuple[int, ...] = ()
    """Those that a host had once, in the order in which they came free."""

    def amending(
        self, gone: Collection[str], came: Collection[str], *, last: int = LAST_INDEX, resting: int = RESTING
    ) -> Steps[HostIndices]:
        """The indices of the next moment.

        Args:
            gone: Hosts that are no more.
            came: Hosts that are told of, known ones among them; fresh indices are given in their order.
            last: The highest index.
            resting: How many of those that came free are not given.

        Returns:
            The indices with only those names in `by_name` that were given one now: they are to be joined with these.

        Raises:
            RealmGatewayError: There are more hosts than indices.
        """
        freed, added, given = list(self.freed), list[str](), dict[str, int]()
        for portion in portions(gone):
            freed += [self.by_name[name] for name in portion]
            yield None
        for portion in portions(came):
            added += [name for name in portion if name not in self.by_name]
            yield None
        rested = min(max(0, len(freed) - resting), len(added))
        fresh = range(self.fresh, last + 1)[: len(added) - rested]
        reused = freed[: len(added) - len(fresh)]
        if len(fresh) + len(reused) < len(added):
            raise RealmGatewayError(f"{len(added)} more hosts are more than there are indices left ({last} in all)")
        for pairs in portions(zip(added, chain(fresh, reused), strict=True)):
            given.update(pairs)
            yield None
        return HostIndices(given, self.fresh + len(fresh), tuple(freed[len(reused) :]))
