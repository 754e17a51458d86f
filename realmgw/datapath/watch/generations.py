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
from realmgw.datapath.nft import Nft

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
    """Access to nftables whose transactions are known for ours.

    Args:
        nft: The access itself.
        generations: Where they are noted.
    """

    def __init__(self, nft: Nft, generations: Generations) -> None:
        self._nft = nft
        self._generations = generations

    def run(self, commands: str, *, dry: bool = False) -> str:
        if dry:
            return self._nft.run(commands, dry=True)
        with self._generations.ours():
            return self._nft.run(commands)

    def close(self) -> None:
        self._nft.close()
