"""The states of a pool address, and what stands at it: reservations and their claims.

Theory of operation. A claim says: somebody asked for this service and is about to come. The claims of one service of
one host stand together in a reservation, at one address; services that do not overlap may stand at one address, each
with its own host. An address is WAITING while any claim is pending at it, LINGERING when none is but its last hosts
are still remembered there, and FREE when nothing is. Only a WAITING address is out of reach for another host: a
LINGERING one can be had when there is no free one. These are all the ways::

    FREE ------- first claim ------> WAITING
    WAITING ---- last claim gone --> LINGERING    (used, or nobody came)
    LINGERING -- new claim --------> WAITING      (for its own hosts, or passed on to another one)
    LINGERING -- time is over -----> FREE

An address that is reclaimed goes through all of LINGERING in no time: its claims end first.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Union

import attrs

from realmgw.allocation.claims.senders import FEW, NOBODY, Came
from realmgw.allocation.formers import TOLD, Formers, are_kept, expects_until, is_expected
from realmgw.allocation.reputation.caution import WITHHELD, spread

if TYPE_CHECKING:
    from realmgw.allocation.claims.crowd import Crowd, Doubt
    from realmgw.allocation.claims.ended import Ended
    from realmgw.allocation.claims.paired import Sibling
    from realmgw.allocation.flow import Flow
    from realmgw.allocation.reputation.group import Group
    from realmgw.allocation.reputation.requestors import ClientNetwork, Requestor
    from realmgw.allocation.reputation.seen import Watcher
    from realmgw.subscribers.model import Service


NEVER = math.inf
"""The time of what does not happen, in monotonic seconds."""
KEY = 0xFF_FFFF
"""The part of `Service.target` that is the service key (protocol << 16 | port)."""
UNLIMITED = 1 << 30
"""How many further senders a used claim lets in that lets in everybody."""


class State(enum.IntEnum):
    """Where a pool address stands."""

    FREE = 0
    WAITING = 1
    LINGERING = 2


TRANSITIONS: tuple[tuple[bool, ...], ...] = (
    # to FREE, WAITING, LINGERING
    (False, True, False),  # from FREE
    (False, False, True),  # from WAITING
    (True, True, False),  # from LINGERING
)
"""From each state, whether an address may go to another; `Pool` makes every move."""


@attrs.define(eq=False)
class Claim:
    """Somebody asked, and his packet is expected. Compared by identity."""

    reservation: Reservation
    """What it stands in."""
    group: Group
    """Who asked."""
    question: Hashable
    """Equal for a retransmission of the same question."""
    created: float
    """When it was answered, in monotonic seconds."""
    deadline: float
    """When it ends unused."""
    dead: float
    """From when on it is dead by experience: clients of its group that come at all have come by then."""
    network: ClientNetwork | None = None
    """Only packets from there use it; None: any."""
    client: Requestor | None = None
    """Who is expected, where the asker told it and is believed."""
    is_long: bool = False
    """It stands for long, since its group keeps answers."""
    unproven: bool = False
    """Its group was taken at its word: it shows where it is at times, but has not by this query."""
    waited: float = 0.0
    """For how many seconds its query has waited; a resolver may have kept other clients with that question waiting for
    the answer. 0.0: not at all. If it `is_hold`: for how many all those have that it is for; not 0.0 as well if it may
    be for who had a claim that such used."""
    by_tcp: bool = False
    """If it has waited: that was by TCP."""
    pending: bool = True
    """False once it was used, expired or reclaimed."""
    spare: int = 0
    """Once it was used: how many further senders it may still let in before its deadline."""
    is_hold: bool = False
    """It keeps the address for those; what becomes of it is nobody's merit or fault."""
    asked_before: float = -math.inf
    """When its group asked for the same name before, if that was not long ago, in monotonic seconds."""
    moments: tuple[float, float] = (-math.inf, -math.inf)
    """The last two times at which it did that can not have been at one time, this one included, likewise."""
    user: tuple[float, Flow] | None = None
    """When it was used (monotonic seconds), and by which flow; or, if it keeps the address, when somebody came last."""
    doubt: Doubt | None = None
    """It was used while the gateway was alarmed, and it is to be found out whether by its client."""
    sibling: Sibling | None = None
    """What the same client was told for the other family: whichever he uses, the other one is expected no more."""
    held_against: tuple[float, float] | None = None
    """What it cost others that nobody came for it, 0 to 1, and how sure that is; unless its sibling is used."""
    number: int = 0
    """Its trace id, see `realmgw.allocation.decisionlog`; 0: nobody asked for it."""

    @property
    def asked(self) -> float:
        """When it was asked for, in monotonic seconds."""
        return self.created - self.waited

    @property
    def came_at(self) -> float:
        """When somebody used it, in monotonic seconds; minus infinity: nobody has."""
        return -math.inf if self.user is None else self.user[0]

    @property
    def open_until(self) -> float:
        """Once it was used: until when it may let in further senders, in monotonic seconds."""
        if self.group.habits.is_plain:
            return self.deadline
        return max(self.deadline, self.created + self.group.spell + self.group.delay_p999)

    def is_settled(self, now: float, within: float = WITHHELD) -> bool:
        """Whether all clients have come who were told what this claim says, or never will, unless it was kept.

        Others may come as well where queries had waited, since their resolver asked once for all who asked meanwhile.

        Args:
            now: The present, in monotonic seconds.
            within: So many seconds after they were told, clients come; those of others who are known to be quicker, as
                soon as these do.
        """
        reservation, own, since = self.reservation, self.group.habits, now - within
        if not reservation.stands:
            return False
        told = [(each.group, each.created) for each in reservation.claims.values() if each.created > since]
        if reservation.waited_at > since:
            told += [(group, at) for group, at in reservation.told.items() if at > since]
        return not told or all(group.habits is not own and at + spread(group.delays) <= now for group, at in told)

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be done any more when its time is over."""
        return not self.pending and (self.doubt is None or self.doubt.counted)

    def is_spent(self, now: float) -> bool:
        """Whether it has ended, lets in nobody any more, and nothing is to be found out of it."""
        if self.pending or self.deadline > now or (self.doubt is not None and not self.doubt.counted):
            return False  # as `is_over`; a call costs more
        return self.group.habits.is_plain or self.open_until <= now


@attrs.define(eq=False)
class Reservation:
    """A service of a host at an address. Compared by identity."""

    address: Address
    """Where it stands."""
    service: Service
    """What is reached there."""
    group: Group
    """Who asked first since it last began to wait."""
    expected: dict[Group, Reservation] = attrs.field(factory=dict)
    """By group that has claims pending for its target: where the last of each was made. All of the target share it."""
    expecting: dict[Reservation, None] = attrs.field(factory=dict)
    """Those of its host with pending claims. All of the host share it."""
    shares: dict[Group, int] | None = None
    """How many pending claims each group has, once a second one has joined since then: from then on nobody can tell
    whose client came, so outcomes are neutral."""
    doubtful: float = -math.inf
    """When a claim was last used here that may have been another group's."""
    claims: dict[Hashable, Claim] = attrs.field(factory=dict, init=False)
    """The pending ones by question, oldest first."""
    bound: dict[Hashable, Claim] | None = None
    """Those of them that are bound to a network, once one was."""
    sources: dict[bytes, Came] = attrs.field(factory=dict, init=False)
    """Who was let in here lately, by packed address; see `realmgw.allocation.claims.senders`."""
    older_sources: dict[bytes, Came] = NOBODY
    """Those who were before; they are forgotten together."""
    sources_full: int = FEW
    """When there are so many of the former, room is to be made."""
    sources_since: float = -math.inf
    """Since when they come, in monotonic seconds."""
    used: list[Claim] | None = None
    """The used claims that may still have something to spare, or are doubted, oldest first."""
    crowd: Crowd | None = None
    """Those who came without a claim of their own, if any did."""
    hold: Claim | None = None
    """The pending claim that keeps the address for further clients, if one does."""
    trial: Watcher | None = None
    """Of a group that is told nothing of it for a while, to see whether its clients come all the same."""
    stray_at: float = -math.inf
    """When somebody came here last for whom there was no claim, in monotonic seconds."""
    waited_at: float = -math.inf
    """When the last claim was made here whose query had waited, in monotonic seconds."""
    _owed: int = 0
    _owed_until: float = -math.inf
    told: dict[Group, float] = attrs.field(factory=dict)
    """Who was told of it, and when last (monotonic seconds); `TOLD` of them at most."""

    @property
    def stands(self) -> bool:
        """Whether it is still at its address."""
        return self.address.reservations.get(self.service.target & KEY) is self

    @property
    def expects_until(self) -> float:
        """Until when clients may come for what its groups were told, as far as is known of these now."""
        return expects_until(self.told)

    def is_kept(self, now: float) -> bool:
        """Whether clients may still come of those who are known to keep answers, or suspected; see `are_kept`.

        Where that became known after they were told, no claim of theirs stands for so long. The host may have been away
        meanwhile.
        """
        before = self.address.before
        return are_kept(self.told, now) or (bool(before.told) and are_kept(before.of(self.service.host.index), now))

    def owe(self, until: float, now: float) -> None:
        """A claim makes room for another one: until then its client may come, and has none."""
        self._owed = self._owed + 1 if now < self._owed_until else 1
        self._owed_until = until

    def pay(self, now: float) -> bool:
        """Whether somebody without a claim may be such a client; then one less is expected."""
        if not self._owed or now >= self._owed_until:
            return False
        self._owed -= 1
        return True

    def forget_told(self) -> None:
        """Forget half of those who were told of it, so long as possible none who may keep answers."""
        known = sorted(self.told, key=lambda each: (not each.habits.is_plain, self.told[each]))
        for each in known[: TOLD // 2]:
            del self.told[each]


@attrs.define(eq=False)
class Address:
    """An address of the pool. Compared by identity."""

    packed: bytes
    """In network order."""
    state: State = State.FREE
    """Moved by `Pool` alone."""
    reservations: dict[int, Reservation] = attrs.field(factory=dict)
    """By service key (protocol << 16 | port); no two of them overlap."""
    claims: int = 0
    """How many are pending at all its reservations."""
    long: int = 0
    """How many of them stand for long."""
    given_up: bool = False
    """Those who keep answers have more addresses than their share, and are told of this one no more."""
    held_until: float = 0.0
    """Until when somebody is expected: the time at which the last of its claims is dead by experience."""
    doubt: float = 0.0
    """Until when a client of a claim that a stranger may have used is waited for."""
    moved: Claim | None = None
    """The last claim of a group that was told this address a moment before, and is told another one now."""
    before: Formers = attrs.field(factory=Formers)
    """The hosts that were here before, and may still be."""
    standing: float = 0.0
    """The best standing of those who have made claims since it began to wait."""
    came_at: float = -math.inf
    """When a client came for a claim here last, in monotonic seconds."""
    former: int | None = None
    """While FREE: the target that had it last, and may find it again."""
    gone_target: int = 0
    """The target of the last reservation that ended here; 0: none yet."""
    gone_until: float = 0.0
    """Until when a packet for that service may be one that came late."""
    gone: Reservation | None = None
    """That reservation, for as long."""
    flows: dict[Flow, Ended] | None = None
    """Flows without a handshake that were let in here, the latest ones, in the order in which they were."""
    noting_from: float = 0.0
    """From when on further ones are noted, in monotonic seconds."""
    unwatched: dict[Flow, None] | None = None
    """Those of them that it is looked at when the address passes on to another host; the others are looked at already,
    or have ended."""

    def meeting(self, protocol: int, dport: int) -> Reservation | None:
        """What a packet meets here, what is named most closely first; services of several hosts do not overlap."""
        get = self.reservations.get
        return get(protocol << 16 | dport) or get(dport) or get(protocol << 16) or get(0)

    def was_told(self, group: Group | None, now: float) -> bool:
        """Whether a group was told this address a moment before, and is told another one now."""
        return self.moved is not None and self.moved.group is group and now < self.moved.created + WITHHELD

    def was_left_by(self, protocol: int, dport: int, now: float) -> bool:
        """Whether a packet may be meant for a service that left a moment ago."""
        return self.gone_until > now and self.gone_target & KEY in (protocol << 16 | dport, dport, protocol << 16, 0)

    def may_be_meant(self, service: Service) -> bool:
        """Whether a packet for a service may be meant for what left last, of another host."""
        key = self.gone_target & KEY
        return self.gone_target >> 24 != service.host.index and (not key or overlap(key, service.target & KEY))

    @property
    def is_kept_only(self) -> bool:
        """Whether no claim is pending here but what keeps the address for others who were told the same."""
        return all(claim.is_hold for each in self.reservations.values() for claim in each.claims.values())

    def may_come(self, host: int, now: float) -> list[Group]:
        """Whose clients may still come for what stands here, or for another host than this one (its index) before it.

        For what stands here, only of those who keep answers, or are taken to do so: whoever else comes has a claim. Or
        that is tried at this moment: nobody could tell who comes, were it another host's by then.
        """
        found: list[Group] = []
        for reservation in self.reservations.values():
            for group, told in reservation.told.items():
                habits = group.habits
                if habits.is_plain:
                    continue
                expected = is_expected(group, told, now)  # first of all: it ends what is over, also its trial
                if reservation.trial is habits or (expected and (habits.caution.is_on or habits.keeps_answers)):
                    found.append(group)
        for group in self.before.told:
            if not group.habits.is_plain:  # as `Formers.are_kept`; a call costs more
                return found + self.formers(host, now)
        return found

    def note_former(self, reservation: Reservation, until: float) -> None:
        """A reservation leaves, and its host with it: clients may still come for it.

        Args:
            reservation: It.
            until: So long at least a packet for it counts as one that came late, in monotonic seconds.
        """
        self.gone, self.gone_target = reservation, reservation.service.target
        self.gone_until = max(until, reservation.expects_until)
        self.before.note(reservation.service.host.index, reservation.told)

    def formers(self, host: int, now: float) -> list[Group]:
        """Whose clients may still come for another host than this one (its index), which had it before."""
        return self.before.of_others(host, now)

    def is_kept(self, now: float) -> bool:
        """Whether clients may still come for what stands here, as `Reservation.is_kept`."""
        return any(reservation.is_kept(now) for reservation in self.reservations.values())

    def is_spoilt(self, host: int, group: Group, now: float) -> bool:
        """Whether a group may not be told that a host (its index) is here, since clients will come for another one.

        Those of groups that are known to keep answers, or its own, if it may: nothing would tell these from those that
        come for what it is told now.
        """
        formers = self.before.of_others(host, now)
        if not formers:
            return False
        is_own = group.habits.caution.is_likely_to_keep
        return any(each.habits.keeps_answers or (is_own and each is group) for each in formers)


Place = Union["Reservation", "Address"]
"""Where a claim is to be made: a reservation; or an address, where one is to be made for it."""


def overlap(one: int, other: int) -> bool:
    """Whether two service keys (protocol << 16 | port, 0 = any of either) have packets in common.

    >>> overlap(6 << 16 | 80, 17 << 16 | 80), overlap(6 << 16, 80)
    (False, True)
    """
    port, other_port = one & 0xFFFF, other & 0xFFFF
    protocol, other_protocol = one >> 16, other >> 16
    return (port == other_port or not port or not other_port) and (
        protocol == other_protocol or not protocol or not other_protocol
    )
