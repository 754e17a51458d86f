"""Views: what is answered on one side of the server, put together from parts; a query in, octets out.

What becomes of a question is decided once (`realmgw.dns.decision`). What is the same for whoever asks, is said at once;
for every other outcome a view has a part, which gives the answer, or sees to it that one comes later. Who has a whole
message, made somewhere else, gives it to the asker himself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

import attrs

from realmgw.allocation.reputation.challenges import Proof
from realmgw.allocation.reputation.requestors import Requestor
from realmgw.config import settings
from realmgw.dns.codec import options
from realmgw.dns.codec.message import Response, encode, limit
from realmgw.dns.codec.options import Options
from realmgw.dns.codec.wire import IN, RA, Query, Rcode, Type
from realmgw.dns.counts import Count, Counts, kind_of
from realmgw.dns.decision import UNDECIDED, Decision, Decisions, Outcome
from realmgw.dns.inside import Inside
from realmgw.dns.mitigation.ratelimit import Verdict
from realmgw.dns.zones import ZoneTable
from realmgw.errors import Reason

_BAD_TYPES = frozenset((Type.OPT, Type.TSIG, Type.NXNAME))  # nobody may ask for these; NXNAME: RFC 9824
_TRANSFERS = frozenset((Type.AXFR, Type.IXFR))


def _stays(hang_up: Callable[[], object]) -> None:
    """By UDP nobody hears of who is gone."""
    del hang_up


def _pass_on() -> NoReturn:
    raise  # noqa: PLE0704 - what is handled at present


@attrs.frozen(eq=False)
class Asker:
    """Who sent a query."""

    address: tuple[Any, ...]
    """Begins with his address as text. Equal for a retransmission of a query, and for nothing else with the same ID."""
    deliver: Callable[[bytes], None]
    """Gets the whole answer, where it comes later; empty if there shall be none. Raises nothing."""
    tcp: bool = False
    """The query came by TCP."""
    fail: Callable[[], None] = _pass_on
    """In place of `deliver`, while an exception is handled that is our fault: there is no answer. Raises nothing."""
    gone: Callable[[Callable[[], object]], None] = _stays
    """Gets what is to be called, later, if he hangs up before he has an answer."""


@attrs.frozen
class Answer:
    """What is to be sent, before it has a form."""

    response: Response | None
    """It; None: nothing is."""
    count: Count
    """What it counts as."""
    whole: bytes = b""
    """A whole message, made somewhere else, in place of a response."""


def said(response: Response) -> Answer:
    """A response that counts as what it says."""
    return Answer(response, kind_of(response))


@attrs.frozen
class Sender:
    """What a query says of who sent it, read once."""

    resolver: str
    """Who he is to groups, aliases and claims: the same of all addresses that are one resolver's."""
    options: Options | None
    """What its EDNS options say; None: they are malformed."""
    proof: Proof
    """What shows that its address is true."""
    cookie: bytes | None = None
    """The data of its COOKIE option, where cookies are given."""


@attrs.define(eq=False)
class Asked:
    """A query on its way to its answer."""

    query: Query
    """The query."""
    asker: Asker
    """Who sent it."""
    sender: Sender
    """What it says of him."""
    now: float
    """The present, in monotonic seconds."""
    finish: Callable[[Asked, Answer], bytes]
    """Counts an answer, and puts it into its form; empty if there shall be none."""
    refused: Reason | None = None
    """The allocator was asked already, and this is what it said."""
    decision: Decision = UNDECIDED
    """What becomes of it."""
    client: Requestor | None = None
    """For whom it is, where that is told by somebody who is believed."""
    has_left: bool = False
    """Who sent it is gone."""

    def leave(self) -> None:
        """Who sent it is gone."""
        self.has_left = True

    @property
    def address(self) -> str:
        """Where it came from."""
        return str(self.asker.address[0])

    def respond(self, make: Callable[[], Answer | None]) -> None:
        """Answers later. Raises nothing, since who calls it may have nothing to do with us.

        Args:
            make: Says what, or None if that is later still; a fault in it is counted, as one in an answer at once is.
        """
        try:
            answer = make()
            octets = None if answer is None else self.finish(self, answer)
        except Exception:  # noqa: BLE001 - it is counted and logged there
            self.asker.fail()
        else:
            if octets is not None:
                self.asker.deliver(octets)


