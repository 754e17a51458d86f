"""Names that flows were opened by, taken now and then."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation import opened as module
from realmgw.allocation.arrivals import MEMORY
from realmgw.allocation.opened import Opened
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.test.allocation import scene as scene4
from realmgw.test.allocation.ipv6 import scene as scene6
from realmgw.test.allocation.ipv6.scene import Scene6
from realmgw.test.allocation.scene import CLIENT, Scene


class OpenedTests(SynchronousTestCase):
    """Of IPv4."""

    def setUp(self) -> None:
        """A few addresses."""
        self.scene = Scene(8)
        self.opened = Opened(self.scene.allocator)

    def visit(self, index: int, now: float) -> tuple[bytes, str]:
        """A client comes to another host; the address, and its name."""
        service = scene4.service(index, 6, 80)
        return self.scene.visit(service, now=now, after=0.1), service.name

    def taken(self) -> list[tuple[bytes, str]]:
        """What is told now: addresses and names."""
        found = self.opened.take()
        self.assertEqual({flow[0] for flow, _ in found} | {CLIENT}, {CLIENT})
        return [(flow[1], name) for flow, (name, _) in found]

    def test_each_flow_is_told_once(self) -> None:
        """In order, however often it is asked in between."""
        self.assertEqual(self.taken(), [])
        one, two = self.visit(1, 0.0), self.visit(2, 0.2)
        self.assertEqual(self.taken(), [one, two])
        self.assertEqual(self.taken(), [])
        three = self.visit(3, 0.4)
        self.assertEqual(self.taken(), [three])

    def test_with_the_trace_id_of_the_answer(self) -> None:
        """Each with its own, also one at the same address."""
        self.visit(1, 0.0)
        self.visit(2, 0.2)
        numbers = [number for _, (_, number) in self.opened.take()]
        last = self.scene.allocator.ledger.decisions.number
        self.assertEqual(numbers, [last - 1, last])
        self.visit(3, 0.4)
        self.assertEqual([number for _, (_, number) in self.opened.take()], [last + 1])

    def test_nothing_is_missing_when_the_memory_turns(self) -> None:
        """What came after it was asked last, and before the turn; and what came since."""
        self.visit(1, 0.0)
        self.taken()
        two, three = self.visit(2, 0.2), self.visit(3, MEMORY)
        self.assertEqual(self.taken(), [two, three])
        four = self.visit(4, MEMORY + 0.2)
        self.assertEqual(self.taken(), [four])


class FreshTests(SynchronousTestCase):
    """Of IPv6: addresses of claims, and hosts' own."""

    def test_fresh_addresses_are_noted_while_it_is_wanted(self) -> None:
        """And no more of them than can be kept."""
        scene = Scene6()
        opened, services = Opened(scene.allocator), [scene6.service(scene6.host(number)) for number in range(1, 6)]
        scene.come(scene.get(services[0]))
        self.assertEqual(opened.take(), [])
        opened.watch(on=True)
        self.patch(module, "MOST", 2)
        for service in services[1:4]:
            scene.come(scene.get(service))
        self.assertEqual([name for _, (name, _) in opened.take()], [each.name for each in services[1:3]])
        opened.watch(on=False)
        scene.come(scene.get(services[4]))
        self.assertEqual(opened.take(), [])

    def test_pinholes_are_told_as_well(self) -> None:
        """They are remembered as those of IPv4 are."""
        scene = Scene6()
        opened, service = Opened(scene.allocator), scene6.service(scene6.host(1, mode=Ipv6Mode.PINHOLE))
        opened.watch(on=True)
        scene.come(scene.get(service))
        self.assertEqual([name for _, (name, _) in opened.take()], [service.name])
