"""The forwarder: answers from what is kept, or has resolvers asked; one question for all who want to know the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from realmgw.config import settings
from realmgw.dns.codec import names
from realmgw.dns.codec.message import EDE, ExtendedError, InfoCode, Response, limit
from realmgw.dns.codec.options import CLIENT_SUBNET
from realmgw.dns.codec.wire import CD, IN, QUESTION, RD, Query, Rcode, Type
from realmgw.dns.counts import Count
from realmgw.dns.forward.answers import ANSWERS, BadAnswerError, Reply
from realmgw.dns.forward.asking import Asking, Means, Question
from realmgw.dns.forward.cache import Cache, Packed, form, pack
from realmgw.dns.forward.dns64 import WELL_KNOWN, Dns64
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.inward import end_of, led_in, way_in
from realmgw.dns.forward.special import Special
from realmgw.dns.view import Answer, Asked, Part, said
from realmgw.dns.zones import ZoneTable

FAILURE_LIFE = 1.0  # seconds
"""For so long it is remembered that no resolver had an answer (RFC 9520 section 3.2)."""
MOST_FAILURES = 10_000
"""Of so many questions."""
_NAMES = tuple(each.name.lower() for each in Event)
NEAR_END = 0.1
"""When so small a part of its life is left, an answer that was asked for repeatedly is asked for again."""
MOST_ASKERS = 1000
"""So many may wait for one question."""

_STRIPPED = ExtendedError(InfoCode.BLOCKED, "a private address of a public name")
_FORWARDED = Count.FORWARDED


@attrs.define(eq=False)
class _Pending:
    """A question under way, and who wants to know."""

    question: Question
    """It."""
    asking: Asking | None = None
    """How far it has come."""
    askers: dict[object, Asked] = attrs.field(factory=dict)
    """By address and ID, so that a retransmission is none of its own."""


class Forwarder:
    """Answers questions about other people's names.

    Args:
        means: What resolvers are asked with.

    Attributes:
        ours: Answers questions for names of ours, at once, where aliases of internal names lead to them; None: nobody
            does here.
        careful: Answers questions for internal names in place of this, which does not know ours; None: this does.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._events = means.events
        self._pending: dict[bytes, _Pending] = {}
        self._failures: dict[bytes, tuple[float, Response]] = {}
        self._waiting: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._second = 0
        self._rules: settings.Forwarding | None = None
        self._decisive: tuple[object, ...] = ()
        self._udp_size = 0
        self.cache = Cache(0)
        self.ours: Part | None = None
        self.careful: Part | None = None
        self.changed: list[Callable[[], None]] = []
        """Is called when what was said may no longer be."""

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From the next query on, go by these. What is kept stays, unless other resolvers, names or zones decide."""
        rules = settings.dns.forward
        self._zones = table.zones
        own = settings.pools.networks
        decisive = _decisive(rules, table)
        is_other, self._decisive = decisive != self._decisive, decisive
        self._rules, self._udp_size = rules, settings.dns.udp_size
        self._special = Special(rules.internal, own, rules.dns64.prefix, table.zones.by_apex)
        self._dns64 = Dns64(rules.dns64)
        times = rules.timeouts
        own_times = {Type.A: times.a, Type.AAAA: times.aaaa, Type.SRV: times.srv, Type.NAPTR: times.naptr}
        self._schedules = {int(kind): schedule for kind, schedule in own_times.items() if schedule is not None}
        self._means.upstreams.configure(rules.resolvers)
        self._addresses = {str(each.endpoint.address) for each in rules.resolvers}
        self.cache.most = rules.cache
        self.cache.trim()
        self._failures.clear()
        if is_other:
            self.cache.clear()
            self._ask_again(rules)
        for function in self.changed:
            function()

    def _ask_again(self, rules: settings.Forwarding) -> None:
        """Asks those who are asked now what others were asked before: what these say is not to be kept."""
        for key, pending in list(self._pending.items()):
            if pending.asking is not None:
                pending.asking.stop()
            if rules.resolvers:
                self._begin(key, pending)
            else:
                self._finish(key, None, "")

    def stop(self) -> None:
        """Ends all questions; who waits gets no answer."""
        pending, self._pending = self._pending, {}
        for each in pending.values():
            if each.asking is not None:
                each.asking.stop()

    def forward(self, asked: Asked) -> Answer | None:
        """Answers a question that lies in no zone of ours (a `view.Part`)."""
        question = self.question(asked.query)
        found = self.kept(asked, question)
        return self.seek(asked, question) if found is None else Answer(None, _FORWARDED, found[0])

    def seek(self, asked: Asked, question: Question) -> Answer | None:
        """The same, where it is not kept."""
        query, rules = asked.query, self._rules
        if rules is None or not rules.resolvers:
            return said(Response(Rcode.REFUSED))
        special = self._kept_home(question)
        if special is not None:
            self._events[Event.SPECIAL] += 1
            return said(special)
        if not query.flags & RD:
            return said(Response(Rcode.REFUSED, error=ExtendedError(InfoCode.PROHIBITED, "recursion was not desired")))
        if self.careful is not None and self._special.is_internal(query.name):
            return self.careful(asked)
        return self._join(asked, question, rules)

    def explain(self, name: bytes, kind: int) -> str:
        """What becomes of a question that is to be answered, in words; nothing is asked, and nothing counted."""
        question = Question(name + QUESTION.pack(kind, IN), do=False, cd=False)
        return (
            "resolvers are asked" if self._kept_home(question) is None else "resolvers are never asked for such names"
        )

    def _kept_home(self, question: Question) -> Response | None:
        """What is said of names that resolvers are not asked for."""
        name, kind = question.octets[:-4], int.from_bytes(question.octets[-4:-2], "big")
        if self._dns64.prefix is None:
            return self._special.answer(name, kind)
        instead = self._dns64.instead(question)
        if instead is not None:
            private = self._special.answer(instead.octets[:-4], Type.PTR)
            return None if private is None else Response(Rcode.NXDOMAIN)
        return self._dns64.answer(name, kind) or self._special.answer(name, kind)

    def kept(self, asked: Asked, question: Question) -> tuple[bytes, float] | None:
        """The answer to a query from what is kept, and until when the same octets are right; None if it is not."""
        now, key = asked.now, question.key
        entry = self.cache.get(key)
        if entry is None or now >= entry.until:
            return None
        self._events[Event.HITS] += 1
        entry.uses += 1
        age = int(now - entry.since)
        if entry.uses > 1 and entry.until - now < NEAR_END * entry.packed.life and self._may_prefetch(key, now):
            self._events[Event.PREFETCHED] += 1
            self._begin(key, _Pending(question))
        until = min(entry.until, entry.since + age + 1) if entry.packed.way is None else now
        return self._form(entry.packed, asked, age), until

    @property
    def outstanding(self) -> int:
        """How many questions are under way."""
        return len(self._pending)

    def counts(self) -> dict[str, object]:
        """What was counted, and what there is."""
        return {
            **dict(zip(_NAMES, self._events, strict=True)),
            "outstanding": self.outstanding, "kept": len(self.cache), "octets": self.cache.octets,
        }  # fmt: skip

    def _form(self, packed: Packed, asked: Asked, age: int, options: tuple[tuple[int, bytes], ...] = ()) -> bytes:
        size, query = self._udp_size, asked.query
        if packed.way is not None:
            packed, age = self._led_in(packed.way, asked, age), 0
        return form(packed, query, (*packed.options, *options), age, limit(query, asked.asker.tcp, size), size)

    def _led_in(self, way: Reply, asked: Asked, age: int) -> Packed:
        """An answer that ends with what there is of a name of ours at this moment."""
        query, name = asked.query, end_of(way)
        inner = attrs.evolve(query, name=name, question=name + query.question[-4:])
        answer = self.ours(attrs.evolve(asked, query=inner)) if self.ours is not None else None
        assert answer is not None
        assert answer.response is not None
        return led_in(query.name + query.question[-4:], way, answer.response, age)

    def _way_in(self, question: Question, reply: Reply | None) -> Reply | None:
        """The aliases of an internal name that lead to one of ours; None: there are none."""
        if self.ours is None or reply is None or not self._special.is_internal(question.octets[:-4]):
            return None
        return way_in(question.octets, reply, lambda name: self._zones.of(name) is not None)

    def question(self, query: Query) -> Question:
        """What resolvers are asked for a query."""
        options: tuple[tuple[int, bytes], ...] = ()
        if self._rules is not None and self._rules.client_subnet and query.edns is not None:
            options = tuple([each for each in query.edns.options if each[0] == CLIENT_SUBNET])[:1]
        do = query.edns is not None and query.edns.do
        return Question(query.name + query.question[-4:], do, bool(query.flags & CD), options)

    def _join(self, asked: Asked, question: Question, rules: settings.Forwarding) -> Answer | None:
        """Has a question asked, or waits for one that is."""
        key, client, tag = question.key, asked.address, (asked.asker.address, asked.query.id)
        pending = self._pending.get(key)
        if pending is not None and tag in pending.askers:  # a retransmission
            pending.askers[tag] = asked
            return None
        failure = self._failures.get(key)
        if failure is not None and asked.now < failure[0]:
            return self._stale(asked, key, rules) or said(failure[1])
        if pending is not None and client in self._addresses:
            self._events[Event.LOOPED] += 1
            return _failure(InfoCode.OTHER, "this question came from here")
        refused = self._refused(pending, client, asked.now, rules)
        if refused is not None:
            return self._stale(asked, key, rules) or refused
        self._waiting[client] = self._waiting.get(client, 0) + 1
        if pending is None:
            pending = _Pending(question)
            pending.askers[tag] = asked
            self._begin(key, pending)
        else:
            self._events[Event.JOINED] += 1
            pending.askers[tag] = asked
        return None

    def _refused(self, pending: _Pending | None, client: str, now: float, rules: settings.Forwarding) -> Answer | None:
        """Refuses a query of a host that asks too much, and one too many."""
        if int(now) != self._second:
            self._second = int(now)
            self._spent.clear()
        spent = self._spent.get(client, 0)
        if spent >= rules.rate_per_client or self._waiting.get(client, 0) >= rules.outstanding_per_client:
            self._events[Event.LIMITED] += 1
            return said(Response(Rcode.REFUSED, error=ExtendedError(InfoCode.PROHIBITED, "too many questions")))
        self._spent[client] = spent + 1
        if len(self._pending) >= rules.outstanding if pending is None else len(pending.askers) >= MOST_ASKERS:
            self._events[Event.FULL] += 1
            return _failure(InfoCode.OTHER, "too many questions wait for resolvers")
        return None

    def _may_prefetch(self, key: bytes, now: float) -> bool:
        if self._failures.get(key, (0.0,))[0] > now:
            return False
        rules = self._rules
        return (
            rules is not None
            and rules.prefetch
            and key not in self._pending
            and (len(self._pending) < rules.outstanding // 2)
        )

    def _begin(self, key: bytes, pending: _Pending) -> None:
        self._events[Event.QUESTIONS] += 1
        self._pending[key] = pending
        question = pending.question
        if self._dns64.prefix is not None:
            question = self._dns64.instead(question) or question
        self._ask(pending, question, partial(self._done, key))

    def _ask(self, pending: _Pending, question: Question, done: Callable[[Reply | None, str], None]) -> None:
        assert self._rules is not None
        kind = int.from_bytes(question.octets[-4:-2], "big")
        schedule = self._schedules.get(kind, self._rules.timeouts.default)
        pending.asking = Asking(question, schedule, self._means, done)
        pending.asking.begin()

    def _done(self, key: bytes, reply: Reply | None, why: str) -> None:
        """Goes on, where the answer is to be made of another one."""
        pending = self._pending[key]
        question = pending.question
        if self._dns64.prefix is None or self._way_in(question, reply) is not None:
            self._finish(key, reply, why)
            return
        instead = self._dns64.instead(question)
        if reply is not None and instead is not None and reply.rcode in ANSWERS:
            reply = self._dns64.pointer(question, instead, reply)
        four = self._dns64.lacks(question, reply)
        first = None if reply is None else self._dns64.without(question, reply)
        if four is None:
            self._finish(key, first, why)
        else:
            self._ask(pending, four, lambda second, then: self._make(key, first, second, then or why))

    def _make(self, key: bytes, first: Reply | None, second: Reply | None, why: str) -> None:
        """Makes the answer for AAAA of the one for A; a failure there is one of both (RFC 6147 section 5.1.6)."""
        if second is None or second.rcode not in ANSWERS:
            self._finish(key, second, why)
            return
        name = self._pending[key].question.octets[:-4]
        who = names.ROOT if self._dns64.prefix == WELL_KNOWN else name  # RFC 6052 section 3.1
        made = self._dns64.made(first, attrs.evolve(second, answers=self._special.strip(who, second.answers)))
        if made is not None:
            self._events[Event.MADE] += 1
        self._finish(key, made or first, why, made=made is not None)

    def _finish(self, key: bytes, reply: Reply | None, why: str, *, made: bool = False) -> None:
        """Tells all who wait."""
        pending = self._pending.pop(key)
        now = self._means.present()
        packed, failure = self._packed(pending.question, reply, why, made=made)
        if packed is not None:
            self.cache.put(key, packed, now)
            self._failures.pop(key, None)
        elif failure is not None:
            if len(self._failures) >= MOST_FAILURES:
                self._failures.clear()
            self._failures[key] = now + FAILURE_LIFE, failure
        for asked in pending.askers.values():
            client = asked.address
            left = self._waiting[client] - 1
            if left:
                self._waiting[client] = left
            else:
                del self._waiting[client]
            asked.respond(lambda asked=asked: self._answer(asked, key, packed, failure))  # type: ignore[misc]  # bound

    def _answer(self, asked: Asked, key: bytes, packed: Packed | None, failure: Response | None) -> Answer:
        if packed is not None:
            return Answer(None, _FORWARDED, self._form(packed, asked, 0))
        assert failure is not None
        assert self._rules is not None
        return self._stale(asked, key, self._rules) or said(failure)

    def _stale(self, asked: Asked, key: bytes, rules: settings.Forwarding) -> Answer | None:
        """What has outlived its TTL, where no resolver has something newer."""
        entry = self.cache.get(key) if rules.stale else None
        if entry is None or self._means.present() - entry.until >= rules.stale:
            return None
        self._events[Event.STALE] += 1
        options = ((EDE, InfoCode.STALE.to_bytes(2, "big")),)
        return Answer(None, _FORWARDED, self._form(entry.packed, asked, -1, options))

    def _packed(
        self, question: Question, reply: Reply | None, why: str, *, made: bool
    ) -> tuple[Packed | None, Response | None]:
        """What is said to those who wait: an answer, or a failure."""
        if reply is None or reply.rcode not in ANSWERS:
            self._events[Event.FAILED] += 1
            return None, _failed(reply, why)
        way = None if made else self._way_in(question, reply)
        if way is not None:
            return attrs.evolve(pack(question.octets, way), way=way), None
        kept = reply.answers if made else self._special.strip(question.octets[:-4], reply.answers)
        stripped = len(kept) != len(reply.answers)
        try:
            packed = pack(question.octets, attrs.evolve(reply, answers=kept) if stripped else reply)
        except BadAnswerError as error:
            self._events[Event.MALFORMED] += 1
            return None, _failed(None, str(error))
        if stripped:
            self._events[Event.STRIPPED] += 1
            blocked = _STRIPPED.code.to_bytes(2, "big") + _STRIPPED.text.encode()
            packed = attrs.evolve(packed, options=(*packed.options, (EDE, blocked)), authentic=False)
        return packed, None


def _decisive(rules: settings.Forwarding, table: ZoneTable) -> tuple[object, ...]:
    """What is kept is no longer right when these are others; zones, where aliases may lead into them."""
    return rules.resolvers, rules.internal, rules.dns64, frozenset(table.zones.by_apex if rules.internal else ())


def _failed(reply: Reply | None, why: str) -> Response:
    """Refused is passed on as it is; all else is a failure, with the resolver's own reasons, or what it said."""
    if reply is not None:
        rcode = Rcode.REFUSED if reply.rcode == Rcode.REFUSED else Rcode.SERVFAIL
        if reply.errors or rcode == Rcode.REFUSED:
            return Response(rcode, options=tuple((EDE, data) for data in reply.errors))
        return Response(rcode, error=ExtendedError(InfoCode.OTHER, why))
    return Response(Rcode.SERVFAIL, error=ExtendedError(InfoCode.NETWORK_ERROR, why or "no resolver answers"))


def _failure(code: InfoCode, text: str) -> Answer:
    return said(Response(Rcode.SERVFAIL, error=ExtendedError(code, text)))
