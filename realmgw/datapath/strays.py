"""Stray senders, of whom the kernel is told many at once, and who of them it has.

A sender is told again when the kernel has not got him any more: his time is over, it has refused him, or the table with
all it had learned was replaced. He counts as known from when the batch was begun that the kernel has acknowledged, so
never for longer than it keeps him. Where it refuses (its set is full), all rest for a moment: under a flood the next
batch would come at once.

Edge: the reactor's timers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from realmgw.datapath.gathering import Gathering
from realmgw.errors import RealmGatewayError

INTERVAL = 0.1  # seconds
"""How long stray senders are collected before the kernel is told of them, all in one transaction."""
WAITING = 4096
"""How many of them wait for that at most; further ones are counted, and told when they come again."""
REST = 1.0  # seconds
"""For so long the kernel is told of nobody after it has refused."""
KNOWN = 16384
"""Of so many it is remembered that the kernel has them; beyond it the oldest are told once more, which does no harm."""


class Strays:
    """The senders that the kernel is told of.

    Args:
        tell: Tells it of addresses, packed; those of IPv6 stand for their /64. Its Deferred fails with
            `RealmGatewayError` when it has refused: then it has taken none of them.
        placements: Another number whenever what it was told of is forgotten.
        clock: The reactor.
        timeout: For how long it keeps each, in seconds; may be changed.

    Attributes:
        told: Of how many it was told.
        lost: Of how many it was not: too many at once, or it has refused.
    """

    def __init__(
        self,
        tell: Callable[[set[bytes]], Deferred[Any]],
        placements: Callable[[], int],
        clock: IReactorTime,
        timeout: float,
    ) -> None:
        self._tell_kernel, self._placements, self._clock = tell, placements, clock
        self.timeout = timeout
        self._gathering: Gathering[bytes] = Gathering(self._tell, clock, INTERVAL)
        self._since: OrderedDict[bytes, float] = OrderedDict()
        self._placement = placements()
        self._refused = False
        self._rests_until = float("-inf")
        self._log = Logger()
        self.told = self.lost = 0

    @property
    def waiting(self) -> int:
        """How many it is told of next."""
        return len(self._gathering.waiting)

    def push(self, source: bytes) -> bool:
        """Have the kernel keep a sender to a rate, unless it does. Cheap: it is told within `INTERVAL`.

        Returns:
            Whether it is told of him for this.
        """
        now, gathering = self._clock.seconds(), self._gathering
        if self._has(source, now) or source in gathering.waiting or source in gathering.batch:
            return False
        if now < self._rests_until or len(gathering.waiting) >= WAITING:
            self.lost += 1
            return False
        gathering.add((source,))
        return True

    def stop(self) -> None:
        """Forget who waits."""
        self._gathering.stop()

    def _has(self, source: bytes, now: float) -> bool:
        """Whether the kernel has a sender."""
        placement = self._placements()
        if placement != self._placement:
            self._placement = placement
            self._since.clear()
        since = self._since.get(source)
        return since is not None and now < since + self.timeout

    @inlineCallbacks
    def _tell(self, batch: set[bytes]) -> Generator[Deferred[Any], Any, None]:
        begun, placement = self._clock.seconds(), self._placements()
        try:
            yield self._tell_kernel(batch)
        except RealmGatewayError as error:
            self.lost += len(batch)
            self._rests_until = self._clock.seconds() + REST
            if not self._refused:  # once a second would be a flood of its own
                self._log.warn(
                    "datapath: stray senders are not taken at present, the next ones are tried again: {error}",
                    error=error,
                )
            self._refused = True
            return
        self.told += len(batch)
        self._refused = False
        if placement == self._placement == self._placements():
            self._note(batch, begun)

    def _note(self, batch: set[bytes], begun: float) -> None:
        known = self._since
        for each in batch:
            known[each] = begun
            known.move_to_end(each)
        while len(known) > KNOWN:
            known.popitem(last=False)
