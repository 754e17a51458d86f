"""Tests for `realmgw.subscribers.remote.port`: repositories that are none, and such as mean harm."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from typing import Any, cast

import attrs
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from realmgw.repository.tokens import Tokens
from realmgw.subscribers.remote.port import MAX_HEAD, UnreachableError, Web
from realmgw.test.repository.site import READ_TOKEN, WRITE_TOKEN, host, lines
from realmgw.test.subscribers.followers import ClientTestCase, names


class Scripted(Protocol):
    """Says the same to everybody who asks, whatever he asks."""

    answer = b""
    is_over = True

    def dataReceived(self, data: bytes) -> None:
        """Answers."""
        assert self.transport is not None
        self.transport.write(self.answer)
        if self.is_over:
            self.transport.loseConnection()


class MalformedTests(ClientTestCase):
    """Repositories that are none."""

    @inlineCallbacks
    def problem(self, answer: bytes, *, is_over: bool = True) -> Any:
        """What is told of a repository with such an answer, when a good state is known."""
        yield self.gateway().snapshot()
        factory = Factory.forProtocol(type("_", (Scripted,), {"answer": answer, "is_over": is_over}))
        port = cast(Any, reactor).listenTCP(0, factory, interface="127.0.0.1")
        url = f"http://127.0.0.1:{port.getHost().port}"
        gateway = self.gateway(url=url, timeout=0.5)
        got = yield gateway.snapshot()
        self.assertEqual(names(got), ["a", "b"], "the last good state counts")
        yield port.stopListening()
        return gateway.troubles[0]

    @inlineCallbacks
    def test_what_they_say_is_not_believed(self) -> Any:
        """Each time for its own reason."""
        good = lines(("subscribers", "c.example.org", host(3)))
        head = b'{"format": 1, "version": "9-x", "since": null, "count": 1}\n'
        for body, why in (
            (b"", "no head"),
            (b"<html>", "no JSON"),
            (b'{"format": 2, "version": "9-x", "since": null, "count": 0}\n', "format 1"),
            (b'{"format": 1, "since": null, "count": 0}\n', "no version"),
            (head, "announces 1 documents, and there are 0"),
            (head + good + good, "there are more"),
            (head.replace(b"null", b'"8-y"') + good, "was not asked"),
            (head + b'{"kind": "gateways", "name": "x", "value": 1}\n', "line 2: the kind 'gateways'"),
            (gzip.compress(head + good), "no JSON"),
            (head + b'"' + b"a" * 70_000 + b'"\n', "line 2: longer than"),
        ):
            fields = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            self.assertIn(why, (yield self.problem(fields + body)), body[:80])

    @inlineCallbacks
    def test_answers_that_do_not_come_are_given_up(self) -> Any:
        """At once when the connection ends, else when the time is over."""
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
        self.assertIn("broke off", (yield self.problem(ok)))
        self.assertIn("stopped half-way", (yield self.problem(ok, is_over=False)))
        self.assertIn("in time", (yield self.problem(b"HTTP/1.1 200 OK\r\n", is_over=False)))
        self.assertIn("ParseError", (yield self.problem(b"SSH-2.0-nothing\r\n")))
        self.assertIn("500", (yield self.problem(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")))
        self.assertIn("302", (yield self.problem(b"HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")))

    @inlineCallbacks
    def test_an_answer_without_end_is_given_up(self) -> Any:
        """When it is longer than any can be."""
        web = Web(self.settings, reactor, longest=50)
        error = yield self.assertFailure(web.changes(None, None, 0.0), UnreachableError)
        self.assertIn("too long", str(error))
        yield deferLater(cast(Any, reactor), 0.0, lambda: None)  # the connection is given back after the answer
        yield web.close()


class Endless(Protocol):
    """Says the same piece again and again, as fast as it is read, or one each so many seconds.

    Attributes:
        sent: How many octets were sent on all connections.
    """

    begin = b""
    piece = b""
    every = 0.0
    sent: list[int]

    def dataReceived(self, data: bytes) -> None:
        """Begins."""
        del data
        transport = cast(Any, self.transport)
        transport.write(self.begin)
        if self.every:
            self._loop = LoopingCall(self.resumeProducing)
            self._loop.start(self.every)
        else:
            transport.registerProducer(self, True)
            self.resumeProducing()

    def resumeProducing(self) -> None:
        """Goes on."""
        self._is_going = True
        self._write()

    def pauseProducing(self) -> None:
        """Waits until it is read."""
        self._is_going = False

    def stopProducing(self) -> None:
        """Nobody listens any more."""
        self._is_going = False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The same."""
        del reason
        self._is_going = False
        if self.every:
            self._loop.stop()

    def _write(self) -> None:
        if self._is_going:
            self.sent.append(len(self.piece))
            cast(Any, self.transport).write(self.piece)
            if not self.every:
                cast(Any, reactor).callLater(0, self._write)


