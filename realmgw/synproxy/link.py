"""What one SYN proxy was told, what it has answered, and what it is told next: a decision, without a socket.

Theory of operation. The link is in one of four states::

    DOWN ----- connected --> SYNCING    (flush, defaults, every lasting entry, every reservation)
    SYNCING -- all is told and answered --> IN STEP
    IN STEP -- too much at once, or a refusal --> BEHIND    (SYNCING likewise)
    BEHIND --- a while later --> SYNCING
    any ------ the connection is gone --> DOWN

In step, what changes is kept as places, with what the proxy has there: `_fresh` is what changed last, as it was told,
and becomes requests in a moment; where those may not be sent yet, `_changed` is the set of all that wait. What is sent
is what is wanted when it is sent, and nothing if the proxy has that already. Both what waits and the requests that are
not answered yet have a bound. When too much waits, the proxy is told everything anew from the table.

Thousands may change in a second. So requests are octets from the beginning, and what is called is called for many of
them at once: one call tells them, one takes all answers that have come, if everything was done.

Requests are answered in their order. A refusal means that the proxy's table is not what we take it for: it is told
everything anew. Only the default of IPv6 may be refused: then the proxy takes none, and is told of none.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Protocol

import attrs
from automat import TypeMachineBuilder

from realmgw.synproxy.codec import (
    ANY_ADDRESS,
    ANY_ADDRESS6,
    LENGTH6,
    Key,
    Operation,
    ProtocolError,
    Request,
    ResponseReader,
    decode,
    encode,
)
from realmgw.synproxy.table import DEFAULT, Before, Options, Place, Table, is6

MOST_OUTSTANDING = 4096
"""So many requests may be unanswered."""
MOST_CHANGED = 65536
"""So many places may wait to be told, beside all that have an entry."""
PORTION = 256
"""So many requests are sent in one go."""
PATIENCE = 5.0  # seconds
"""For so long nothing may be answered while something is asked."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds
"""For how long one that is behind is left alone: at first, and at most, twice as long each time."""
STEADY = 60.0  # seconds
"""Who was in step for so long begins with the first pause again."""
AGAIN = 1.0  # seconds
"""So long after it is in step, one that left requests unread on the connection before is told everything once more."""


class State(enum.Enum):
    """Where a link stands."""

    DOWN = "down"
    """There is no connection."""
    SYNCING = "synchronising"
    """It is told everything."""
    IN_STEP = "in step"
    """It has been told everything, and has said that it was done."""
    BEHIND = "behind"
    """It is not told anything until it is told everything."""


@attrs.define
class LinkCounts:
    """Totals since the start, of one SYN proxy."""

    connected: int = 0
    """Connections that were made."""
    sent: int = 0
    """Requests."""
    done: int = 0
    """Answers that it was done."""
    refused: int = 0
    """Answers that it was not done."""
    resynchronised: int = 0
    """How often it was told everything."""
    overflowed: int = 0
    """How often more changed than may wait to be told."""
    unanswered: int = 0
    """Connections that were ended since nothing was answered."""
    malformed: int = 0
    """Connections that were ended since what came was no answer, or an answer to nothing."""

    def add(self, more: LinkCounts) -> None:
        """Count what another one has counted as well."""
        for name, count in attrs.asdict(more).items():
            setattr(self, name, getattr(self, name) + count)


class _Inputs(Protocol):
    def connected(self) -> None: ...
    def lost(self) -> None: ...
    def told(self) -> None: ...
    def fall_behind(self) -> None: ...
    def begin(self) -> None: ...


