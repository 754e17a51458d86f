"""What it costs to follow what is decided, in bytecodes: as much however much is decided."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.decisionlog import CLAIM
from realmgw.control.commands import COMMANDS, checked
from realmgw.control.decided import Decided
from realmgw.control.streaming import Stream
from realmgw.dashboard.feeds import ROOM
from realmgw.test.allocation.scene import CLIENT, RESOLVER, TCP, service
from realmgw.test.control.parts import TestGateway
from realmgw.test.pauses import Bytecodes

ONE, ADDRESS = service(1), b"\xc0\0\2\1"


class FollowingTests(SynchronousTestCase):
    """One follows all decisions, with room for as many as a page has."""

    def setUp(self) -> None:
        """He has begun."""
        self.made = TestGateway(Path(self.mktemp()))
        self.looks = list[Callable[[], object]]()
        now = self.made.clock.seconds
        self.log = self.made.allocator.ledger.decisions
        decided = Decided(
            self.made.running, self.log, self.made.reloader.drive, self.repeat, lambda *_: succeed([]), now, now
        )
        given = checked(COMMANDS["log"], {"limit": "0", "follow": "1"})
        stream: Stream = self.successResultOf(decided.lately(**given))
        self.told = list[Any]()
        stream.room = ROOM
        stream.follow(self.told.append, lambda: None)

    def repeat(self, _: float, do: Callable[[], object]) -> Callable[[], object]:
        """Notes it."""
        self.looks.append(do)
        return lambda: None

    def steps(self, many: int) -> int:
        """What it costs to tell of so many flows."""
        group = self.made.allocator.groups.of(RESOLVER)
        for port in range(many):
            self.made.clock.advance(0.0001)
            now = self.made.clock.seconds()
            number = self.log.answer(now, ONE, group, None, ADDRESS)
            self.log.admit(now, number, ONE.name, (CLIENT, ADDRESS, TCP, port, 80), CLAIM)
        self.made.clock.advance(0.0001)
        counts = Bytecodes()
        [look] = self.looks
        with counts.counting():
            look()
        return counts.steps

    def test_it_costs_as_much_however_much_is_decided(self) -> None:
        """What is not told is counted, and not looked at."""
        few, many = self.steps(10 * ROOM), self.steps(400 * ROOM)
        self.assertEqual([row["left_out"] for row in self.told if "left_out" in row], [19 * ROOM, 799 * ROOM])
        self.assertLess(many, few + 2000)
