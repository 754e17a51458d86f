"""Which generations of the ruleset are our own, where they can not be told by the socket that they come from.

Each transaction makes a generation. libnftables' transactions all come from one socket, by whose port they are known;
the programs `nft` and `iptables` are another process each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from realmgw.datapath.nft import Nft

REMEMBERED = 1024
"""So many of them, the latest ones."""


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


class OwnNft:
    """Access to nftables whose transactions are known for ours.

    Args:
        nft: The access itself.
        generations: Where they are noted.
    """

    def __init__(self, nft: Nft, generations: Generations) -> None:
        self._nft = nft
        self._generations = generations

    def run(self, commands: str, *, dry: bool = False) -> str:
        """See `realmgw.datapath.nft.Nft.run`."""
        if dry:
            return self._nft.run(commands, dry=True)
        with self._generations.ours():
            return self._nft.run(commands)

    def close(self) -> None:
        """See `realmgw.datapath.nft.Nft.close`."""
        self._nft.close()
