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

    def refused(self) -> str:
        """Why there is no answer."""

        def ask() -> None:
            with asking(self.path, 5.0, PlatformError, who="node", program="node") as connection:
                connection.request("GET", "/")
                connection.getresponse()

        return str(self.assertRaises(PlatformError, ask))

    def test_nobody_is_there(self) -> None:
        """Without a socket, and with one that was left behind: who it is, and what starts it."""
        expected = f"no node runs: nobody answers at {self.path} (start it: twistd node)"
        self.assertEqual(self.refused(), expected)
        self.listen().close()
        self.assertEqual(self.refused(), expected)

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
