"""Tests for `realmgw.control.server`, and of `realmgw.control.command.client` against it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from realmgw.config.settings import Control
from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError, ExitStatus, NobodyThereError
from realmgw.control.gateway import Gateway
from realmgw.control.server import MAX_BODY, ControlService
from realmgw.errors import ConfigurationError, PlatformError, RealmGatewayError
from realmgw.system.unix_http import TIMEOUT, UnixConnection

_reactor: Any = reactor

_STRANGER = """
import socket, sys
for line in (b"GET /v1/status", b"POST /v1/purge?name=gw"):
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(sys.argv[1])
        asked.sendall(line + b" HTTP/1.0\\r\\n\\r\\n")
        print(asked.makefile().read())
"""


class RecordingGateway(Gateway):
    """Does what it is told to do.

    Attributes:
        asked: What it was asked for.
        answer: What it says, or raises.
        answers: What it says to single commands instead.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answer: object = {"answer": 42}
        self.answers: dict[str, object] = {}

    def do(self, path: str, given: Any) -> Any:
        """Notes it."""
        self.asked.append((path, dict(given)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answers.get(path, self.answer)


class SilenceTests(SynchronousTestCase):
    """A gateway that is there and says nothing, as one that was stopped by SIGSTOP."""

    def test_is_told_within_a_moment(self) -> None:
        """With the process that does not answer, whatever it is asked for."""
        with tempfile.TemporaryDirectory(prefix="realmgw-") as folder, socket.socket(socket.AF_UNIX) as silent:
            path = Path(folder, "control.sock")
            silent.bind(str(path))
            silent.listen(8)
            for command in ("status", "reload", "plan", "purge"):
                error = self.assertRaises(CommandError, ask, path, command, timeout=0.1)
                assert isinstance(error, CommandError)
                self.assertIs(error.status, ExitStatus.NO_GATEWAY)
                self.assertIn("the gateway does not answer within", str(error))
                self.assertIn(f"process {os.getpid()} is stopped or busy", str(error))

    def test_five_seconds_are_a_moment(self) -> None:
        """Longer than any answer of a gateway that is well."""
        self.assertEqual(TIMEOUT, 5.0)


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

    async def test_what_changes_something_is_not_begun_for_who_is_gone(self) -> None:
        """He gave up while the gateway was stopped, and was told so; who says no more and listens is there."""
        for command, how in (("reload", None), ("reload", socket.SHUT_WR)):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.path))
                client.send(f"POST /v1/{command} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
                if how is not None:
                    client.shutdown(how)
                    await deferToThread(client.recv, 1)
            await self.ask("status")  # it is read after the other one
        self.assertEqual([command for command, _ in self.gateway.asked], ["status", "reload", "status"])

    async def test_what_changes_something_is_logged(self) -> None:
        """With what was wanted, and by whom; a line break in it begins no line."""
        with capturedLogs() as events:
            await self.ask("reputation/set", who="192.0.2.1", reputation="0\n5")
            await self.ask("reputation/show", who="192.0.2.1")
        [event] = [event for event in events if "command" in event]
        self.assertEqual(event["command"], r"reputation/set who='192.0.2.1' reputation='0\n5'")
        self.assertIn(f"process {os.getpid()}", event["who"])

    async def test_only_root_and_our_own_user_may_purge(self) -> None:
        """Whoever else may speak to the gateway is refused, and told so; nothing is done."""
        if os.geteuid() != 0:
            raise SkipTest("needs root (another user)")
        self.path.parent.chmod(0o755)
        self.path.chmod(0o666)
        argv = ["/usr/bin/env", "python3", "-I", "-c", _STRANGER, str(self.path)]  # no module of ours is his to read
        done = await deferToThread(
            subprocess.run, argv, user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=20
        )
        self.assertIn("200 OK", done.stdout.splitlines()[0], done.stderr)
        self.assertIn("403 Forbidden", done.stdout)
        self.assertIn("only root and the gateway's own user may, not process", done.stdout)
        self.assertEqual([path for path, _ in self.gateway.asked], ["status"])
        await self.ask("purge", name="gw")
        self.assertEqual([path for path, _ in self.gateway.asked], ["status", "purge"])

    def request(self, *arguments: Any, **more: Any) -> Deferred[tuple[int, Any, str | None]]:
        """What a request comes to, in a thread: the status, the answer, and which methods are allowed."""

        def converse() -> tuple[int, Any, str | None]:
            connection = UnixConnection(self.path, 5.0)
            connection.request(*arguments, **more)
            response = connection.getresponse()
            text = response.read()
            connection.close()
            return response.status, json.loads(text) if text else None, response.getheader("allow")

        return deferToThread(converse)

    async def test_each_command_has_its_methods(self) -> None:
        """Nothing is changed by a look, and nothing is looked at by what sounds like a change."""
        for method, path, allowed in (
            ("GET", "reload", "POST"),
            ("DELETE", "reload", "POST"),
            ("DELETE", "status", "GET, HEAD"),
            ("PUT", "status", "GET, HEAD"),
            ("POST", "status", "GET, HEAD"),
        ):
            status, problem, told = await self.request(method, f"/v1/{path}")
            self.assertEqual((status, problem["exit_status"], told), (405, 2, allowed), (method, path))
        self.assertEqual(self.gateway.asked, [])
        self.assertEqual(await self.request("HEAD", "/v1/status"), (200, None, None))

    async def test_parameters_are_utf_8(self) -> None:
        """What is not is the asker's fault, and no fault of ours."""
        for query in ("name=%ff", "%ff=name"):
            status, problem, _ = await self.request("GET", f"/v1/subscribers/show?{query}")
            self.assertEqual((status, problem["exit_status"]), (400, 2))
            self.assertIn("not UTF-8", problem["detail"])

    async def test_a_body_has_an_end(self) -> None:
        """Before it is read; one that does not say where that is has none."""
        for body, more in (
            (b"x" * (MAX_BODY + 1), {}),
            (iter([b"x" * MAX_BODY] * 10), {"encode_chunked": True, "headers": {"Transfer-Encoding": "chunked"}}),
        ):
            try:
                status, _, _ = await self.request("POST", "/v1/reload", body, **more)
            except OSError:  # it was still sending when we had said all
                status = 413
            self.assertEqual(status, 413)
        self.assertEqual(self.gateway.asked, [])

    async def test_survives_what_is_no_request(self) -> None:
        """Whatever comes; whoever comes next is served."""
        for garbage in (
            b"\0\xff" * 1000 + b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n" + b"a: b\r\n" * 5000,
            b"",
        ):
            with socket.socket(socket.AF_UNIX) as each:
                each.connect(str(self.path))
                with contextlib.suppress(OSError):
                    each.sendall(garbage)
            await deferLater(reactor, 0.05, lambda: None)
        self.assertEqual(await self.ask("status"), {"answer": 42})
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_counts_requests(self) -> None:
        """And those that were refused."""
        await self.ask("status")
        await self.request("GET", "/v1/reload")
        expected = {"requests": 2, "refused": 1, "connections_closed": 0, "told_over_a_while": 0, "not_told": 0}
        self.assertEqual(self.service.counts(), expected)

    async def test_whoever_is_at_a_longer_piece_of_work_is_waited_for(self) -> None:
        """As long as the gateway still answers other questions."""
        answer: Deferred[dict[str, int]] = Deferred()
        self.gateway.answers["reload"] = answer
        waited: list[float] = []

        def waiting(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                _reactor.callFromThread(answer.callback, {"later": 1})

        found = await deferToThread(ask, self.path, "reload", timeout=0.2, waiting=waiting)
        self.assertEqual((found, len(waited)), ({"later": 1}, 3))

    async def test_a_question_is_not_waited_for(self) -> None:
        """A status that takes its time is no status."""
        self.gateway.answers["status"] = Deferred()
        found = await self.assertFailure(deferToThread(ask, self.path, "status", timeout=0.2), CommandError)
        assert isinstance(found, CommandError)
        self.assertIs(found.status, ExitStatus.NO_GATEWAY)

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
        """With how to start a gateway; whoever is there and does not answer as he should is somebody."""
        await self.service.stopService()
        found = await self.assertFailure(self.ask("status"), NobodyThereError)
        self.assertIs(found.status, ExitStatus.NO_GATEWAY)
        self.assertIn("twistd realmgw", str(found))
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(self.path))
            silent.listen()
            found = await self.assertFailure(deferToThread(ask, self.path, "status", timeout=0.1), CommandError)
        self.assertEqual((type(found), found.status), (CommandError, ExitStatus.NO_GATEWAY))

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
        self.path.with_name(f"{self.path.name}.held").write_text(f"{os.getpid()}\n")

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
