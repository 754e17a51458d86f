"""A listing of flows that leaves the processor to others, on a clock that each read advances."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.ending import end_all
from realmgw.datapath.netlink import flows
from realmgw.datapath.netlink.unhurried import READS, REST, Unhurried
from realmgw.test.datapath.answers import AnsweringChannel, done

READ = 0.25  # seconds
"""So long a read takes."""


class SlowChannel(AnsweringChannel):
    """One whose reads take their time."""

    def __init__(self, clock: Clock, reads: int) -> None:
        """So many, of which none has a flow, but for the end."""
        super().__init__(*[done(9)] * (reads - 1), done(1))
        self.clock = clock

    def recv(self, size: int) -> bytes:
        """The next one."""
        self.clock.advance(READ)
        return super().recv(size)


class UnhurriedTests(SynchronousTestCase):
    """Who waits for the end, and who does not."""

    def rests(self, reads: int, *, is_awaited: list[bool]) -> list[float]:
        """How long others had their turn in a listing of so many reads; whether it is awaited, each time it asks."""
        clock, rests = Clock(), list[float]()
        channel = Unhurried(SlowChannel(clock, reads), lambda: is_awaited.pop(0), clock.seconds, rests.append)
        self.assertEqual(
            end_all(channel, AnsweringChannel(), flows.sources([bytes(4)]), {flows.AF_INET}, lambda _: True), 0
        )
        self.assertEqual(is_awaited, [])
        return rests

    def test_rests_for_as_long_as_says_what_was_used(self) -> None:
        """After each portion, and what it has waited itself is not counted."""
        usual = REST * READ * READS
        self.assertEqual(self.rests(2 * READS + 1, is_awaited=[False, False]), [usual - REST * READ, usual])

    def test_makes_haste_as_soon_as_somebody_waits(self) -> None:
        """From the next portion on, and for no longer than that."""
        self.assertEqual(len(self.rests(4 * READS, is_awaited=[True, False, True, False])), 2)

    def test_what_is_short_never_rests(self) -> None:
        """As most listings are."""
        self.assertEqual(self.rests(READS - 1, is_awaited=[]), [])
