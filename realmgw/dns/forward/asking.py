"""One question on its way: put to one resolver after the other, until there is an answer or no more time.

What comes is believed only if it has the ID and the question of what was sent, to the letter: each time it is put,
chance makes both anew (RFC 5452), and the transport a port. What is something else is counted and waited on, and the
resolver is asked by TCP the next time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Protocol

import attrs

from realmgw.config.settings import Resolver
from realmgw.dns.codec.wire import AD, CD, COOKIE, DO, HEADER, RD, Rcode, Type
from realmgw.dns.forward.answers import ANSWERS, BadAnswerError, BadContentError, Reply, is_answer, is_bare_error, read
from realmgw.dns.forward.chance import mixed
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.upstreams import Upstream, Upstreams

UDP_SIZE = 1232  # octets
"""The longest answer that we take by UDP (RFC 9715)."""
STREAM_TIME = 2.0  # seconds
"""For so long beyond its schedule a question waits for an answer by TCP or TLS, where a connection has to be made."""
MOST_WRONG = 16
"""After so many datagrams that are no answer, a resolver is asked by TCP at once."""
PADDED = 128  # octets
"""What is asked by TLS is as long as a multiple of this (RFC 8467)."""
PADDING = 12
"""Option code of padding (RFC 7830)."""

_OPT = struct.Struct("!BHHIH")  # root, TYPE, size, extended RCODE, version and flags, RDLENGTH
_OPTION = struct.Struct("!HH")
_FLAGS = ((b"\0", b"\1"), (b"\2", b"\3"))
"""What tells questions with DO, and CD, from others in their keys."""
_BARE_HEADS, _HEADS = ([HEADER.pack(0, RD | AD | cd, 1, 0, 0, opt)[2:] for cd in (0, CD)] for opt in (0, 1))
"""Headers of queries, behind the ID, by CD: without an OPT record and with one."""

Cancel = Callable[[], object]
Heard = Callable[[bytes], bool]
"""Gets a message; tells whether it is the answer."""
Later = Callable[[float, Callable[[], object]], Cancel]
"""Calls a function after so many seconds, unless what it returns was called before."""


class Transport(Protocol):
    """How messages get to a resolver, and back.

    Each way takes a resolver, a message, a function that gets each message that comes, and one that is told why there
    will be none, and returns a function after which neither is called. Neither is called before that is returned, nor
    after the first one has said that this was the answer.

    Raises:
        OSError: It can not be sent.
    """

    def by_datagram(self, resolver: Resolver, message: bytes, heard: Heard, failed: Callable[[str], None], /) -> Cancel:
        """From a socket on which nothing else is waited for, connected to the resolver, and a port by chance."""

    def by_stream(self, resolver: Resolver, message: bytes, heard: Heard, failed: Callable[[str], None], /) -> Cancel:
        """By TLS where the resolver has a name, else by TCP."""


@attrs.frozen(eq=False)
class Means:
    """What questions are put with."""

    upstreams: Upstreams
    """The resolvers."""
    transport: Transport
    """How they are reached."""
    later: Later
    """The clock."""
    present: Callable[[], float]
    """What it says, in monotonic seconds."""
    chance: Callable[[int], bytes]
    """Gives so many unguessable octets."""
    events: list[int]
    """Counters, by `Event`."""


@attrs.frozen
class Question:
    """What resolvers are asked."""

    octets: bytes
    """Name in lower case, type and class."""
    do: bool
    """DO: with signatures."""
    cd: bool
    """CD: unchecked."""
    options: tuple[tuple[int, bytes], ...] = ()
    """EDNS options, code and data."""
    key: bytes = attrs.field(init=False, eq=False, repr=False)
    """All of it, in octets: equal of equal ones."""

    @key.default
    def _all_of_it(self) -> bytes:
        key = self.octets + _FLAGS[self.do][self.cd]
        return key + b"".join([data for _, data in self.options]) if self.options else key


@attrs.define(eq=False)
class _Try:
    """One time that a question is put."""

    upstream: Upstream
    """To whom."""
    message: bytes
    """What was sent."""
    question: bytes
    """The question in it."""
    begun: float
    """When, in monotonic seconds."""
    by_stream: bool
    """By TCP or TLS."""
    cancel: Cancel
    """After this nothing is heard of it."""
    wrong: int = 0
    """How many messages came that are no answer to it."""
    refusal: str = ""
    """What it said instead of an answer, if it is not to be expected that others do so as well."""
    over: bool = False
    """Nobody waits for it any more."""

    def end(self) -> None:
        """Waits for it no more, and leaves nothing behind for the garbage collector: `cancel` knows this."""
        cancel, self.over, self.cancel = self.cancel, True, nothing
        cancel()


class Asking:
    """A question under way.

    Args:
        question: It.
        schedule: How long each resolver has, in seconds, before the next one is asked.
        means: What it is put with.
        done: Gets what was said, or None, and why there is nothing of use.
    """

    def __init__(
        self,
        question: Question,
        schedule: tuple[float, ...],
        means: Means,
        done: Callable[[Reply | None, str], object],
    ) -> None:
        self._question, self._schedule, self._means, self._done = question, schedule, means, done
        self._order = means.upstreams.order(means.present())
        self._tries: list[_Try] = []
        self._timer: Cancel = nothing

    # Of most questions these stay as they are.
    _put_times = 0
    _by_stream: frozenset[Upstream] = frozenset()
    _plain: frozenset[Upstream] = frozenset()
    _is_graced = _is_over = False
    _said: Reply | None = None
    _why = ""

    def begin(self) -> None:
        """Puts it to the first resolver; `done` is called later, and only once."""
        self._next()

    def stop(self) -> None:
        """Ends it without an answer; `done` is not called."""
        self._is_over = True
        self._timer()
        for each in self._tries:
            if not each.over:
                each.end()

    def _next(self) -> None:
        """Asks the next one: for each step of the schedule one, and whoever was not asked yet."""
        if self._put_times >= max(len(self._schedule), len(self._order)):
            self._exhausted(any(not each.over for each in self._tries))
            return
        upstream = self._order[self._put_times % len(self._order)]
        self._timer = self._means.later(self._schedule[min(self._put_times, len(self._schedule) - 1)], self._waited)
        self._put_times += 1
        by_stream = upstream.resolver.name is not None or upstream in self._by_stream
        if not (
            by_stream and any(each.upstream is upstream and each.by_stream and not each.over for each in self._tries)
        ):
            self._put(upstream, by_stream)

    def _waited(self) -> None:
        self._timer = nothing
        last = self._tries[-1]
        if not last.over and not last.by_stream:
            self._means.events[Event.LATE] += 1
            self._blame(last, "no answer in time")
        if self._put_times >= len(self._schedule):
            self._exhausted(any(each.by_stream and not each.over for each in self._tries))
        else:
            self._next()

    def _exhausted(self, hopeful: bool) -> None:
        """No resolver is asked any more; those that were may still answer."""
        if hopeful and not self._is_graced:
            self._is_graced = True
            by_stream = any(each.by_stream and not each.over for each in self._tries)
            self._timer = self._means.later(STREAM_TIME if by_stream else self._schedule[-1], self._ended)
        elif not hopeful:
            self._end(self._said)

    def _ended(self) -> None:
        for each in self._tries:
            if not each.over and each.by_stream:
                self._blame(each, "no answer in time")
        self._end(self._said)

    def _blame(self, one: _Try, why: str) -> None:
        self._why = f"{one.upstream.resolver.text}: {why}"
        self._means.upstreams.failed(one.upstream, why, self._means.present())

    def _put(self, upstream: Upstream, by_stream: bool) -> None:
        means = self._means
        octets = self._question.octets
        question = octets if by_stream else mixed(octets, means.chance)  # a connection proves whose the answer is
        message = self._message(question, upstream)
        one = _Try(upstream, message, question, means.present(), by_stream, nothing)
        self._tries.append(one)
        means.events[Event.STREAMED if by_stream else Event.DATAGRAMS] += 1
        send = means.transport.by_stream if by_stream else means.transport.by_datagram
        try:
            one.cancel = send(upstream.resolver, message, partial(self._heard, one), partial(self._failed, one))
        except OSError as error:
            one.cancel = means.later(0.0, partial(self._failed, one, error.strerror or str(error)))

    def _message(self, question: bytes, upstream: Upstream) -> bytes:
        asked, number = self._question, self._means.chance(2)
        if upstream in self._plain:
            return number + _BARE_HEADS[asked.cd] + question
        opt = None if asked.options else upstream.opts.get(asked.do)
        return number + _HEADS[asked.cd] + question + (opt or self._opt(question, upstream))

    def _opt(self, question: bytes, upstream: Upstream) -> bytes:
        """The OPT record of a query; the next one has the same, unless there is something else to be said in it."""
        asked, has_name = self._question, upstream.resolver.name is not None
        options = b"".join(_option(code, data) for code, data in asked.options)
        if has_name:
            length = HEADER.size + len(question) + _OPT.size + len(options) + _OPTION.size
            options += _option(PADDING, bytes(-length % PADDED))
        else:
            options += _option(COOKIE, upstream.cookie)
        opt = _OPT.pack(0, Type.OPT, UDP_SIZE, DO if asked.do else 0, len(options)) + options
        if not has_name and not asked.options:
            upstream.opts[asked.do] = opt
        return opt

    def _failed(self, one: _Try, why: str) -> None:
        """There will be no answer to this."""
        if self._is_over or one.over:
            return
        self._blame(one, why)
        self._leave(one)

    def _leave(self, one: _Try) -> None:
        """Asks the next one, unless another one is being waited for already."""
        one.end()
        if one is self._tries[-1] and not self._is_graced:
            self._timer()
            self._next()
        elif self._put_times >= len(self._schedule) and all(each.over for each in self._tries):
            self._end(self._said)

    def _heard(self, one: _Try, message: bytes) -> bool:
        """Takes what comes; whether it is the answer, after which nothing is waited for there."""
        if self._is_over or one.over:
            return False
        if not is_answer(message, one.message, one.question):
            if one.by_stream and is_bare_error(message, one.message) and one.upstream not in self._plain:
                self._weigh(one, Reply(Rcode.FORMERR))
            else:
                self._wrong(one)
            return False
        try:
            reply = read(message, one.question)
        except BadContentError as error:
            self._means.events[Event.MALFORMED] += 1
            self._denied(one, Reply(Rcode.SERVFAIL), f"an answer of no use: {error}")
            return False
        except BadAnswerError as error:
            self._means.events[Event.MALFORMED] += 1
            self._failed(one, f"a malformed answer: {error}")
            return False
        upstream = one.upstream
        if reply.cookie is not None or upstream.server_cookie:
            if not one.by_stream and not upstream.expects(reply.cookie):
                self._wrong(one)
                return False
            upstream.learn(reply.cookie)
        if reply.rcode in ANSWERS and not reply.truncated:
            one.over, one.cancel = True, nothing
            self._means.upstreams.answered(upstream, self._means.present() - one.begun)
            if self._said is not None:
                self._compare()
            self._end(reply)
            return True
        self._weigh(one, reply)
        return False

    def _weigh(self, one: _Try, reply: Reply) -> None:
        """What else a resolver may say than what is asked for."""
        means, upstream = self._means, one.upstream
        if reply.truncated or reply.rcode == Rcode.BADCOOKIE:
            means.events[Event.TRUNCATED] += 1
            if one.by_stream:
                self._failed(one, "TC by TCP")
            else:
                self._again(one, by_stream=True)
        elif reply.rcode in (Rcode.FORMERR, Rcode.NOTIMP) and upstream not in self._plain:
            self._plain |= {upstream}
            self._again(one, by_stream=one.by_stream)
        else:
            means.events[Event.REFUSED_BY] += 1
            why = f"it says {_called(reply.rcode)}"
            one.refusal = "" if reply.rcode == Rcode.SERVFAIL else why  # which says that there is a fault somewhere
            self._denied(one, reply, why)

    def _denied(self, one: _Try, reply: Reply, why: str) -> None:
        """This one has no answer, which may be the name's fault; asks the next one."""
        self._said, self._why = reply, f"{one.upstream.resolver.text}: {why}"
        now = self._means.present()
        self._means.upstreams.denied(one.upstream, why, now - one.begun, now)
        self._leave(one)

    def _compare(self) -> None:
        """Somebody has an answer: that others refuse to give one is their own fault, and not the name's."""
        for each in self._tries:
            if each.refusal:
                self._means.upstreams.failed(each.upstream, each.refusal, self._means.present())

    def _again(self, one: _Try, *, by_stream: bool) -> None:
        """Asks the same one at once; it has the time that is left, and by TCP some more."""
        one.end()
        if by_stream:
            self._by_stream |= {one.upstream}
        self._put(one.upstream, by_stream)

    def _wrong(self, one: _Try) -> None:
        self._means.events[Event.WRONG] += 1
        self._by_stream |= {one.upstream}
        one.wrong += 1
        if one.by_stream:
            self._failed(one, "an answer to another question")
        elif one.wrong == MOST_WRONG:
            self._again(one, by_stream=True)

    def _end(self, reply: Reply | None) -> None:
        if not self._is_over:
            self.stop()
            self._done(reply, self._why)


def _called(rcode: int) -> str:
    """What a response code is called."""
    return Rcode(rcode).name if rcode in set(Rcode) else f"RCODE {rcode}"


def _option(code: int, data: bytes) -> bytes:
    return _OPTION.pack(code, len(data)) + data


def nothing() -> None:
    """Ends what has not begun."""
