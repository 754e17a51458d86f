"""By whose resolver clients came, while addresses are handed on: who comes where that one was told before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.reputation.caution import WITHHELD

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Claim

REMEMBERED = 16384
"""So many clients are remembered at least, and less than twice as many."""


class Clients:
    """Those who used claims, by packed address."""

    def __init__(self) -> None:
        self._young: dict[bytes, Group] = {}
        self._old: dict[bytes, Group] = {}

    def note(self, src: bytes, group: Group) -> None:
        """Somebody came for a claim of a group."""
        self._young[src] = group
        if len(self._young) >= REMEMBERED:
            self._young, self._old = {}, self._young

    def has_strayed(self, moved: Claim, src: bytes, now: float) -> bool:
        """Whether one came for whom nothing was, where his group had been told a moment before that its host is.

        Args:
            moved: The claim for which that group is told another address now.
            src: Packed address of the one who came.
            now: The present, in monotonic seconds.
        """
        group = self._young.get(src) or self._old.get(src)
        return group is moved.group and now < moved.created + WITHHELD
