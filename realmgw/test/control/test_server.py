"""Tests for `realmgw.control.server`, and of `realmgw.control.client` against it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.config.disk import Hold
from realmgw.config.settings import Control
from realmgw.control.client import ask
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.gateway import Gateway
from realmgw.control.server import ControlService, SoleService, held_beside
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError


class RecordingGateway(Gateway):
    """Does what it is told to do.

    Attributes:
        asked: What it was asked for.
        answer: What it says, or raises.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: object = {"answer": 42}

    def do(self, path: str, given: Any) -> Any:
        """Notes it."""
        self.asked.append((path, dict(given)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class ConversationTests(TestCase):
    """The command's client and the gateway's server, by a socket."""

    def setUp(self) -> None:
        """Listens."""
        folder = Path(
            tempfile.mkdtemp(prefix="realmgw-")
        )  # a socket's path has at most 107 octets, and trial's are longer
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "control.sock"
        self.gateway = RecordingGateway()
        self.service = ControlService(Control(socket=self.path), self.gateway, reactor)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def ask(self, command: str, **parameters: str) -> Deferred[Any]:
        """Asks, in a thread."""
        return deferToThread(ask, self.path, command, parameters, timeout=5.0)

    async def refusal(self, error: Exception) -> CommandError:
        """What the client raises when the gateway raises an error."""
        self.gateway.answer = error
        found = await self.assertFailure(self.ask("status"), CommandError)
        assert isinstance(found, CommandError)
        return found

    async def test_answers(self) -> None:
        """With what the gateway said, now or later."""
        self.assertEqual(await self.ask("subscribers/show", name="a b&c"), {"answer": 42})
        self.gateway.answer = Deferred[dict[str, int]]()
        reactor.callLater(0, self.gateway.answer.callback, {"later": 1})
        self.assertEqual(await self.ask("reload"), {"later": 1})
        self.assertEqual(self.gateway.asked, [("subscribers/show", {"name": "a b&c"}), ("reload", {})])

    async def test_errors_end_the_command_as_they_should(self) -> None:
        """Each by whose fault it is; faults of our own are logged."""
        for error, status in (
            (CommandError(ExitStatus.USAGE, "no"), ExitStatus.USAGE),
            (CommandError(ExitStatus.NOT_FOUND, "no"), ExitStatus.NOT_FOUND),
            (ConfigurationError(("f:1:1: bad",)), ExitStatus.PROBLEMS),
            (RealmGatewayError("no"), ExitStatus.FAILED),
            (ZeroDivisionError("no"), ExitStatus.FAILED),
        ):
            found = await self.refusal(error)
            self.assertEqual((found.status, str(found)), (status, str(error)))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_what_changes_something_is_logged(self) -> None:
        """With what was wanted, and by whom; a line break in it begins no line."""
        with capturedLogs() as events:
            await self.ask("reputation/set", who="192.0.2.1", reputation="0\n5")
            await self.ask("reputation/show", who="192.0.2.1")
        [event] = [event for event in events if "command" in event]
        self.assertEqual(event["command"], r"reputation/set who='192.0.2.1' reputation='0\n5'")
        self.assertIn(f"process {os.getpid()}", event["who"])

    async def test_a_change_wants_a_post(self) -> None:
        """So that nothing is changed by a look."""

        def get() -> tuple[int, Any]:
            from realmgw.control.client import _UnixConnection  # noqa: PLC0415 - for this test only

            connection = _UnixConnection(self.path, 5.0)
            connection.request("GET", "/v1/reload")
            response = connection.getresponse()
            return response.status, json.loads(response.read())

        status, problem = await deferToThread(get)
        self.assertEqual((status, problem["status"], self.gateway.asked), (400, 400, []))

    async def test_whoever_means_another_gateway_is_refused(self) -> None:
        """A copy of the main file has the same socket; a link to it is the same file."""
        folder = self.path.parent
        main, other, link = (folder / name for name in ("realmgw.yaml", "other.yaml", "link.yaml"))
        link.symlink_to(main)
        service = ControlService(Control(socket=folder / "another.sock"), self.gateway, reactor, main)
        service.startService()
        self.addCleanup(service.stopService)

        def meaning(named: Path) -> Deferred[Any]:
            return deferToThread(ask, folder / "another.sock", "reload", main=named, timeout=5.0)

        found = await self.assertFailure(meaning(other), CommandError)
        self.assertIs(found.status, ExitStatus.NO_GATEWAY)
        self.assertIn(f"has the main file {main}, not {other}", str(found))
        self.assertEqual(self.gateway.asked, [])
        for each in (main, link):
            self.assertEqual(await meaning(each), {"answer": 42})

    def test_only_the_owner_and_the_group_may_speak(self) -> None:
        """By the socket's permissions."""
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o660)

    async def test_nobody_there_is_told_in_one_line(self) -> None:
        """With how to start a gateway."""
        await self.service.stopService()
        found = await self.assertFailure(self.ask("status"), CommandError)
        self.assertIs(found.status, ExitStatus.NO_GATEWAY)
        self.assertIn("twistd realmgw", str(found))

    def test_second_gateway_at_the_same_socket_is_refused(self) -> None:
        """With one line that says what to do."""
        second = ControlService(Control(socket=self.path), self.gateway, reactor)
        self.assertIn("control.socket", str(self.assertRaises(PlatformError, second.startService)))

    def test_missing_group_is_refused(self) -> None:
        """With one line that says what to do."""
        other = ControlService(Control(self.path.with_name("other"), "nobody-has-this-group"), self.gateway, reactor)
        self.assertIn("control.group", str(self.assertRaises(PlatformError, other.startService)))


class SocketLeftBehindTests(TestCase):
    """The control socket of a process that did not stop."""

    def setUp(self) -> None:
        """A socket that nobody listens at, and a file that names a living process: ourselves."""
        folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "control.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.path))
        held_beside(self.path).write_text(f"{os.getpid()}\n")

    async def test_is_taken_over(self) -> None:
        """By who comes next, and gone when that stops."""
        service = ControlService(Control(socket=self.path), RecordingGateway(), reactor)
        service.startService()
        self.assertEqual(await deferToThread(ask, self.path, "status", timeout=5.0), {"answer": 42})
        await service.stopService()
        self.assertFalse(self.path.exists())

    async def test_is_left_alone_while_somebody_has_it(self) -> None:
        """The message names him."""
        first, second = (ControlService(Control(socket=self.path), RecordingGateway(), reactor) for _ in range(2))
        first.startService()
        self.addCleanup(first.stopService)
        self.assertIn(f"process {os.getpid()}", str(self.assertRaises(PlatformError, second.startService)))
        self.assertEqual(await deferToThread(ask, self.path, "status", timeout=5.0), {"answer": 42})

    def test_what_is_no_socket_is_not_removed(self) -> None:
        """Whoever wrote the path meant something else."""
        self.path.unlink()
        self.path.write_text("precious")
        service = ControlService(Control(socket=self.path), RecordingGateway(), reactor)
        self.assertIn("is no socket", str(self.assertRaises(PlatformError, service.startService)))
        self.assertEqual(self.path.read_text(), "precious")


class SoleTests(SynchronousTestCase):
    """One gateway for a table and for a state."""

    def service(self, table: str, state: str = "") -> SoleService:
        """Of a table, with a state of its own unless one is named."""
        return SoleService(table, Hold(Path(state or self.mktemp()), "the state"))

    def test_second_one_is_refused_and_told_who_the_first_one_is(self) -> None:
        """Every time, until that has stopped; one with another table is not in the way."""
        table = f"test{os.getpid()}"
        first, second, other = (self.service(name) for name in (table, table, f"{table}b"))
        first.startService()
        other.startService()
        for _ in range(5):
            self.assertIn(f"process {os.getpid()}", str(self.assertRaises(PlatformError, second.startService)))
        first.stopService()
        second.startService()
        for each in (second, other):
            each.stopService()

    def test_second_one_with_the_same_state_is_refused(self) -> None:
        """Whatever its table; then it has not taken that either."""
        state, table = self.mktemp(), f"test{os.getpid()}"
        first, second, third = self.service(table, state), self.service(f"{table}b", state), self.service(f"{table}b")
        first.startService()
        self.assertIn("the state is in use", str(self.assertRaises(PlatformError, second.startService)))
        third.startService()
        for each in (first, third):
            each.stopService()

    def test_folder_that_can_not_be_written_stops_nobody(self) -> None:
        """Nothing can be kept there either; that is said."""
        file = Path(self.mktemp())
        file.write_text("")
        service = self.service(f"test{os.getpid()}", str(file / "held"))
        with capturedLogs() as events:
            service.startService()
        service.stopService()
        self.assertIn("nothing will be kept", events[0]["log_format"])