class Link:
    """One SYN proxy.

    Args:
        table: What shall be there.
        name: What the proxy is called.

    Attributes:
        name: Likewise.
        state: Where it stands.
        since: Since when, in monotonic seconds.
        error: What went wrong last; empty: nothing did since it was in step.
        takes6: It is told of IPv6.
        counts: Of this proxy.
        paused: The connection has as much to send as it wants.
    """

    def __init__(self, table: Table, name: str, *, now: float) -> None:
        self._table, self.name = table, name
        self.state, self.since, self.error = State.DOWN, now, ""
        self.counts = LinkCounts()
        self.takes6 = self.paused = False
        self._now = now
        self._send: Callable[[bytes], object] = _nowhere
        self._answers = ResponseReader()
        self._outstanding: list[bytes] = []
        self._entries = [0, 0]  # of IPv4, and of IPv6
        # The first of a plain dict is found behind all that were taken before: 60 000 took 6 s, with turns of 0.2 s.
        self._changed: OrderedDict[Place, Options | None] = OrderedDict()
        self._fresh: Before = {}
        self._coming: Iterator[bytes] | None = None
        self._heard_at = self._due_at = now
        self._pause = FIRST_PAUSE
        self._once_more = False
        self._machine = _machine(self)

    @property
    def outstanding(self) -> int:
        """How many requests are not answered yet."""
        return len(self._outstanding)

    @property
    def waiting(self) -> int:
        """How many places wait to be told."""
        return len(self._changed) + len(self._fresh)

    @property
    def entries(self) -> int:
        """How many entries it has beside those that last."""
        of4, of6 = self._entries
        return of4 + of6 if self.takes6 else of4

    # What happens

    def connected(self, send: Callable[[bytes], object], *, now: float) -> None:
        """There is a connection.

        Args:
            send: Takes octets for it.
            now: The present.
        """
        self._send, self._now = send, now
        self._answers, self.paused = ResponseReader(), False
        self.counts.connected += 1
        self._heard_at = now
        self._machine.connected()

    def lost(self, why: str, *, now: float) -> None:
        """The connection is gone, or could not be made."""
        self._now = now
        self.error = why
        self._once_more = self._once_more or bool(self._outstanding)
        self._machine.lost()

    def change(self, before: Before, *, now: float) -> None:
        """Something is different at these places; what was reserved there before."""
        self._now = now
        if self.state is State.IN_STEP or (self.state is State.SYNCING and self._coming is None):
            if self._changed or self._fresh:
                self._put_off(before)
            else:
                self._fresh = before
            if (waiting := self.waiting) > MOST_CHANGED + len(self._table):
                self.counts.overflowed += 1
                self._fall_behind(f"{waiting} entries waited to be told")

    def _put_off(self, before: Before) -> None:
        """What changed last waits with all others, and so does this."""
        changed = self._changed
        for each in (self._fresh, before):
            for place, options in each.items():
                changed.setdefault(place, options)
        self._fresh = {}

    def renew(self, *, now: float) -> None:
        """What lasts is different: everything is told anew."""
        self._now = now
        self._machine.begin()

    def received(self, octets: bytes, *, now: float) -> str:
        """Answers came.

        Returns:
            Why the connection is of no use any more; empty: it is.
        """
        self._now = now
        try:
            answers = self._answers.receive(octets)
        except ProtocolError as error:
            return self._garbled(str(error))
        number = len(answers)
        if number > len(self._outstanding):
            return self._garbled("an answer that nobody asked for")
        if answers:
            self._heard_at = now
        answered, self._outstanding = self._outstanding[:number], self._outstanding[number:]
        self.counts.done += (done := answers.count(True))
        if done < number:
            for is_done, request in zip(answers, answered, strict=True):
                if not is_done:
                    self._refused(decode(request))
        self._look()
        return ""

    def tick(self, *, now: float) -> str:
        """Some time has passed; returns what `received` does."""
        self._now = now
        if self.state is State.DOWN:
            return ""
        if self._outstanding and now - self._heard_at >= PATIENCE:
            self.counts.unanswered += 1
            return f"it answers nothing: {self.outstanding} requests for {now - self._heard_at:.0f} s"
        if self.state is State.BEHIND and now >= self._due_at:
            self._machine.begin()
        elif self.state is State.IN_STEP:
            self._settle(now)
        return ""

    def work(self, *, now: float) -> bool:
        """Tell as much as may be told in one go; whether there is more that could be told at once."""
        self._now = now
        room = min(PORTION, MOST_OUTSTANDING - len(self._outstanding))
        if self.paused or self.state in (State.DOWN, State.BEHIND) or room <= 0:
            return False
        requests = self._next(room)
        if requests:
            if not self._outstanding:
                self._heard_at = now
            self._outstanding += requests
            self.counts.sent += len(requests)
            self._send(b"".join(requests))
        self._look()
        return len(requests) == room and len(self._outstanding) < MOST_OUTSTANDING

    # What is told

    def _next(self, room: int) -> list[bytes]:
        """So many requests, or all that there are."""
        requests = list[bytes]()
        if self._coming is not None:
            requests += islice(self._coming, room)
            if len(requests) == room:
                return requests
            self._coming = None
            self._changed = OrderedDict.fromkeys(self._table.reserved())
        while (self._changed or self._fresh) and len(requests) < room:
            for request, more in self._table.requests(self._take(room - len(requests))):
                requests.append(request)
                self._entries[len(request) == LENGTH6] += more
        return requests

    def _take(self, most: int) -> Iterable[tuple[Place, Options | None]]:
        """So many of the places where something is different, or all that there are."""
        changed = self._changed
        if self._fresh and (changed or len(self._fresh) > most):
            self._put_off({})
        if self._fresh:
            taken, self._fresh = list(self._fresh.items()), {}
        elif len(changed) > most:
            taken = [changed.popitem(last=False) for _ in range(most)]
        else:
            taken = list(changed.items())
            changed.clear()
        return taken if self.takes6 else [each for each in taken if len(each[0][0]) == len(ANY_ADDRESS)]

    def _everything(self) -> Iterator[bytes]:
        """What comes before reservations."""
        first = [Request(Operation.FLUSH, Key(ANY_ADDRESS)), Request(Operation.MOD, Key(ANY_ADDRESS), DEFAULT)]
        if self.takes6:
            first.append(Request(Operation.MOD, Key(ANY_ADDRESS6), DEFAULT))
        services = (request for packed, request in self._table.services() if self.takes6 or not is6(packed))
        return chain(map(encode, first), self._table.pool(), services)

    # What becomes of it

    def _look(self) -> None:
        if self.state is State.SYNCING and self._coming is None and not self.waiting and not self._outstanding:
            self._machine.told()

    def _refused(self, request: Request) -> None:
        self.counts.refused += 1
        if request.key == Key(ANY_ADDRESS6) and request.operation is Operation.MOD:
            self.takes6 = False
        if self.takes6 or not is6(request.key.address):  # else it was sent before that was known
            self._fall_behind(f"it refused {request.operation.name.lower()} {request.key}")

    def _garbled(self, why: str) -> str:
        self.counts.malformed += 1
        return why

    def _fall_behind(self, why: str) -> None:
        if self.state is not State.BEHIND:
            self.error = why
            self._machine.fall_behind()

    def _settle(self, now: float) -> None:
        if self._once_more and now - self.since >= AGAIN:
            self._once_more = False
            self._machine.begin()
        elif now - self.since >= STEADY:
            self._pause = FIRST_PAUSE

    def enter(self, state: State) -> None:
        """It is in another state; what belongs to that is done here. Only the machine calls it."""
        self.state, self.since = state, self._now
        self._changed.clear()
        self._fresh = {}
        if state is State.SYNCING:
            self.counts.resynchronised += 1
            self.takes6 = self._table.takes6
            self._entries = [0, 0]
            self._coming = self._everything()
        elif state is State.BEHIND:
            self._due_at = self._now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        elif state is State.IN_STEP:
            self.error = ""
        else:
            self._send = _nowhere
            self._outstanding = []
            self._entries = [0, 0]