class Senders:
    """What is made of who sends queries: everybody is believed, and given as much as he likes."""

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From the next query on, go by these."""

    def who(self, address: str) -> str:
        """Whose an address (as text) is: `Sender.resolver`."""
        return address

    def read(self, query: Query, asker: Asker, now: float) -> Sender:
        """What a query says of its sender."""
        del now
        return Sender(self.who(asker.address[0]), read_options(query), Proof.TCP if asker.tcp else Proof.NONE)

    def greet(self, asked: Asked) -> Answer:
        """Answers a query that has a COOKIE option in place of a question (RFC 7873 section 5.4)."""
        del asked
        return said(Response(Rcode.FORMERR))

    def replies(self, asked: Asked, count: Count) -> tuple[tuple[int, bytes], ...]:
        """The EDNS options of an answer that counts as that."""
        del asked, count
        return ()

    def judge(self, asked: Asked, count: Count, length: int) -> Verdict:
        """What becomes of an answer of so many octets; counted, if it is not given."""
        del asked, count, length
        return Verdict.PASS


def read_options(query: Query, *, agreed: bool = False) -> Options | None:
    """What the EDNS options of a query say; None if they are malformed. `agreed` is as for `options.read`."""
    if query.edns is None or not query.edns.options:
        return options.NONE
    try:
        return options.read(query.edns.options, agreed=agreed)
    except options.BadOptionError:
        return None


Part = Callable[[Asked], Answer | None]
"""Answers what was decided on, or returns None and does it later: by `Asked.respond`, or `Asker.deliver`."""


class Configured(Protocol):
    """What goes by settings and table."""

    def configure(self, settings: settings.Settings, table: ZoneTable, /) -> None:
        """From the next query on, go by these."""


class Fast(Protocol):
    """The fast path: answers the most usual queries without decoding them."""

    def __call__(
        self, message: bytes, address: tuple[Any, ...], resolver: str = "", /, *, now: float, tcp: bool = False
    ) -> bytes | Reason | None:
        """Answers a query.

        Args:
            message: The query as it came.
            address: As `Asker.address`.
            resolver: Whose the address is (`Senders.who`); empty: nobody's but its own, as all of IPv4 are.
            now: Monotonic seconds.
            tcp: It came by TCP.

        Returns:
            The answer, empty if there shall be none; None if the query is not of a usual kind, and nothing was done;
            or why there is no address.
        """


def nothing_usual(
    message: bytes, address: tuple[Any, ...], resolver: str = "", /, *, now: float, tcp: bool = False
) -> None:
    """No fast path: every query is decoded."""
    del message, address, now, tcp, resolver


@attrs.define(eq=False)
class View:
    """One side of the server, and what it is put together from."""

    decisions: Decisions
    """What is said of our zones."""
    senders: Senders = attrs.field(factory=Senders)
    """What is made of who asks."""
    parts: Mapping[Outcome, Part] = attrs.field(factory=dict)
    """Who answers by which outcome, where that is not the same for whoever asks."""
    counts: Counts = attrs.field(factory=Counts)
    """Its counters."""
    fast: Fast = nothing_usual
    """Its fast path."""
    opcodes: Mapping[int, Part] = attrs.field(factory=dict)
    """Who answers what is no query for records, by opcode."""
    near: View | None = None
    """What those get to see who are inside of a LAN."""
    inside: Inside = attrs.field(factory=Inside)
    """Who that is."""
    configured: tuple[Configured, ...] = ()
    """Those of its parts that go by settings or table, in the order in which they are told."""
    table: ZoneTable = attrs.field(init=False)
    """What there is."""
    _udp_size: int = attrs.field(init=False)
    _recursive: bool = attrs.field(init=False)

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From the next query on, answers are as these settings say, and from this table.

        What waits for an address goes on waiting.
        """
        self.table = table
        self._udp_size = settings.dns.udp_size
        self._recursive = Outcome.ELSEWHERE in self.parts and bool(settings.dns.forward.resolvers)
        for part in self.configured:
            part.configure(settings, table)

    def answer(self, query: Query, asker: Asker, *, now: float, refused: Reason | None = None) -> bytes | None:
        """Answers a query.

        Args:
            query: The query.
            asker: Who sent it.
            now: Monotonic seconds.
            refused: The allocator was asked already, and this is what it said.

        Returns:
            The answer; empty if there shall be none; None if `asker.deliver` will get it.
        """
        side = self if self.near is None else self.side(asker.address[0])
        if side is not self:
            self.counts.events[Count.INSIDE] += 1
            return side.answer(query, asker, now=now)
        asked = self._asked(query, asker, now, refused)
        answer = self.said_of(asked)
        return None if answer is None else self.finish(asked, answer)

    def unnoticed(self, query: Query, asker: Asker, *, now: float) -> bytes:
        """Answers our own question as anybody is answered who asks for the same by UDP, and counts nothing.

        Args:
            query: It is for a record that is the same for everybody.
            asker: Ourselves.
            now: Monotonic seconds.
        """
        sender, kind = Sender(asker.address[0], options.NONE, Proof.NONE), query.type
        decision = self.decisions.decide(query.name, kind, sender.resolver, sender.proof, False, now)
        asked = Asked(query, asker, sender, now, self.finish)
        return self._encode(asked, self.decisions.response(query.name, kind, decision))

    def side(self, address: str) -> View:
        """What an asker, whose address is told as text, gets to see: `near`, if he is inside."""
        return self.near if self.near is not None and self.inside.holds(address) else self

    def _asked(self, query: Query, asker: Asker, now: float, refused: Reason | None = None) -> Asked:
        return Asked(query, asker, self.senders.read(query, asker, now), now, self.finish, refused)

    def said_of(self, asked: Asked) -> Answer | None:
        """What is said of a question, before it is counted and has a form; None if that is later."""
        query, sender = asked.query, asked.sender
        if query.opcode:
            other = self.opcodes.get(query.opcode)
            return other(asked) if other is not None else said(Response(Rcode.NOTIMP))
        rcode = _precluded(query, sender)
        if rcode is not None:
            return said(Response(rcode))
        if not query.question:
            return self.senders.greet(asked)
        name, kind = query.name, query.type
        has_cookie = sender.cookie is not None
        asked.decision = self.decisions.decide(name, kind, sender.resolver, sender.proof, has_cookie, asked.now)
        part = self.parts.get(asked.decision[0])
        return part(asked) if part is not None else said(self.decisions.response(name, kind, asked.decision))

    def error(self, query: Query, rcode: Rcode, asker: Asker, *, now: float) -> bytes:
        """An answer that says only that there is none, and why; empty if there shall be none."""
        side = self.side(asker.address[0])
        if side is not self:
            return side.error(query, rcode, asker, now=now)
        return self.finish(self._asked(query, asker, now), said(Response(rcode)))

    def finish(self, asked: Asked, answer: Answer) -> bytes:
        """Puts an answer into its form, and counts what becomes of it; empty if there shall be none."""
        count, octets = answer.count, answer.whole
        self.counts.asked(asked.query.type)
        response = answer.response
        if response is not None:
            replies = self.senders.replies(asked, count)
            octets = self._encode(asked, attrs.evolve(response, options=response.options + replies))
            verdict = self.senders.judge(asked, count, len(octets))
            if verdict is Verdict.DROP:  # which is counted there, as the next one is
                return b""
            if verdict is Verdict.SLIP:
                return self._encode(asked, Response(truncated=True, options=replies))
        self.counts.events[count] += 1
        return octets

    def _encode(self, asked: Asked, response: Response) -> bytes:
        size = self._udp_size
        octets = encode(asked.query, response, limit(asked.query, asked.asker.tcp, size), size)
        return octets[:3] + bytes((octets[3] | RA,)) + octets[4:] if self._recursive else octets


def _precluded(query: Query, sender: Sender) -> Rcode | None:
    """What stands against answering a query before its name is looked at."""
    if query.edns is not None and query.edns.version:
        return Rcode.BADVERS
    if query.tsig is not None:  # we know no keys (RFC 8945 section 5.2.1)
        return Rcode.NOTAUTH
    if query.type in _BAD_TYPES or sender.options is None:
        return Rcode.FORMERR
    return Rcode.REFUSED if query.question and (query.cls != IN or query.type in _TRANSFERS) else None
