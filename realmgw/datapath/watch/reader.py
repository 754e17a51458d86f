"""Reads tables of nftables without elements, the generation, and whose a transaction was. Edge: netlink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from realmgw.datapath.netlink import codec, events, nftables
from realmgw.datapath.netlink.client import open_socket
from realmgw.datapath.netlink.codec import Channel, InterruptedDumpError
from realmgw.datapath.netlink.nftables import Contents, Table
from realmgw.errors import RealmGatewayError

_ATTEMPTS = 5


class Listening(Channel, Protocol):
    """A netlink socket."""

    def close(self) -> None:
        """Give it back."""


class RulesetReader:
    """Reads what there is of nftables by a socket that is kept: to close one takes longer than all that it is for.

    It belongs to the network namespace of the thread that reads first.

    Args:
        open_channel: Opens one that hears of what these `groups` are told.
    """

    def __init__(self, open_channel: Callable[..., Listening] = open_socket) -> None:
        self._open = open_channel
        self._channel: Listening | None = None
        self._sequence = 0

    def contents(self, table: Table) -> Contents:
        """What is in a table but elements and counts; empty when there is no such table.

        Raises:
            InterruptedDumpError: The ruleset changed meanwhile; ask again.
            RealmGatewayError: The kernel refused.
        """
        found: dict[str, bytes] = {}
        self._sequence += 1
        with self._asking() as channel:
            for request in nftables.requests(table, self._sequence):
                listed = codec.dump(channel, request, "what is in a table", nothing=(codec.ENOENT,))
                nftables.take(listed, table, found)
        return found

    def undivided(self, table: Table) -> Contents:
        """The same of one generation: what changed between two of the listings is read again, a few times at most.

        Raises:
            InterruptedDumpError: As `contents`.
            RealmGatewayError: As `contents`.
        """
        found: Contents = {}
        for _ in range(_ATTEMPTS):
            before = self.generation()
            found = self.contents(table)
            if self.generation() == before:
                break
        return found

    def devices(self, table: Table, flowtable: str) -> frozenset[str]:
        """The interfaces of a flowtable; none where there is no such flowtable.

        Raises:
            RealmGatewayError: The kernel refused.
        """
        self._sequence += 1
        with self._asking() as channel:
            return nftables.devices(channel, table, flowtable, self._sequence)

    def generation(self) -> int:
        """The number of the ruleset's generation.

        Raises:
            RealmGatewayError: The kernel does not tell.
        """
        self._sequence += 1
        with self._asking() as channel:
            return nftables.generation(channel, self._sequence)

    def ports_of(self, transaction: Callable[[], object]) -> frozenset[int]:
        """The netlink port that a transaction comes from; none if others made some all the while.

        Args:
            transaction: Makes one, which does nothing.

        Raises:
            RealmGatewayError: It was refused, or the kernel does not tell.
        """
        for _ in range(_ATTEMPTS):
            with closing(self._open(groups=(events.NFTABLES_GROUP,))) as hearing:
                before = self.generation()
                transaction()
                if self.generation() != before + 1:
                    continue
                heard, ours = events.Transactions(), before + 1  # what others made before may be told first
                while not (ports := {each.port for each in heard.take(_hear(hearing)) if each.generation == ours}):
                    pass
                return frozenset(ports)
        return frozenset()

    def close(self) -> None:
        """Give the socket back."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    @contextmanager
    def _asking(self) -> Iterator[Listening]:
        """The socket, which is given back where an answer was not read to its end."""
        if self._channel is None:
            self._channel = self._open()
        try:
            yield self._channel
        except InterruptedDumpError:
            raise
        except RealmGatewayError:
            self.close()  # what comes later is no answer to what is asked next
            raise


def _hear(hearing: Channel) -> bytes:
    try:
        return hearing.recv(codec.READ_SIZE)
    except OSError as error:
        raise RealmGatewayError(f"netlink: the kernel does not tell who changes the ruleset: {error}") from error