def _nowhere(octets: bytes) -> None:
    """There is no connection."""


def _enter(state: State) -> Callable[[_Inputs, Link], None]:
    def entering(inputs: _Inputs, link: Link) -> None:
        del inputs
        link.enter(state)

    return entering


def _make() -> Callable[[Link], _Inputs]:
    builder = TypeMachineBuilder(_Inputs, Link)
    down, syncing, in_step, behind = [builder.state(each.value) for each in State]
    states = {State.DOWN: down, State.SYNCING: syncing, State.IN_STEP: in_step, State.BEHIND: behind}
    for before, happens, after in (
        (down, _Inputs.connected, State.SYNCING),
        (syncing, _Inputs.told, State.IN_STEP),
        (syncing, _Inputs.fall_behind, State.BEHIND),
        (in_step, _Inputs.fall_behind, State.BEHIND),
        (behind, _Inputs.begin, State.SYNCING),
        (in_step, _Inputs.begin, State.SYNCING),
        (syncing, _Inputs.begin, State.SYNCING),
        (syncing, _Inputs.lost, State.DOWN),
        (in_step, _Inputs.lost, State.DOWN),
        (behind, _Inputs.lost, State.DOWN),
    ):
        before.upon(happens).to(states[after])(_enter(after))
    for happens in (_Inputs.begin, _Inputs.lost):
        down.upon(happens).loop().returns(None)
    return builder.build()


_machine = _make()
