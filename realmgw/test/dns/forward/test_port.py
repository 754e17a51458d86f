"""Tests for `realmgw.dns.forward.port`: real sockets on the loopback interface, and a clock that is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.addresses import resolver
from realmgw.dns.forward.asking import Cancel
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.port import FEWEST, LIFE, MOST, USES, SocketMeans, Sockets
from realmgw.dns.forward.stream import Streams


class Readers(Clock):
    """A reactor, as far as it has to know who reads.

    Attributes:
        readers: Who does.
        added: Who did ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []
        self.added: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """One more."""
        self.readers.append(reader)
        self.added.append(reader)

    def removeReader(self, reader: Any) -> None:
        """One less."""
        self.readers.remove(reader)


class SocketsTestCase(SynchronousTestCase):
    """A resolver that does nothing by itself."""

    def setUp(self) -> None:
        """It is there."""
        self.reactor, self.events = Readers(), [0] * len(Event)
        self.server = socket.socket(type=socket.SOCK_DGRAM)
        self.server.bind(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.resolver = resolver(f"127.0.0.1:{self.server.getsockname()[1]}")
        means = SocketMeans(self.later, self.reactor.seconds, os.urandom, self.events)
        self.sockets = Sockets(self.reactor, Streams(self.reactor), means)
        self.addCleanup(self.end)
        self.heard: list[bytes] = []
        self.failed: list[str] = []

    def end(self) -> None:
        """Nobody reads any more, and no timer runs."""
        for each in list(self.reactor.readers):
            each.close()
        self.sockets.close()
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ([], []))

    def later(self, seconds: float, function: Callable[[], object]) -> Cancel:
        """The clock's."""
        call = self.reactor.callLater(seconds, function)
        return lambda: call.cancel() if call.active() else None

    def ask(self) -> tuple[Any, Cancel]:
        """Sends a query: from which address it came, and what ends it. `yes` is its answer."""

        def hear(message: bytes) -> bool:
            self.heard.append(message)
            return message == b"yes"

        cancel = self.sockets.by_datagram(self.resolver, b"query", hear, self.failed.append)
        return self.server.recvfrom(100)[1], cancel

    def say(self, source: Any, *messages: bytes) -> None:
        """Sends messages, and has them read."""
        for message in messages:
            self.server.sendto(message, source)
        self.read()

    def read(self) -> None:
        """Has all that came read."""
        for each in list(self.reactor.readers):
            if each in self.reactor.readers:
                each.doRead()

    def answered(self, count: int) -> list[Any]:
        """As many queries, under way at the same time, and answered then: where they came from."""
        sources = [self.ask()[0] for _ in range(count)]
        for source in sources:
            self.server.sendto(b"yes", source)
        self.read()
        return sources


class UseTests(SocketsTestCase):
    """Which socket a query goes by."""

    def test_those_under_way_have_one_each(self) -> None:
        """However many there are."""
        sources = {self.ask()[0] for _ in range(200)}
        self.assertEqual((len(sources), len(self.reactor.readers)), (200, 200))

    def test_with_few_each_query_has_a_new_one(self) -> None:
        """One after the other, all of them are answered."""
        sources = [self.answered(1)[0] for _ in range(FEWEST)]
        self.assertEqual((len(set(sources)), self.events[Event.SOCKETS]), (FEWEST, FEWEST))

    def test_with_many_it_is_chance(self) -> None:
        """Sockets that brought an answer have others; nearly never is it the one that was used just before."""
        sources = self.answered(FEWEST + 16)
        repeated = 0
        for number in range(100):
            last = sources[-1]
            sources += self.answered(1)
            repeated += sources[-1] == last
            self.assertGreaterEqual(self.events[Event.SOCKETS], FEWEST + number // USES)
        self.assertLess(self.events[Event.SOCKETS], 60)
        self.assertLess(repeated, 40)

    def test_each_has_a_few_queries_only(self) -> None:
        """Then it is closed."""
        for _ in range(1000):
            self.answered(1)
        # Not by port: one that was let go may come again.
        uses = [each.uses for each in self.reactor.added]
        self.assertEqual((max(uses), sum(uses), len(uses)), (USES, 1000, self.events[Event.SOCKETS]))

    def test_only_so_many_are_kept(self) -> None:
        """The others are closed."""
        self.answered(MOST + 10)
        self.assertEqual(len(self.reactor.readers), MOST)

    def test_none_grows_old(self) -> None:
        """After a second or two all are closed that nobody used."""
        self.answered(FEWEST)
        self.reactor.advance(LIFE / 2)
        self.answered(3)
        self.reactor.advance(LIFE / 2)
        self.assertLessEqual(len(self.reactor.readers), 3)
        self.reactor.advance(LIFE)
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls()), ([], []))

    def test_an_old_one_is_not_given_back(self) -> None:
        """Its answer came late."""
        source, _ = self.ask()
        self.reactor.advance(LIFE)
        self.say(source, b"yes")
        self.assertEqual((self.heard, self.reactor.readers), ([b"yes"], []))


class TroubleTests(SocketsTestCase):
    """What else may come."""

    def test_what_was_not_the_answer_ends_it(self) -> None:
        """Others are waited on, and when the answer has come, the socket is closed: somebody knows its port."""
        source, _ = self.ask()
        self.say(source, b"no", b"no", b"yes", b"no")
        self.assertEqual((self.heard, self.reactor.readers), ([b"no", b"no", b"yes"], []))

    def test_one_that_waits_no_more_is_closed(self) -> None:
        """Its answer may still come, and would be another one's."""
        _, cancel = self.ask()
        cancel()
        self.assertEqual(self.reactor.readers, [])

    def test_what_ends_a_query_does_not_end_another_one(self) -> None:
        """The socket has another query now."""
        source, cancel = self.ask()
        self.say(source, b"yes")
        self.answered(FEWEST)
        for _ in range(FEWEST):
            self.ask()
        count = len(self.reactor.readers)
        cancel()
        self.assertEqual(len(self.reactor.readers), count)

    def test_something_comes_where_nobody_waits(self) -> None:
        """It is counted, and the socket is closed."""
        [source] = self.answered(1)
        self.say(source, b"yes")
        self.assertEqual((self.heard, self.events[Event.STRAYS], self.reactor.readers), ([b"yes"], 1, []))

    def test_nobody_is_there(self) -> None:
        """It is told, and the socket is closed."""
        self.ask()
        sources = self.answered(2)
        self.server.close()
        self.sockets.by_datagram(self.resolver, b"query", lambda _: False, self.failed.append)
        self.read()
        self.assertEqual(self.failed, ["Connection refused"])
        self.assertEqual(len(self.reactor.readers), 1 + len(sources))

    def test_there_is_no_way(self) -> None:
        """It is told at once, and nothing is left."""
        with self.assertRaises(OSError):
            self.sockets.by_datagram(resolver("[fe80::1]"), b"query", lambda _: True, self.failed.append)
        self.assertEqual((self.reactor.readers, self.events[Event.SOCKETS]), ([], 0))
