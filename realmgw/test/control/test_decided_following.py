"""Following what is decided, while what was decided before is still asked for."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from realmgw.control.commands import COMMANDS, checked
from realmgw.control.decided import AT_ONCE
from realmgw.control.streaming import PERIOD, Stream
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, TCP
from realmgw.test.control.test_decided import DecidedTestCase


class FollowingTests(DecidedTestCase):
    """The database takes its time."""

    def setUp(self) -> None:
        """It has not answered yet; somebody follows."""
        super().setUp()
        self.answer: Deferred[list[Any]] = Deferred()
        self.asked = self.decided.lately(**checked(COMMANDS["log"], {"limit": "1", "follow": "1"}))

    def recorded(self, given: dict[str, Any], most: int) -> Any:
        """See `DecidedTestCase`."""
        super().recorded(given, most)
        return self.answer

    def told(self, meanwhile: int) -> list[Any]:
        """What is told, where so many packets are refused while the database is asked."""
        for port in range(meanwhile):
            self.log.refuse(self.made.clock.seconds() + 1.0, (CLIENT, self.one, TCP, port, 80), Reason.LATE)
        self.made.clock.advance(2.0)
        self.answer.callback([])
        stream: Stream = self.successResultOf(self.asked)
        told: list[Any] = []
        stream.follow(told.append, lambda: None)
        self.made.clock.advance(PERIOD)
        ((_, look),) = self.repeated.values()
        look()
        look()
        return told

    def test_what_is_decided_meanwhile_is_told(self) -> None:
        """Once, after what was decided before."""
        self.assertEqual([row["source_port"] for row in self.told(3)], [1025, 0, 1, 2])

    def test_what_is_left_out_of_it_is_counted(self) -> None:
        """As of any other period."""
        told = self.told(AT_ONCE + 7)
        self.assertEqual((told[0]["source_port"], told[1], len(told)), (1025, {"left_out": 7}, 2 + AT_ONCE))
