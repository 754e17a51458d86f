"""Tests for `realmgw.config.port`: unix sockets. What listens at addresses is tested where it does."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.port import HeldSocket
from realmgw.errors import PlatformError


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
