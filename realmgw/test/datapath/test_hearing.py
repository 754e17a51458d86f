"""What conntrack tells of flows that begin and end."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.hearing import GROUPS, PER_PERIOD, UNWANTED, FlowEvents, Listener
from realmgw.datapath.netlink.tracked import Tracked
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.netlink.test_counters import message
from realmgw.test.datapath.tracing.test_port import MemoryChannel, MemoryReactor
from realmgw.test.kernel.test_flows import made_up

NEW, DELETE = 0x0100, 0x0102
PERIOD, ROOM = 0.5, 7


def said(kind: int, sport: int = 1, protocol: int = 17) -> bytes:
    """The kernel's message about a flow, of UDP if nothing else is said."""
    return message(kind, made_up(1, "192.168.0.1", "203.0.113.7", sport, protocol)[16:])


class FlowEventsTests(SynchronousTestCase):
    """`FlowEvents`."""

    def setUp(self) -> None:
        """Hears of flows of UDP."""
        self.reactor, self.channels = MemoryReactor(), list[MemoryChannel]()
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[bool, int]] = []
        self.left_out, self.room, self.trouble = 0, ROOM, ""
        listener = Listener(lambda flow: flow[0] == 17, self.tell, self.leave_out, lambda: self.room, PERIOD)
        self.end = FlowEvents(self.reactor, self.open).hear(listener)

    def open(self, **how: Any) -> MemoryChannel:
        """The socket."""
        if self.trouble:
            raise RealmGatewayError(self.trouble)
        self.asked.append(how)
        self.channels.append(MemoryChannel())
        return self.channels[-1]

    def tell(self, begins: bool, flow: Tracked) -> None:
        """Notes it."""
        self.told.append((begins, flow.original.sport))

    def leave_out(self) -> None:
        """Notes it."""
        self.left_out += 1

    def say(self, *messages: bytes) -> int:
        """The kernel tells; returns how much of it is heard."""
        for count, each in enumerate(messages):
            if not self.reactor.readers:
                return count
            self.reactor.readers[0]._take(each)
        return len(messages)

    def test_begins_and_ends_are_told(self) -> None:
        """What else the kernel says is passed over."""
        self.say(said(NEW, 7), said(DELETE, 7), message(0x0103, bytes(4)))
        self.assertEqual(self.told, [(True, 7), (False, 7)])
        self.assertEqual((self.asked[0]["groups"], self.left_out), (GROUPS, 0))

    def test_as_many_are_heard_as_there_is_room_for(self) -> None:
        """The socket is closed then, and opened anew with the next period, at whose begin that is told."""
        self.assertEqual(self.say(*[said(NEW)] * (ROOM + 5)), ROOM)
        self.assertEqual((len(self.told), self.reactor.readers, self.left_out), (ROOM, [], 0))
        self.assertEqual(self.channels[0].number, -1)
        self.reactor.advance(PERIOD)
        self.say(said(NEW, 9))
        self.assertEqual((self.told[-1], len(self.channels), self.left_out), ((True, 9), 2, 1))

    def test_where_few_are_wanted_no_more_is_looked_at(self) -> None:
        """Than is in proportion to the room; and never more than so many."""
        for self.room, most in ((ROOM, UNWANTED * ROOM), (10 * PER_PERIOD, PER_PERIOD)):
            self.reactor.advance(PERIOD)
            self.assertEqual(self.say(*[said(NEW, protocol=6)] * (PER_PERIOD + 1)), most)
        self.reactor.advance(PERIOD)
        self.assertEqual((self.told, self.left_out), ([], 2))

    def test_a_period_is_not_counted_in_the_next(self) -> None:
        """Where there was room for all, nothing is left out, however many there are over time."""
        for _ in range(5):
            self.say(*[said(NEW)] * (ROOM - 1))
            self.reactor.advance(PERIOD)
        self.assertEqual((len(self.told), len(self.channels), self.left_out), (5 * (ROOM - 1), 1, 0))

    def test_who_has_no_room_costs_nothing(self) -> None:
        """Until he has; then he is told again."""
        self.room = 0
        self.reactor.pump([PERIOD] * 4)
        self.assertEqual((self.reactor.readers, self.channels[0].number, self.left_out), ([], -1, 3))
        self.room = ROOM
        self.reactor.advance(PERIOD)
        self.assertEqual((self.say(said(NEW)), self.left_out), (1, 4))

    def test_what_finds_no_room_in_the_kernel_is_told_once(self) -> None:
        """In a period."""
        [listener] = self.reactor.readers
        listener._lost()
        listener._lost()
        self.reactor.pump([PERIOD] * 2)
        self.assertEqual(self.left_out, 1)

    def test_a_socket_that_can_not_be_had_is_tried_again(self) -> None:
        """So is one that the kernel has ended."""
        self.say(*[said(NEW)] * ROOM)
        self.trouble = "too many open files"
        self.reactor.advance(PERIOD)
        self.assertEqual((self.reactor.readers, self.left_out), ([], 1))
        self.trouble = ""
        self.reactor.advance(PERIOD)
        self.assertEqual(self.left_out, 2)
        self.reactor.readers[0].close()
        self.reactor.advance(PERIOD)
        self.assertEqual(self.say(said(NEW)), 1)

    def test_leaves_nothing_behind(self) -> None:
        """While it rests, too."""
        self.say(*[said(NEW)] * ROOM)
        self.end()
        self.end()
        left = self.reactor.readers, self.reactor.getDelayedCalls(), [each.number for each in self.channels]
        self.assertEqual(left, ([], [], [-1]))
