"""Who came while first packets were doubted, and what is not known of the claims that they used; see `candidates`."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import attrs

from realmgw.allocation.pace import Pace
from realmgw.allocation.reputation.habits import TOGETHER

if TYPE_CHECKING:
    from realmgw.allocation.flow import Flow


@attrs.define(eq=False)
class Doubt:
    """What is not known of a claim that was used."""

    alone: bool
    """Nobody else was expected there, or only who was told at that time: it is clear how long its client took."""
    merit: float
    """How sure it is, 0 to 1, that who is answered is its own group's client, and not another's there."""
    fault: float
    """How sure it is that its client is the one who stays away if nobody is answered, 0 to 1."""
    shared: bool = False
    """Who came may have been told by somebody else who keeps answers, or is taken to."""
    came: float | None = None
    """When the one came who was answered, in monotonic seconds; None as long as none was."""
    client: bytes = b""
    """His packed address; empty as long as none was."""
    unclear: bool = False
    """Of one who came it can not be told whether he was answered."""
    counted: bool = False
    """Its outcome was counted before anybody doubted it."""
    taken: bool = False
    """Somebody was answered who knocks everywhere: its client may still come."""
    latest: float = math.inf
    """When the last claim was made that stood there then, in monotonic seconds; infinity: that says nothing."""


@attrs.define(eq=False)
class Candidate:
    """Who came while the gateway was alarmed."""

    flow: Flow
    """His flow."""
    came: float
    """When, in monotonic seconds."""
    due: float
    """When it is to be asked next whether he was answered."""
    beyond: bool
    """All claims that were used had been answered when he came: he came for one of them as well."""


@attrs.define(eq=False)
class Crowd(Pace):
    """Those who come to a reservation without a claim of their own."""

    candidates: deque[Candidate] = attrs.field(factory=deque)
    """In the order in which they came, or were last asked for."""
    due: float = 0.0
    """When candidates are looked at again, in monotonic seconds."""
    is_told: bool = True
    """Of each of them it is told when he is answered."""
    news: object = None
    """What was told of the address when they were looked at last; see `Answers.news`."""
    unlooked: int = 0
    """So many are still to be looked at, since something was told."""
    quiet_until: float = 0.0
    """Until then they need not be looked at unless something is told, in monotonic seconds."""
    answered_at: float = math.inf
    """When the last one came who was answered, and for whom a claim was left."""
    company: int = 0
    """So many were answered for whom none was left, since the address was last kept for such."""
    _told_at: float = -math.inf

    def tells(self, came: float) -> bool:
        """Whether one for whom no claim was left tells how soon others come; not if he came together with one who does.

        Args:
            came: When he came, in monotonic seconds.
        """
        if abs(came - self._told_at) < TOGETHER:
            return False
        self._told_at = came
        return True
