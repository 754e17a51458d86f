"""Whether a resolver asks for clients of different addresses, and not for itself alone: by the first two who come.

Whoever comes for what a resolver was told may be its client, or somebody who only guessed: a packet with a forged
source costs its sender nothing. So it is looked again at who they were where something follows from that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow

ANSWERED = 0.5  # seconds
"""Whoever is a client is answered within so long."""
AGAIN = 0.05  # seconds
"""Who was answered is looked at again so often as long."""

CERTAIN = 4
"""So surely is he the group's where no other one's are expected; 1: where others are, of whom nobody may come."""


@attrs.define(eq=False)
class Clients:
    """The first clients of a resolver group."""

    is_client: Callable[[Flow, object], bool | None]
    """Tells whether somebody was a client of a group, by its `Caution`; None: that is not known yet."""
    first: tuple[tuple[float, Flow, int], ...] = ()
    """When they came, in monotonic seconds, by which flow, and how surely they are its own; of different addresses."""
    were_forged: bool = False
    """They were taken for clients in vain before."""
    were_answered: bool = False
    """Each of the present ones was, and nothing spoke against him: only that is looked at again."""
    _again_at: float = -math.inf

    def are_old(self, now: float) -> bool:
        """Whether it is known by now, in monotonic seconds, who they are; until then more may be learned of them."""
        return now >= self.first[-1][0] + ANSWERED

    @property
    def are_several(self) -> bool:
        """Whether there are two, as far as is known; those who may be others' count as that fraction of one."""
        return sum(likely for _, _, likely in self.first) >= 2 * CERTAIN

    def is_new(self, src: bytes) -> bool:
        """Whether somebody (his packed address) would be the first one, or the first of another address."""
        return not self.are_several and not any(flow[0] == src for _, flow, _ in self.first)

    def came(self, flow: Flow, likely: int, now: float) -> None:
        """Learn that one came who `is_new`, by which flow, how surely he is its own, and when (monotonic seconds)."""
        self.first = (*self.first, (now, flow, likely))

    def are_believed(self, caution: object, now: float) -> bool | None:
        """Whether two of them are this group's, by what is known of them by now.

        Those of whom it turns out otherwise are forgotten, and so are those who are not answered in time.

        Args:
            caution: The group's.
            now: The present, in monotonic seconds.

        Returns:
            None if that is not known yet, and is taken for granted, as it was not in vain before.
        """
        if self.were_answered and now < self._again_at:
            return True
        self._again_at = now + AGAIN
        said = [self.is_client(flow, caution) for _, flow, _ in self.first]
        if self.are_several and (all(said) or (self.were_answered and False not in said)):
            self.were_answered = True
            return True
        self.were_answered = False
        known = zip(self.first, said, strict=True)
        self.first = tuple(each for each, its in known if its or (its is None and now < each[0] + ANSWERED))
        self.were_forged |= not self.are_several
        return False if self.were_forged else None
