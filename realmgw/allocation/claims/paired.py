"""A claim of either family, whose client may come by the other one; see `siblings`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import Requestor


class Sibling(Protocol):
    """A claim of either family, as far as outcomes go; see `realmgw.allocation.state.Claim`."""

    created: float
    sibling: Sibling | None
    held_against: tuple[float, float] | None

    @property
    def group(self) -> Group: ...
    @property
    def client(self) -> Requestor | None: ...
    @property
    def unproven(self) -> bool: ...
    @property
    def asked(self) -> float: ...
    @property
    def pending(self) -> bool: ...
    @property
    def came_at(self) -> float: ...
