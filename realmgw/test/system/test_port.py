"""Tests for `realmgw.system.port`: unix sockets, and the end of all. Listening is tested where it is done."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.system.endpoints import Endpoint
from realmgw.system.port import HeldSocket, Sockets


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
