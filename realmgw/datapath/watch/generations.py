"""Whose a generation of the ruleset is. Our own are known where they can not be told by the socket that they come from.

Each transaction makes a generation. libnftables' transactions all come from one socket, by whose port they are known;
the programs `nft` and `iptables` are another process each time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import attrs

from realmgw.datapath.netlink.events import Transaction
from realmgw.datapath.netlink.nftables import Table
from realmgw.datapath.nft import Libnftables, Nft
from realmgw.datapath.watch.reader import RulesetReader

REMEMBERED = 1024
"""So many of them, the latest ones."""


@attrs.frozen
class Culprit:
    """Somebody else who has changed a table: what his transaction is known by."""

    tables: frozenset[Table]
    """One of these was changed."""
    after: int
    """What made this generation, or one before it, was undone already."""
    until: float
    """What was found was done by then."""
    own: frozenset[int]
    """Generations of ours."""

    def among(self, transactions: Iterable[Transaction]) -> Transaction | None:
        """The last transaction that it may have been."""
        found = (
            each
            for each in transactions
            if self.after < each.generation <= self.until
            and each.generation not in self.own
            and not self.tables.isdisjoint(each.tables)
        )
        return max(found, key=lambda each: each.generation, default=None)


class Generations:
    """Those that we made.

    Args:
        read: Tells the present generation's number.
    """

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._own: deque[int] = deque(maxlen=REMEMBERED)

    def __contains__(self, generation: int) -> bool:
        return generation in self._own

    def culprit(self, *tables: Table, after: int, until: float = math.inf) -> Culprit:
        """Who has changed one of these tables, other than we; see there."""
        return Culprit(frozenset(tables), after, until, frozenset(self._own))

    @contextmanager
    def ours(self) -> Iterator[None]:
        """One transaction of ours is made within, unless it fails.

        When somebody else made one at the same time, neither is taken for ours: rather one repair too many.
        """
        before = self._read()
        yield
        after = self._read()
        if after == before + 1:
            self._own.append(after)


class OwnNft(Nft):
    """Access to nftables whose transactions are known for ours. It is made at its first use, and in that thread.

    Args:
        open_nft: Makes the access itself.
        generations: Where transactions of a program are noted; those of the library are known by their port.
    """

    def __init__(self, open_nft: Callable[[], Nft], generations: Generations) -> None:
        self._open = open_nft
        self._nft: Nft | None = None
        self._generations = generations

    def run(self, commands: str, *, dry: bool = False) -> str:
        nft = self._opened()
        if dry or isinstance(nft, Libnftables):
            return nft.run(commands, dry=dry)
        with self._generations.ours():
            return nft.run(commands)

    def ports(self, reader: RulesetReader, table: str) -> frozenset[int]:
        """The netlink port that transactions come from, until this is closed; none where it is not the same each time.

        Args:
            reader: Finds it out.
            table: Ours; one of a similar name comes and goes.

        Raises:
            RealmGatewayError: That was refused, or the kernel does not tell.
        """
        hello = f"table inet {table}_probe\ndelete table inet {table}_probe\n"
        return reader.ports_of(lambda: self.run(hello)) if isinstance(self._opened(), Libnftables) else frozenset()

    def close(self) -> None:
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    def _opened(self) -> Nft:
        if self._nft is None:
            self._nft = self._open()
        return self._nft
