"""Adds and deletes elements of sets and maps without libnftables, which would list others first.

It blocks, and all calls come from one thread. Edge: a netlink socket.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection

from realmgw.datapath.batches import Elements, InSteps
from realmgw.datapath.netlink import codec, elements
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import RefusedError
from realmgw.datapath.netlink.nftables import INET
from realmgw.errors import PlatformError, RealmGatewayError

_EPERM, _FULL = 1, 23
_SO_SNDBUFFORCE = 32
_ROOM = 4096  # octets
"""For what a transaction takes besides its octets."""


class FullError(RealmGatewayError):
    """A set has as many elements as it may have; nothing was changed."""


class Filling:
    """Access to the elements of one table. The socket is of the network namespace of the thread that uses it first.

    Args:
        table: Its name.
        open_channel: Opens a socket to netfilter.
    """

    def __init__(self, table: str, open_channel: Callable[[], socket.socket] = open_socket) -> None:
        self._table = INET, table
        self._open = open_channel
        self._channel: socket.socket | None = None
        self._sequence = self._room = 0

    @property
    def port(self) -> int:
        """The netlink port that its transactions come from, until it is closed; raises `RealmGatewayError`."""
        port: int = self._opened().getsockname()[0]
        return port

    def run(self, changes: Collection[Elements]) -> None:
        """Change elements, in one transaction.

        Args:
            changes: What becomes of them, one after the other; may be nothing.

        Raises:
            PlatformError: The kernel does not let us.
            FullError: There is no room for all of them.
            RealmGatewayError: It refused one of them, or does not answer.
        """
        if not changes:
            return
        self._sequence += 1
        order, channel = elements.transaction(self._table, changes, self._sequence), self._opened()
        what = f"elements of {', '.join(sorted({each.name for each in changes}))}"
        if len(order) > self._room:
            self._room = len(order)
            channel.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, self._room + _ROOM)
        try:
            codec.ask(channel, order, what)
        except RefusedError as error:
            if error.number == _EPERM:
                raise PlatformError("CAP_NET_ADMIN is missing: run as root, or give it to the service") from error
            if error.number == _FULL:
                raise FullError(f"there is no room for further {what}") from error
            raise

    def lead(self, steps: InSteps, run: Callable[[str], object]) -> None:
        """Make a change that is more than elements.

        Args:
            steps: It.
            run: Runs commands of nft.

        Raises:
            RealmGatewayError: One of its transactions was refused, as `run` says; those before it were not.
        """
        if steps.before:
            run(steps.before)
        for some in (steps.elements, *steps.slices):
            self.run(some)
        if steps.after:
            run(steps.after)

    def close(self) -> None:
        """Give the socket back; the next call opens another one."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _opened(self) -> socket.socket:
        if self._channel is None:
            self._channel, self._room = self._open(), 0
        return self._channel
