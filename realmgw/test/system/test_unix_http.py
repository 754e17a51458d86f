"""Tests for `realmgw.system.unix_http`. Conversations are tested where they are held, by control's server."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import closing
from http.client import BadStatusLine
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.system.disk import HeldError
from realmgw.system.unix_http import UnixConnection, asking, credentials


class AskingTests(SynchronousTestCase):
    """What is said where nobody answers as he should."""

    def setUp(self) -> None:
        """A place for a socket; its path has at most 107 octets, and trial's are longer."""
        self.folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "socket"

    def listen(self) -> socket.socket:
        """Somebody who listens there."""
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        listening.bind(str(self.path))
        listening.listen(1)
        return listening

    def refused(self, as_what: type[Exception] = PlatformError) -> str:
        """Why there is no answer."""

        def ask() -> None:
            asked = asking(self.path, 0.1, PlatformError, absent=HeldError, who="node", program="node")
            with asked as connection:
                connection.request("GET", "/")
                connection.getresponse()

        error = self.assertRaises(PlatformError, ask)
        self.assertIs(type(error), as_what)
        return str(error)

    def test_nobody_is_there(self) -> None:
        """Without a socket, and with one that was left behind: who it is, and what starts it."""
        expected = f"no node runs: nobody answers at {self.path} (start it: twistd node)"
        self.assertEqual(self.refused(HeldError), expected)
        self.listen().close()
        self.assertEqual(self.refused(HeldError), expected)
        self.path = self.path / "socket"
        self.assertIn("no node runs", self.refused(HeldError))
        self.assertIn("no node runs", str(self.assertRaises(PlatformError, self.ask_plainly)))

    def ask_plainly(self) -> None:
        """Without anything that is raised for who is not there."""
        with asking(self.path, 0.1, PlatformError, who="node") as connection:
            connection.connect()

    def test_somebody_there_is_silent(self) -> None:
        """That is another thing: he may be stopped; also where his line is full."""
        self.listen()
        self.assertIn("does not answer within", self.refused())
        for _ in range(3):
            waiting = socket.socket(socket.AF_UNIX)
            self.addCleanup(waiting.close)
            waiting.setblocking(False)
            waiting.connect_ex(str(self.path))
        self.assertIn("does not answer within", self.refused())

    def test_somebody_there_speaks_no_http(self) -> None:
        """It is known who it is."""
        listening = self.listen()
        with closing(UnixConnection(self.path, 5.0)) as connection:
            connection.request("GET", "/")
            self.assertEqual(connection.peer, os.getpid())
            theirs, _ = listening.accept()
            theirs.sendall(b"220 ready\r\n")
            theirs.close()
            self.assertTrue(connection.answers_within(5.0))
            self.assertIn("220 ready", str(self.assertRaises(BadStatusLine, connection.getresponse)))
        self.assertIsNone(UnixConnection(self.path, 5.0).peer)

    def test_who_is_at_the_other_end(self) -> None:
        """By the kernel's word."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.assertEqual(credentials(ours), (os.getpid(), os.getuid(), os.getgid()))
