"""Who has asked for the client of a flow: remembered, once somebody wants to know, as clients come for claims.

A client who comes while it is not sure for whose claim he has come is nobody's: so nothing is held against anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from realmgw.allocation.reputation.lru import TwoGenerationLRU

if TYPE_CHECKING:
    from collections.abc import Callable

    from realmgw.allocation.allocator import Allocator
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor
    from realmgw.allocation.state import Claim

MOST = 65_536
"""Of so many clients it is known who has asked for them, the latest ones."""


@attrs.frozen
class Opener:
    """Who has asked for a client."""

    group: Group
    """Whose resolver did."""
    client: Requestor | None
    """The client that it has named and is believed of."""

    @property
    def name(self) -> str:
        """As `realmgw reputation` has it."""
        return str(self.group.resolver if self.client is None else self.client.key)

    def blame(self, now: float) -> None:
        """His client has done what he should not: it counts as a claim that nobody came for.

        Where the client was named it is his, since the group has done its part then.

        Args:
            now: The present, in monotonic seconds.
        """
        known = self.group if self.client is None else self.client
        known.count(now, nok=1.0)


class Openers:
    """Those who have asked for the clients that came last.

    Args:
        allocator: Where they come.
    """

    def __init__(self, allocator: Allocator) -> None:
        self._stock = allocator.fresh.stock
        self._ledgers = allocator.ledger, allocator.fresh.pinholes.ledger
        self._known = TwoGenerationLRU[tuple[bytes, bytes], Opener](MOST)

    def watch(self, *, on: bool) -> None:
        """Whether it is wanted from now on; while it is not, it costs nothing."""
        for ledger in self._ledgers:
            vars(ledger).pop("used", None)
            if on:
                ledger.used = self._noting(ledger.used)
        if not on:
            self._known = TwoGenerationLRU(MOST)

    def _noting(self, used: Callable[..., None]) -> Callable[..., None]:
        """What is called when a client has come for a claim: the same as before, and he is remembered."""

        def note(claim: Claim, *more: Any, **how: Any) -> None:
            used(claim, *more, **how)
            if claim.user is not None:
                _, flow = claim.user
                self._known.put((flow[0], flow[1]), Opener(claim.group, claim.client))

        return note

    def of(self, source: bytes, destination: bytes) -> Opener | None:
        """Who has asked for a client; None: it is not known any more.

        Args:
            source: The client's packed address.
            destination: The one that he came to, before translation.
        """
        claim = self._stock.find(destination)
        if claim is not None:
            return Opener(claim.group, claim.client) if claim.source == source else None
        return self._known.peek((source, destination))
