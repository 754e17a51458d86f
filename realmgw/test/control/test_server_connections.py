"""Tests for `realmgw.control.server` and of its client: more connections than there may be at once."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from realmgw.config.limits import CONTROL_CONNECTIONS
from realmgw.config.settings import Control
from realmgw.control import server
from realmgw.control.command.client import ask
from realmgw.control.commands import CommandError
from realmgw.test.control.test_server import RecordingGateway

_reactor: Any = reactor


class ConnectionTests(TestCase):
    """Connections that are held, and a line in which others stand."""

    def setUp(self) -> None:
        """Listens."""
        folder = Path(tempfile.mkdtemp(prefix="realmgw-"))  # a socket's path has at most 107 octets
        self.addCleanup(shutil.rmtree, folder)
        self.path = folder / "control.sock"
        self.service = server.ControlService(Control(socket=self.path), RecordingGateway(), reactor)
        self.service.startService()
        self.addCleanup(self.service.stopService)

    async def hold(self, count: int) -> list[socket.socket]:
        """So many connections by which nothing is asked, one after the other."""
        made = [socket.socket(socket.AF_UNIX) for _ in range(count)]
        for each in made:
            self.addCleanup(each.close)
            await deferToThread(each.connect, str(self.path))
            each.setblocking(False)
        await self.pause()
        return made

    async def pause(self) -> None:
        """Lets the server have its turn."""
        await deferLater(_reactor, 0.1, lambda: None)

    def closed(self) -> object:
        """How many connections were closed since there were too many."""
        return self.service.counts()["connections_closed"]

    async def test_for_one_too_many_the_oldest_goes(self) -> None:
        """Which is counted; who comes is answered."""
        held = await self.hold(CONTROL_CONNECTIONS)
        self.assertEqual(await deferToThread(ask, self.path, "status"), {"answer": 42})
        await self.pause()
        self.assertEqual((self.closed(), held[0].recv(1)), (1, b""))
        self.assertRaises(BlockingIOError, held[1].recv, 1)

    async def test_a_user_with_many_connections_keeps_nobody_away(self) -> None:
        """Neither by those that he holds nor by those that he makes again and again: he loses his own."""
        users = iter([0, 0, *[7] * (2 * CONTROL_CONNECTIONS), 0])
        self.patch(server, "_user", lambda _transport: next(users))
        first, *_ = await self.hold(2 + 2 * CONTROL_CONNECTIONS)
        self.assertEqual(self.closed(), 2 + CONTROL_CONNECTIONS)
        self.assertRaises(BlockingIOError, first.recv, 1)
        self.assertEqual(await deferToThread(ask, self.path, "status"), {"answer": 42})

    async def test_places_are_given_back(self) -> None:
        """By those who close their connections."""
        for _ in range(3):
            for each in await self.hold(CONTROL_CONNECTIONS // 2):
                each.close()
        await self.pause()
        self.assertEqual(self.closed(), 0)

    async def test_a_line_that_is_full_is_waited_in(self) -> None:
        """As long as a gateway may be silent."""
        path = self.path.with_name("full.sock")
        with contextlib.ExitStack() as stack:
            full = stack.enter_context(socket.socket(socket.AF_UNIX))
            full.bind(str(path))
            full.listen(0)
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
            error = await self.assertFailure(deferToThread(ask, path, "status", timeout=0.1), CommandError)
            self.assertIn("does not answer within", str(error))
            asking = deferToThread(ask, path, "status", timeout=1.0)
            await self.pause()
            stack.enter_context(full.accept()[0])
            asked, _ = await deferToThread(full.accept)
            stack.enter_context(asked)
            self.assertEqual(asked.recv(4), b"GET ")
            await self.assertFailure(asking, CommandError)
