"""Tests for `realmgw.synnode.control`, and of what a node says of itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path, PurePath
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks, succeed
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from realmgw.errors import PlatformError
from realmgw.synnode.control import CONNECTIONS, ControlService, problems
from realmgw.synnode.settings import Operators
from realmgw.system.port import group_number


class Asking(Protocol):
    """Says something, and keeps what is answered until the connection is closed."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._answer = b""
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Says it."""
        assert self.transport is not None
        self.transport.write(self._text)

    def dataReceived(self, data: bytes) -> None:
        """Keeps it."""
        self._answer += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was all."""
        self.done.callback(self._answer)


class ControlTests(TestCase):
    """What is asked by the socket."""

    def setUp(self) -> None:
        """It answers, in a folder that is made for it."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "run" / "sock"
        questions = {"status": lambda: succeed({"state": "healthy"}), "fault": lambda: 1 // 0}
        self.service = ControlService(Operators(PurePath(self.path)), questions, reactor)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def ask(self, line: str, more: str = "") -> Any:
        """What is answered."""
        text = f"{line} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{more}\r\n".encode()
        connected = connectProtocol(UNIXClientEndpoint(cast(Any, reactor), str(self.path)), Asking(text))
        return connected.addCallback(lambda asking: asking.done)

    @inlineCallbacks
    def test_answers_questions(self) -> Generator[Deferred[Any], Any, None]:
        """In JSON; what there is not, what would change something, and what has a body are refused."""
        answer = yield self.ask("GET /v1/status")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'{"state":"healthy"}\n'), answer)
        for line, more, status in (
            ("GET /v1/other", "", b"404"),
            ("POST /v1/status", "Content-Length: 0\r\n", b"405"),
            ("GET /v1/status", "Content-Length: 9999999\r\n", b"413"),
            ("GET /v1/status", "Transfer-Encoding: chunked\r\n", b"413"),
            ("GET /v1/fault", "", b"500"),
        ):
            answer = yield self.ask(line, more)
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), answer)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    @inlineCallbacks
    def test_connections_are_bounded(self) -> Generator[Deferred[Any], Any, None]:
        """One too many is closed; when others have gone there is room again."""
        endpoint = UNIXClientEndpoint(cast(Any, reactor), str(self.path))
        connecting = [connectProtocol(endpoint, Asking(b"GET")) for _ in range(CONNECTIONS)]
        held = yield gatherResults(connecting)
        self.assertEqual((yield self.ask("GET /v1/status")), b"")
        for each in held:
            each.transport.loseConnection()
            yield each.done
        self.assertIn(b"healthy", (yield self.ask("GET /v1/status")))

    def test_only_its_group_may_ask(self) -> None:
        """By the permissions of the socket; a group that there is not is told."""
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o660)
        self.assertEqual((group_number(None), group_number("root")), (-1, 0))
        self.assertRaises(PlatformError, group_number, "no-such-group")

    def test_what_a_start_would_not_have_is_told_before(self) -> None:
        """A folder that is none, a file in the socket's place, a path that is too long, a group that there is not."""
        self.assertEqual(list(problems(Operators(PurePath(self.path)))), [])
        file = self.path.with_name("file")
        file.touch()
        for path, told in ((file / "sock", "is no folder"), (file, "is no socket")):
            [problem] = problems(Operators(PurePath(path)))
            self.assertIn(told, problem)
            refused = ControlService(Operators(PurePath(path)), {}, reactor)
            self.assertRaises(PlatformError, refused.startService)
        [problem] = problems(Operators(PurePath(file.with_name("x" * 108))))
        self.assertIn("octets: write one of at most 107", problem)
        self.assertEqual(len(list(problems(Operators(PurePath(self.path), "no-such-group")))), 1)

    def test_a_second_node_does_not_take_the_socket(self) -> None:
        """It is told who has it."""
        other = ControlService(Operators(PurePath(self.path)), {}, reactor)
        self.assertRaises(PlatformError, other.startService)
