"""Tests for `realmgw.system.buffers`, with a socket of the loopback interface."""

from __future__ import annotations

import contextlib
import socket

from twisted.trial.unittest import SynchronousTestCase

from realmgw.system.buffers import dropped, enlarge


class BufferTests(SynchronousTestCase):
    """A socket that is not read for a while."""

    def test_what_finds_no_room_is_counted_and_more_room_can_be_had(self) -> None:
        """As the kernel counts it."""
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            handle.setblocking(False)
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            handle.bind(("127.0.0.1", 0))
            self.assertEqual(dropped(handle), 0)
            few = self.taken(sender, handle)
            self.assertEqual(dropped(handle), 50 - few)
            enlarge(handle, 200_000)
            self.assertGreater(self.taken(sender, handle), few)

    def taken(self, sender: socket.socket, handle: socket.socket) -> int:
        """How many of 50 datagrams are there."""
        for _ in range(50):
            sender.sendto(bytes(1000), handle.getsockname())
        number = 0
        with contextlib.suppress(BlockingIOError):
            while handle.recv(2000):
                number += 1
        return number
