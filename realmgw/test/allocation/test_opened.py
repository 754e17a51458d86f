"""Names that flows were opened by, taken now and then."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation import opened as module
from realmgw.allocation.admittedlog import EACH, Entry, values
from realmgw.allocation.opened import LEAST, NAMELESS, Opened
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.config.settings import Allocation
from realmgw.records.frames import flows
from realmgw.test.allocation import scene as scene4
from realmgw.test.allocation.ipv6 import scene as scene6
from realmgw.test.allocation.ipv6.scene import Scene6
from realmgw.test.allocation.scene import CLIENT, Scene
from realmgw.test.pauses import Bytecodes


def taken(opened: Opened) -> list[Entry]:
    """What is told now."""
    count, octets = opened.take()
    found = values(octets)
    assert len(found) == count
    assert flows(octets) == found  # a recorder reads the same
    return found


class OpenedTests(SynchronousTestCase):
    """Of IPv4."""

    def setUp(self) -> None:
        """A few addresses."""
        self.scene = Scene(8)
        self.log = self.scene.allocator.ledger.decisions
        self.opened = Opened(self.scene.allocator)
        self.opened.watch(on=True)

    def visit(self, index: int, now: float) -> tuple[bytes, str]:
        """A client comes to another host; the address, and its name."""
        service = scene4.service(index, 6, 80)
        return self.scene.visit(service, now=now, after=0.1), service.name

    def taken(self) -> list[tuple[bytes, str]]:
        """What is told now: addresses and names."""
        found = taken(self.opened)
        self.assertEqual({flow[0] for _, _, _, flow, _ in found} | {CLIENT}, {CLIENT})
        return [(flow[1], name) for _, _, name, flow, _ in found]

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
        numbers = [number for _, number, *_ in taken(self.opened)]
        last = self.log.number
        self.assertEqual(numbers, [last - 1, last])
        self.visit(3, 0.4)
        self.assertEqual([number for _, number, *_ in taken(self.opened)], [last + 1])

    def test_they_are_told_where_the_log_shows_fewer(self) -> None:
        """Or none at all; nobody else is told of them, and they are forgotten when nobody wants them."""
        for shown in (0, 1):
            self.log.configure(Allocation(decisions=shown))
            came = [self.visit(index, 10.0 * shown + index) for index in (1, 2, 3)]
            self.assertEqual(self.taken(), came)
            self.assertEqual(len(self.log.logs()[1]), shown)
            self.assertEqual(len(self.log.news(0.0, 99)[0][1]), shown)
        self.assertEqual(self.log.oldest(99.0), 13.0)  # the last answer
        self.log.configure(Allocation(decisions=0))
        self.assertEqual(self.log.oldest(99.0), 99.0)
        self.opened.watch(on=False)
        self.assertEqual(len(self.log.admitted), 0)

    def test_what_is_not_taken_is_bounded(self) -> None:
        """The latest are there; those that were there already stay when others are wanted."""
        self.patch(module, "LEAST", 2 * EACH)
        self.log.configure(Allocation(decisions=EACH))
        self.opened.watch(on=True)
        came = [self.visit(1 + index % 7, float(index)) for index in range(5 * EACH + 3)]
        self.assertEqual(self.taken(), came[3 * EACH :])

    def test_whoever_begins_anew_is_given_all_that_are_there(self) -> None:
        """As often as he does."""
        came = [self.visit(index, float(index)) for index in (1, 2, 3)]
        for _ in range(2):
            self.assertEqual(self.taken(), came)
            self.assertEqual(self.taken(), [])
            self.opened.again()

    def test_it_costs_as_much_however_many_there_are(self) -> None:
        """Nothing of ours is called for each of them."""
        counts = [Bytecodes(), Bytecodes()]
        for many, each in zip((1, LEAST - 1), counts, strict=True):
            flow = CLIENT, CLIENT, 6, 1, 80
            for number in range(many):
                self.log.admit(float(many), number, "a.", flow, 1)
            with each.counting():
                found, _ = self.opened.take()
            self.assertEqual(found, many)
        self.assertLess(counts[1].steps, counts[0].steps + 20)

    def test_the_name_of_what_goes_on_is_not_known(self) -> None:
        """The log has its host's."""
        self.log.admit(0.0, 0, "host.", (CLIENT, CLIENT, 17, 1, 80), NAMELESS)
        self.assertEqual([way for *_, way in taken(self.opened)], [NAMELESS])


class FreshTests(SynchronousTestCase):
    """Of IPv6: addresses of claims, and hosts' own."""

    def test_fresh_addresses_and_pinholes_are_told_as_well(self) -> None:
        """Once each, in the order in which they came."""
        scene = Scene6()
        modes = (Ipv6Mode.POOL, Ipv6Mode.PINHOLE, Ipv6Mode.POOL)
        services = [scene6.service(scene6.host(number, mode=mode)) for number, mode in enumerate(modes, 1)]
        opened = Opened(scene.allocator)
        for service in services:
            scene.come(scene.get(service))
        self.assertEqual([name for _, _, name, *_ in taken(opened)], [each.name for each in services])
        self.assertEqual(opened.take()[0], 0)