class HarmTests(ClientTestCase):
    """Repositories that go on for ever; the last good state counts, and what they sent is kept nowhere."""

    OK = b"HTTP/1.1 200 OK\r\n"
    CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

    @inlineCallbacks
    def endure(self, begin: bytes, piece: bytes, every: float = 0.0) -> Any:
        """Why an answer was given up, after how many octets."""
        sent: list[int] = []
        members = {"begin": begin, "piece": piece, "every": every, "sent": sent}
        port = cast(Any, reactor).listenTCP(
            0, Factory.forProtocol(type("_", (Endless,), members)), interface="127.0.0.1"
        )
        web = Web(_settings(self, port), reactor, longest=2**20)
        error = yield self.assertFailure(web.changes(None, None, 0.0), UnreachableError)
        yield web.close()
        yield deferLater(cast(Any, reactor), 0.05, lambda: None)
        yield port.stopListening()
        return str(error), sum(sent)

    @inlineCallbacks
    def test_heads_without_end_are_given_up(self) -> Any:
        """Fields, one field over many lines, a line, answers before the answer (RFC 9110 section 15.2)."""
        for begin, piece in (
            (self.OK, b"a: " + b"b" * 1000 + b"\r\n"),
            (self.OK, b"a: b\r\n" * 5000),
            (self.OK + b"a: b\r\n", b" c\r\n" * 5000),
            (self.OK + b"a: ", b"b" * 60_000),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
            (b"HTTP/1.1 200 ", b"O" * 60_000),
        ):
            error, sent = yield self.endure(begin, piece)
            self.assertIn("the head of the answer is too long", error, piece[:10])
            self.assertLess(sent, 2**24, "what the kernel's buffers hold, and no more")

    @inlineCallbacks
    def test_the_longest_head_is_read(self) -> Any:
        """With its body in the same piece, and on the connection that is open already."""
        body = b'{"format": 1, "version": "9-x", "since": null, "count": 0}\n'
        field = b"Content-Length: %d\r\na: " % len(body)
        head = self.OK + field + b"b" * (MAX_HEAD - len(self.OK) - len(field) - 4) + b"\r\n\r\n"
        self.assertEqual(len(head), MAX_HEAD)
        members = {"answer": head + body, "is_over": False}
        port = cast(Any, reactor).listenTCP(
            0, Factory.forProtocol(type("_", (Scripted,), members)), interface="127.0.0.1"
        )
        web = Web(_settings(self, port), reactor)
        for _ in range(3):
            with (yield web.changes(None, None, 0.0)) as file:
                self.assertEqual(file.read(), body)
        yield web.close()
        yield port.stopListening()

    @inlineCallbacks
    def test_bodies_without_end_are_given_up(self) -> Any:
        """In chunks, or until the connection ends; of one octet each, with long extensions, with endless trailers."""
        for begin, piece, why in (
            (self.OK + b"\r\n", b"x" * 50_000, "too long"),
            (self.CHUNKED, b"2000\r\n" + b"x" * 0x2000 + b"\r\n", "too long"),
            (self.CHUNKED, b"1\r\nx\r\n" * 2000, "chunks are too small"),
            (self.CHUNKED + b"1;", b"e" * 50_000, "broke off"),
            (self.CHUNKED + b"0\r\n", b"a: b\r\n" * 1000, "broke off"),
            (self.CHUNKED + b"f" * 1000, b"f", "broke off"),
        ):
            error, sent = yield self.endure(begin, piece)
            self.assertIn(why, error, piece[:10])
            self.assertLess(sent, 2**24)

    @inlineCallbacks
    def test_answers_that_come_too_slowly_are_given_up(self) -> Any:
        """An octet now and then is not enough, of a head or of a body."""
        for begin, piece, why in (
            (self.OK, b"a", "no answer in time"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "no answer in time"),
            (self.OK + b"\r\n", b"x", "too slowly"),
            (self.CHUNKED, b"1\r\nx\r\n", "too slowly"),
        ):
            error, _ = yield self.endure(begin, piece, every=0.02)
            self.assertIn(why, error)

    @inlineCallbacks
    def test_a_repository_that_is_away_is_a_line_of_the_log(self) -> Any:
        """Not one for each question, nor any of the client's own."""
        yield deferLater(cast(Any, reactor), 0.1, lambda: None)  # the test's own client ends
        events: list[Any] = []
        observer = cast(Any, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        gateway = self.gateway(url="http://127.0.0.1:1")
        for _ in range(3):
            yield gateway.snapshot()
        self.assertEqual([event.get("log_format") for event in events], [])
        self.assertIn("127.0.0.1:1", gateway.troubles[0])


class TokenTests(ClientTestCase):
    """The file with the token."""

    tokens = Tokens(WRITE_TOKEN, READ_TOKEN)

    @inlineCallbacks
    def test_whatever_is_in_its_place_is_told_and_not_waited_for(self) -> Any:
        """A pipe, a folder, a device; a file that is too long, empty, or no text."""
        path = self.state / "token"
        gateway = self.gateway(token_file=path)

        def written(content: bytes) -> Callable[[], object]:
            return lambda: path.write_bytes(content)

        for make, why in (
            (lambda: os.mkfifo(path), "but a pipe"),
            (path.mkdir, "but a folder"),
            (lambda: path.symlink_to("/dev/zero"), "but a device"),
            (written(b"x" * 10_000), "more than"),
            (written(b""), "has no token"),
            (written("token-of-\N{SNOWMAN}".encode()), "has no token: it is no ASCII text"),
        ):
            make()
            yield gateway.snapshot()
            self.assertIn(f"{path} has no token", gateway.troubles[0])
            self.assertIn(why, gateway.troubles[0])
            path.rmdir() if path.is_dir() else path.unlink()
        path.write_text(f"{READ_TOKEN}\n")
        self.assertEqual(names((yield gateway.snapshot())), ["a", "b"])


def _settings(case: ClientTestCase, port: Any) -> Any:
    return attrs.evolve(case.settings, url=f"http://127.0.0.1:{port.getHost().port}", timeout=0.5)
