"""Flows that conntrack knows still, at addresses that pass on: they go on, or are ended, and lead nobody astray."""

from __future__ import annotations

from realmgw.allocation.claims.datagrams import LOOKS
from realmgw.errors import Reason
from realmgw.test.allocation.flows import (
    ONE,
    TWO,
    EndedTestCase,
    idle_of,
)
from realmgw.test.allocation.scene import (
    NEIGHBOUR,
    Scene,
    service,
)


class PassingOnTests(EndedTestCase):
    """Flows that are there still when their address passes on."""

    def passed(self, *, seconds: float, assured: bool, now: float = 20.0, **settings: float) -> tuple[Scene, bytes]:
        """The address passes on while conntrack has the flow still, idle for so long."""
        scene = self.scene(**settings)
        address = self.begun(scene)
        self.entries.flows[self.flow(address)] = self.idle = idle_of(seconds, assured)
        self.assertEqual(scene.get(TWO, now=now), address)
        scene.allocator.datagrams.look(now=now)
        return scene, address

    def test_a_single_exchange_is_ended(self) -> None:
        """Its sender, told the same address for another name, does not reach the host of before."""
        scene, address = self.passed(seconds=3, assured=False)
        self.assertTrue(self.idle.ended)
        self.assertEqual(self.udp(scene, address, now=20.1), -Reason.PASSED_ON)
        self.assertEqual(scene.counters.idle_ended, 1)
        self.assertEqual(self.udp(scene, address, source=NEIGHBOUR, now=20.2), 2)

    def test_a_flow_that_is_alive_is_left_alone(self) -> None:
        """A busy one, and one that keeps itself alive twice a minute."""
        for seconds, assured in ((0, False), (30, True)):
            self.passed(seconds=seconds, assured=assured)
            self.assertFalse(self.idle.ended)

    def test_it_is_ended_later_if_it_falls_silent(self) -> None:
        """As long as the address is another host's it is asked for it again."""
        scene, address = self.passed(seconds=1, assured=False)
        scene.allocator.expire(now=21.0)
        self.assertEqual(len(self.entries.asked), 1)
        self.idle.seconds = 3
        scene.allocator.expire(now=22.1)
        self.assertTrue(self.idle.ended)
        scene.allocator.expire(now=30.0)
        self.assertEqual(self.entries.asked, [self.flow(address)] * 2)

    def test_it_is_looked_at_each_time_that_the_address_passes_on(self) -> None:
        """Also if its own host had the address again in between: then nobody asks."""
        scene, address = self.passed(seconds=1, assured=False)
        scene.allocator.expire(now=22.0)
        self.assertEqual(len(self.entries.asked), 2)
        self.assertEqual(scene.get(ONE, now=23.0), address)
        for now in (24.1, 26.1, 28.1):
            scene.allocator.expire(now=now)
        self.assertEqual(len(self.entries.asked), 2)
        self.assertEqual(scene.get(TWO, now=30.0), address)
        scene.allocator.expire(now=30.0)
        self.assertEqual(len(self.entries.asked), 3)

    def test_it_goes_on_if_it_was_only_slow(self) -> None:
        """While conntrack would have known it, and nobody is expected at the address."""
        scene, address = self.passed(seconds=3, assured=False, linger=1.0)
        self.assertEqual(self.udp(scene, address, source=NEIGHBOUR, now=20.2), 2)
        scene.allocator.expire(now=22.0)
        self.assertEqual(scene.get(TWO, now=30.0), address)
        scene.allocator.expire(now=33.0)  # nobody came, and nobody is expected any more
        self.assertEqual(self.udp(scene, address, now=33.1), 1)

    def test_who_was_refused_once_does_not_reach_the_former_host_later(self) -> None:
        """It may have been the new host's client."""
        scene, address = self.passed(seconds=3, assured=False)
        self.assertEqual(self.udp(scene, address, now=20.1), -Reason.PASSED_ON)
        scene.allocator.expire(now=23.0)
        self.assertEqual(self.udp(scene, address, now=23.1), -Reason.PASSED_ON)

    def test_the_operator_may_have_flows_left_alone(self) -> None:
        """`idle_exchange` and `idle_flow` 0."""
        for assured in (False, True):
            self.passed(seconds=100, assured=assured, idle_exchange=0.0, idle_flow=0.0)
            self.assertFalse(self.idle.ended)

    def test_connections_cost_nothing(self) -> None:
        """Nobody is asked about TCP."""
        scene = self.scene()
        address = scene.get(ONE, now=0.0)
        scene.come(address, now=0.0)
        self.assertEqual(scene.get(TWO, now=20.0), address)
        self.assertFalse(scene.allocator.datagrams.look(now=20.0))
        self.assertEqual(self.entries.asked, [])

    def test_it_is_looked_for_few_at_a_time(self) -> None:
        """However many flows there are: at most a thousand a second."""
        scene = self.scene()
        address = scene.get(ONE, now=0.0)
        for number in range(2000):
            self.udp(scene, address, sport=1 + number, now=0.0)
        scene.get(TWO, now=20.0)
        for tick in range(100):
            scene.allocator.expire(now=20.0 + tick * 0.01)
        self.assertLess(len(self.entries.asked), 1100)
        self.assertGreater(len(self.entries.asked), 900)

    def test_it_is_ended_before_the_new_client_can_come(self) -> None:
        """Within the query: who is answered comes at once, and conntrack lets his packet through to where it knows."""
        scene = self.scene()
        address = self.begun(scene)
        self.entries.flows[self.flow(address)] = idle = idle_of(3, assured=False)
        scene.get(TWO, now=20.0)
        self.assertTrue(idle.ended)

    def test_it_is_ended_before_what_was_left_of_others(self) -> None:
        """Of whose addresses somebody has been told already."""
        self.addresses = 2
        scene = self.scene()
        crowded, address = scene.get(TWO, now=0.0), scene.get(ONE, now=0.0)
        for number in range(2 * LOOKS):
            self.udp(scene, crowded, sport=1 + number, now=0.0)
        self.udp(scene, address, now=0.0)
        self.entries.flows[self.flow(address)] = idle = idle_of(3, assured=False)
        self.assertEqual(scene.get(service(3), now=20.0), crowded)
        self.assertEqual(len(self.entries.asked), LOOKS)
        self.assertEqual(scene.get(service(4), now=20.001), address)
        self.assertTrue(idle.ended)

    def test_the_address_that_passed_on_last_comes_first_when_it_is_looked_again(self) -> None:
        """Of several that passed on when no more flows could be looked at: its new client is the next to come."""
        self.addresses = 3
        scene = self.scene()
        crowded, *addresses = (scene.get(service(number), now=0.0) for number in (1, 2, 3))
        for number in range(LOOKS):
            self.udp(scene, crowded, sport=1 + number, now=0.0)
        for address in addresses:
            self.udp(scene, address, now=0.0)
        told = [scene.get(service(number), now=20.0) for number in (4, 5, 6)]
        self.assertEqual((told, len(self.entries.asked)), ([crowded, *addresses], LOOKS))
        for number, now in enumerate((20.0015, 20.003), 1):
            self.assertFalse(scene.allocator.datagrams.look(now=now))
            self.assertEqual(self.entries.asked[LOOKS:], [self.flow(each) for each in addresses[::-1][:number]])

    def test_who_is_told_looks_himself_and_a_timer_does_where_a_flow_goes_on(self) -> None:
        """It may be another host's address by then, and nobody is told of it."""
        scene, called = self.scene(linger=1.0), list[str]()
        scene.allocator.datagrams.soon = lambda: called.append("soon")
        address = self.begun(scene)
        self.entries.flows[self.flow(address)] = idle_of(3, assured=False)
        scene.get(TWO, now=20.0)
        self.assertEqual(called, [])
        scene.allocator.expire(now=30.0)  # nobody came, and nobody is expected any more
        self.assertEqual(self.udp(scene, address, now=30.1), 1)
        self.assertEqual(called, ["soon"])

    def test_what_conntrack_does_not_know_has_ended(self) -> None:
        """It is not asked for again."""
        scene = self.scene()
        address = self.begun(scene)
        scene.get(TWO, now=20.0)
        scene.allocator.expire(now=20.0)
        self.assertEqual(self.udp(scene, address, now=20.5), -Reason.PASSED_ON)
        for now in (30.0, 40.0):
            scene.allocator.expire(now=now)
        self.assertEqual(self.entries.asked, [self.flow(address)])
