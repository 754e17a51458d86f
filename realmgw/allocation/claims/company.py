"""Who came for what another client was told as well: what his resolver's group learns of it, at once or afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from realmgw.allocation.claims.outcomes import learned, may_teach

if TYPE_CHECKING:
    from realmgw.allocation.claims.crowd import Candidate
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.state import Claim, Reservation

ANSWERED = 1.0  # seconds
"""So long after its reservation left, whoever came there is answered, or never."""
LEFT, LATEST = 64, 16
"""So many of those that left in that time are looked back at, and so many of those who came to each of them last."""

_Left = tuple["Reservation", "Sequence[Claim]", "Sequence[Candidate]"]


class Parted:
    """Reservations that have left their addresses before it was known of all who came there whether they are answered.

    Who comes last comes when the address is about to be passed on. If he were forgotten with it, his group would learn
    of the quick ones alone, its addresses would be passed on sooner and sooner, and the slow ones reach other hosts.
    """

    def __init__(self) -> None:
        self._left: deque[tuple[float, _Left]] = deque()

    def enter(self, reservation: Reservation, candidates: Sequence[Candidate], now: float) -> None:
        """One leaves; it is not looked back at if there are `LEFT` of them.

        Args:
            reservation: It.
            candidates: Who came there last, of whom it is not known.
            now: The present, in monotonic seconds.
        """
        if len(self._left) < LEFT:
            its = reservation, tuple(reservation.used or ()), tuple(candidates)[-LATEST:]
            self._left.append((now + ANSWERED, its))

    def over(self, now: float) -> Iterator[_Left]:
        """Those of whom it is known by now, with the claims that were used there, and who came; they are forgotten."""
        while self._left and self._left[0][0] <= now:
            yield self._left.popleft()[1]


def learn(reservation: Reservation, used: Sequence[Claim], candidate: Candidate, home: Group | None) -> None:
    """One more came than was asked for: for the last answer before him of a group that can have kept it so long.

    Where an answer was waited for lately, somebody asked meanwhile: it is he, or he took the claim of the one who comes
    now. That is no habit of their resolver's. How long he took tells as much as what the first one took: who is first
    of several is quick, and if those alone told, nobody would wait for the others. Unless answers are kept: then others
    were told later. Who came together with the first one, so that it was not known yet whether that one is answered,
    tells how soon clients come all the same; or where names wait, hardly anything would be learned of it.

    Args:
        reservation: Where he came; with a crowd, of which he is.
        used: The claims that were used there, oldest first.
        candidate: He; he was answered.
        home: Whose client he is; None: that is not known.
    """
    came, crowd = candidate.came, reservation.crowd
    assert crowd is not None, "he is one of it"
    claim = next(_told(used, came, home), None)
    if claim is None:
        return
    group, age = claim.group, came - claim.created
    is_habit = age > group.delay_p999 or came - reservation.waited_at > reservation.service.terms.timeout
    if candidate.beyond and is_habit:
        group.habits.came_again(candidate.flow[0], age, group.delay_p999, came)
    if age <= group.delay_p999:
        if not group.habits.keeps_answers and came >= group.learns_at and may_teach(claim, age, came):
            learned(group, age, candidate.flow[0], came)
        first = next((each for each in _told(used, came, home) if each.waited), claim)
        if first.user is not None:
            group.habits.came_together(came - first.user[0], counts=crowd.tells(came))


def _told(used: Sequence[Claim], came: float, home: Group | None) -> Iterator[Claim]:
    """The used claims that may have told somebody who came then, the latest first; of his own resolver's, if known."""
    for each in reversed(used):
        if (home is None or each.group.habits is home.habits) and _may_have_told(each, came):
            yield each


def _may_have_told(claim: Claim, came: float) -> bool:
    """Whether somebody who came then may have been told what a claim says, as its group may have kept it."""
    group = claim.group
    most = 0.0 if group.habits.caution.keeps_nothing else group.habits.renews
    return 0.0 <= came - claim.created <= most + group.delay_p999
