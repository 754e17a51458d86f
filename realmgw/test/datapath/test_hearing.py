"""What conntrack tells of flows that begin and end."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.hearing import GROUPS, PER_SECOND, FlowEvents
from realmgw.datapath.netlink.tracked import Tracked
from realmgw.test.datapath.netlink.test_counters import message
from realmgw.test.datapath.tracing.test_port import MemoryChannel, MemoryReactor
from realmgw.test.kernel.test_flows import made_up

NEW, DELETE = 0x0100, 0x0102


def said(kind: int, sport: int = 1) -> bytes:
    """The kernel's message about a flow of UDP."""
    return message(kind, made_up(1, "192.168.0.1", "203.0.113.7", sport)[16:])


class FlowEventsTests(SynchronousTestCase):
    """`FlowEvents`."""

    def setUp(self) -> None:
        """Hears of flows from odd ports."""
        self.reactor, self.channel = MemoryReactor(), MemoryChannel()
        self.asked: list[dict[str, Any]] = []
        self.told: list[tuple[bool, int]] = []
        self.lost = 0
        self.end = FlowEvents(self.reactor, self.open).hear(lambda flow: flow[0] == 17, self.tell, self.lose)

    def open(self, **how: Any) -> MemoryChannel:
        """The socket."""
        self.asked.append(how)
        return self.channel

    def tell(self, begins: bool, flow: Tracked) -> None:
        """Notes it."""
        self.told.append((begins, flow.original.sport))

    def lose(self) -> None:
        """Notes it."""
        self.lost += 1

    def say(self, *messages: bytes) -> None:
        """The kernel tells."""
        for each in messages:
            for reader in self.reactor.readers:
                reader._take(each)

    def test_begins_and_ends_are_told(self) -> None:
        """What else the kernel says is passed over."""
        self.say(said(NEW, 7), said(DELETE, 7), message(0x0103, bytes(4)))
        self.assertEqual(self.told, [(True, 7), (False, 7)])
        self.assertEqual(self.asked[0]["groups"], GROUPS)

    def test_so_many_are_heard_in_a_second(self) -> None:
        """The others wait in the kernel; what finds no room there is told to be lost."""
        self.say(*[said(NEW)] * (PER_SECOND + 5))
        self.assertEqual((len(self.told), self.reactor.readers), (PER_SECOND, []))
        self.reactor.advance(1.0)
        self.say(said(NEW, 9))
        self.assertEqual(self.told[-1], (True, 9))
        [ear] = self.reactor.readers
        ear._lost()
        self.assertEqual(self.lost, 1)

    def test_leaves_nothing_behind(self) -> None:
        """While it rests, too."""
        self.say(*[said(NEW)] * PER_SECOND)
        self.end()
        self.end()
        self.assertEqual((self.reactor.readers, self.reactor.getDelayedCalls(), self.channel.number), ([], [], -1))
