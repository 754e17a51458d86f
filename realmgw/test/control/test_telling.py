"""What is told over a while, by a socket: `realmgw.control.telling`, `streaming`, and `command.client.follow`."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.config.settings import Control
from realmgw.control.command.client import follow
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.server import ControlService
from realmgw.control.streaming import BEFORE, ROOM, Stream
from realmgw.errors import RealmGatewayError
from realmgw.test.control.test_server import RecordingGateway

REQUEST = b"POST /v1/trace?src=192.0.2.1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


class StreamTests(SynchronousTestCase):
    """`Stream`."""

    def test_what_comes_before_anybody_follows_is_kept(self) -> None:
        """As much as there may be, in order, and that it is over."""
        told: list[object] = []
        stream = Stream()
        for number in range(BEFORE + 1):
            stream.tell(number)
        stream.end()
        stream.follow(told.append, lambda: told.append("over"))
        self.assertEqual(told, [*range(BEFORE), "over"])


class TellingTests(TestCase):
    """The command's client and the gateway's server."""

    def setUp(self) -> None:
        """Listens; what is asked for is a stream."""
        folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "control.sock"
        self.gateway, self.stopped = RecordingGateway(), Deferred[None]()
        self.stream = Stream(lambda: self.stopped.callback(None))
        self.gateway.answer = self.stream
        self.service = ControlService(Control(socket=self.path), self.gateway, reactor)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def follow(self, take: Callable[[Any], object]) -> Deferred[Any]:
        """Follows it in a thread; what is taken is said in the reactor's."""

        def reading() -> None:
            for value in follow(self.path, "trace", {"src": "192.0.2.1"}):
                reactor.callFromThread(take, value)  # type: ignore[attr-defined]  # the reactor is one

        return deferToThread(reading)

    async def test_what_there_was_before_comes_in_full(self) -> None:
        """More than a socket holds; what comes then is told after it."""
        told: list[Any] = []
        for number in range(BEFORE):
            self.stream.tell({"number": number, "words": "x" * 1000})
        self.stream.end()
        await self.follow(told.append)
        self.assertEqual([each.get("number") for each in told], [*range(BEFORE)])

    async def test_each_value_comes_as_it_is_told(self) -> None:
        """The next one is told when the one before has come; then it is over."""
        told: list[object] = []

        def take(value: object) -> None:
            told.append(value)
            if len(told) < 3:
                self.stream.tell({"number": len(told)})
            else:
                self.stream.end()

        self.stream.tell({"number": 0})
        await self.follow(take)
        self.assertEqual(told, [{"number": number} for number in range(3)])
        counts = self.service.counts()
        self.assertEqual((counts["told_over_a_while"], counts["not_told"]), (3, 0))

    async def test_what_can_not_begin_is_an_error(self) -> None:
        """As of any command."""
        self.gateway.answer = RealmGatewayError("somebody else")
        found = await self.assertFailure(self.follow(print), CommandError)
        assert isinstance(found, CommandError)
        self.assertEqual((found.status, str(found)), (ExitStatus.FAILED, "somebody else"))

    async def test_a_source_ends_when_whoever_asked_has_gone(self) -> None:
        """Before it has anything to tell."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            client.sendall(REQUEST)
            await deferToThread(client.recv, 9)
        await self.stopped

    async def test_nobody_begins_for_who_has_gone_meanwhile(self) -> None:
        """The kernel has taken its time."""
        later: Deferred[Stream] = Deferred()
        self.gateway.answer = later
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            client.sendall(REQUEST)
            while not self.gateway.asked:
                await deferLater(reactor, 0.01, lambda: None)
        await deferLater(reactor, 0.05, lambda: None)
        later.callback(self.stream)
        await self.stopped

    async def test_what_a_slow_reader_does_not_take_is_left_out(self) -> None:
        """Nothing waits for him, sources have no room meanwhile; he is told how much it was when he reads again."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            client.sendall(REQUEST)
            received = await deferToThread(client.recv, 9999)
            for _ in range(100):
                self.stream.tell("x" * 50_000)
                await deferLater(reactor, 0, lambda: None)
            self.assertEqual(self.stream.room, 0)
            before = self.service.counts()["not_told"]
            self.stream.leave_out(None)  # by a source that can not say how much
            self.stream.leave_out(7)
            left_out = self.service.counts()["not_told"]
            assert isinstance(before, int)
            assert isinstance(left_out, int)
            self.assertGreater(before, 50)
            self.assertEqual(left_out, before + 8)
            while b"left_out" not in received[-500:] and (more := await deferToThread(client.recv, 1 << 20)):
                received += more
            self.assertEqual(self.stream.room, ROOM)
            self.stream.end()
        self.assertIn(b'{"left_out": %d}\n' % left_out, received)

    async def test_a_gateway_that_stops_ends_it(self) -> None:
        """Whoever follows is told that there would have been more."""
        told: list[object] = []

        def take(value: object) -> None:
            told.append(value)
            self.service.stopService()

        self.stream.tell({"number": 0})
        await self.is_cut(self.follow(take))
        await self.stopped
        self.assertEqual(told, [{"number": 0}])

    async def test_one_that_is_killed_is_gone(self) -> None:
        """Wherever it was: what it had told is told, and not taken for all."""
        told: list[object] = []
        for more in (b"", b"3", b"3\r\n", b"3\r\n{}", b"3\r\n{}\n", b"3\r\n{}\n\r\n", b"3\r\n{}\n\r\n9\r\n"):
            await self.is_cut(self.answered(more, told.append))
        self.assertEqual(told, [{}] * 3)
        await self.answered(b"3\r\n{}\n\r\n0\r\n\r\n", told.append)
        self.assertEqual(told, [{}] * 4)

    def answered(self, octets: bytes, take: Callable[[Any], object]) -> Deferred[Any]:
        """Follows somebody who says this behind a head, and is gone."""
        self.path = self.path.with_name(f"{self.path.name}.")
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(self.path))
        server.listen()

        def answer() -> None:
            with server, server.accept()[0] as other:
                other.recv(9999)
                other.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n" + octets)

        answering = deferToThread(answer)
        return self.follow(take).addBoth(lambda done: answering.addCallback(lambda _: done))

    async def is_cut(self, followed: Deferred[Any]) -> None:
        """It fails, since the gateway has gone."""
        error = await self.assertFailure(followed, CommandError)
        assert isinstance(error, CommandError)
        self.assertEqual(error.status, ExitStatus.NO_GATEWAY)
        self.assertIn("has gone", str(error))
