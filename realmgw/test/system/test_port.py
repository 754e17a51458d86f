"""Tests for `realmgw.system.port`: unix sockets, and the end of all. Listening is tested where it is done."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import tempfile
from ipaddress import ip_address
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import HeldSocket, Sockets, clashing, ungiven

NOBODY = 65534


class Listening:
    """A reactor, and the port that it gives; it makes no file.

    Attributes:
        stopped: How often it was told to listen no more.
    """

    def __init__(self) -> None:
        """It listens."""
        self.stopped = 0

    def listenUNIX(self, _address: str, _factory: Factory, mode: int) -> Listening:
        """A port."""
        del mode
        return self

    def stopListening(self) -> Deferred[None]:
        """Notes it."""
        self.stopped += 1
        return succeed(None)


class Binding(Listening):
    """The same, with a file."""

    def listenUNIX(self, address: str, factory: Factory, mode: int) -> Listening:
        """A port, whose socket is left there."""
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(address)
        return super().listenUNIX(address, factory, mode)


class ClashingTests(SynchronousTestCase):
    """`clashing`: what could not be had beside each other."""

    def test_is_what_a_start_would_refuse(self) -> None:
        """One process can not have both."""
        folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "run").mkdir()
        (folder / "other").symlink_to("run")
        for one, other in (
            ("run/a", "run/a"), ("run/a", "other/a"), ("run/a", "run/../other/./a"), ("run/a", "run/a.held"),
            ("run/a.held", "other/a"), ("run/a", "run/b"), ("run/a", "a"),
        ):  # fmt: skip
            held = [HeldSocket(folder / each, "the socket") for each in (one, other)]
            held[0].listen(Binding(), Factory())
            is_refused = False
            try:
                held[1].listen(Binding(), Factory())
            except PlatformError:
                is_refused = True
            self.assertEqual(clashing([folder / one, folder / other]), [1] if is_refused else [], (one, other))
            for each in held:
                self.successResultOf(each.stop())
            for path in folder.rglob("*a*"):
                path.unlink()


class HeldSocketTests(SynchronousTestCase):
    """`HeldSocket`: one process listens at a time."""

    def test_nobody_is_listened_to_where_the_group_can_not_be_given(self) -> None:
        """The port is closed again, and another one may have the socket."""
        path = Path(self.mktemp())
        for _ in range(2):
            reactor, held = Listening(), HeldSocket(path, "the socket")
            error = self.assertRaises(PlatformError, held.listen, reactor, Factory())
            self.assertIn(f"the socket {path} can not be had (No such file or directory)", str(error))
            self.assertEqual(reactor.stopped, 1)

    def test_who_is_in_no_group_can_not_give_a_socket_to_it(self) -> None:
        """He is told how to be in it; who has no socket of his own to give, and root, need not."""
        path = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, path)
        path.chmod(0o777)
        of, name = grp.getgrnam("daemon").gr_gid, pwd.getpwuid(NOBODY).pw_name
        said = f"{name} is not in group daemon: `usermod -aG daemon {name}`, and start again, or name another group"
        held = HeldSocket(path / "held.sock", "the socket")
        os.seteuid(NOBODY)
        try:
            error = self.assertRaises(PlatformError, held.listen, Binding(), Factory(), of)
        finally:
            os.seteuid(0)
        self.assertEqual(str(error), f"the socket {path}/held.sock can not be given away: {said}")
        self.assertEqual(ungiven(of, NOBODY), said)
        own = pwd.getpwuid(NOBODY).pw_gid
        self.assertEqual([ungiven(of, 0), ungiven(-1, NOBODY), ungiven(own, NOBODY)], ["", "", ""])
        self.assertIn("there is none of such a number", ungiven(of, 54321))


class Closing(Listening):
    """The same at addresses; each port is closed as it was told before."""

    def __init__(self, *ends: Deferred[None]) -> None:
        """How they are."""
        super().__init__()
        self.ends = [*ends]

    def listenTCP(self, _port: int, _factory: Factory, backlog: int, interface: str) -> Listening:
        """A port."""
        del backlog, interface
        return self

    def stopListening(self) -> Deferred[None]:
        """Takes its time."""
        return self.ends.pop(0)


class SocketsTests(SynchronousTestCase):
    """`Sockets`."""

    def test_the_end_is_when_all_are_closed(self) -> None:
        """Also where one can not be, which is told."""
        last = Deferred[None]()
        sockets = Sockets(Closing(fail(OSError(9, "no such socket")), last), "the metrics")
        for number in (1, 2):
            sockets.listen(Factory(), Endpoint(ip_address("127.0.0.1"), number))
        stopped = sockets.stop()
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertNoResult(stopped)
        last.callback(None)
        self.successResultOf(stopped)
