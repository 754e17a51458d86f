"""Tests of which address is lent: not one where others may come who were told the same as who came there last."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.habits import COMPANIONS, LATER, LONERS
from realmgw.allocation.serving import Serving
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, Scene, service

ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN = (service(index) for index in range(1, 8))
SLOWEST = 0.3  # seconds


class CompanyTests(SynchronousTestCase):
    """A resolver asks once for all who ask within its round trip, and nobody had to wait for the answer."""

    def told(self, addresses: int = 4) -> Scene:
        """A resolver of several clients was told as many hosts as there are addresses; one client came for each."""
        scene = Scene(addresses)
        scene.learn_delays(RESOLVER, SLOWEST)
        group = scene.allocator.groups.of(RESOLVER)
        group.habits.caution.trust(9.0)
        for number, asked in enumerate((ONE, TWO, THREE, FOUR)[:addresses]):
            scene.come(scene.get(asked, now=0.01 * number), CLIENT, now=0.01 * number + 0.001)
        return scene

    def until(self, scene: Scene) -> float:
        """Until when clients may come for what was told first, in seconds."""
        return scene.allocator.groups.of(RESOLVER).delay_p999

    def test_its_address_is_left_alone_until_they_have_come(self) -> None:
        """The second client reaches the same host; the next name waits for no longer than others may come."""
        scene = self.told()
        self.assertIsNone(scene.wait(FIVE, OTHER, "waits", now=0.05))
        until = self.until(scene)
        scene.allocator.expire(now=until - 0.01)
        self.assertEqual(scene.told, [])
        for packed, asked in zip(list(scene.allocator.pool.addresses), (ONE, TWO), strict=False):
            self.assertEqual(scene.come(packed, NEIGHBOUR, now=until - 0.01), asked.host.index)
        scene.allocator.expire(now=until + 0.01)
        self.assertEqual([question for question, _ in scene.told], ["waits"])

    def test_the_address_is_that_where_they_have(self) -> None:
        """Whichever lingers longest."""
        scene = self.told()
        addresses = list(scene.allocator.pool.addresses.values())
        addresses[0].came_at = addresses[1].came_at = 0.9
        for address in addresses[:2]:
            [reservation] = address.reservations.values()
            reservation.told = dict.fromkeys(reservation.told, 0.9)
        self.assertEqual(scene.get(FIVE, OTHER, now=1.0), addresses[2].packed)

    def test_no_longer_than_they_come_after_the_first(self) -> None:
        """As far as is known."""
        scene = self.told()
        for _ in range(COMPANIONS):
            scene.allocator.groups.of(RESOLVER).habits.came_together(0.1)
        over = 0.001 + LATER * 0.1
        self.assertIs(scene.ask(FIVE, OTHER, now=over - 0.01), Reason.EXHAUSTED)
        scene.get(FIVE, OTHER, now=over)

    def test_nor_than_until_nearly_all_have_come(self) -> None:
        """Of its clients, after they were told."""
        scene = self.told()
        scene.allocator.groups.of(RESOLVER).nearly_all = 0.02
        self.assertIs(scene.ask(FIVE, OTHER, now=0.019), Reason.EXHAUSTED)
        scene.get(FIVE, OTHER, now=0.021)

    def test_nor_than_is_set(self) -> None:
        """The same setting bounds for how long an address is kept for them."""
        scene = Scene(4, hold_after_use=0.1)
        scene.allocator.groups.of(RESOLVER).habits.caution.trust(9.0)
        for asked in (ONE, TWO, THREE, FOUR):
            scene.come(scene.get(asked, now=0.0), CLIENT, now=0.01)
        self.assertIs(scene.ask(FIVE, OTHER, now=0.1), Reason.EXHAUSTED)
        scene.get(FIVE, OTHER, now=0.111)

    def test_not_where_others_never_come(self) -> None:
        """So often no other one had come when an answer was waited for."""
        scene = self.told()
        habits = scene.allocator.groups.of(RESOLVER).habits
        for _ in range(LONERS):
            habits.met(others=False)
        scene.get(FIVE, OTHER, now=0.05)

    def test_nor_where_it_asks_for_one_client_alone(self) -> None:
        """As far as was seen."""
        scene = Scene(4)
        for asked in (ONE, TWO, THREE, FOUR):
            scene.come(scene.get(asked, now=0.0), CLIENT, now=0.01)
        scene.get(FIVE, OTHER, now=0.02)

    def test_nor_where_addresses_are_scarce(self) -> None:
        """Where names wait for half of them there is no time to lose; nor in a pool of two, where one is half."""
        scene = self.told()
        self.assertIsNone(scene.wait(FIVE, OTHER, 5, now=0.05))
        self.assertEqual(scene.told, [])
        self.assertIsNone(scene.wait(SIX, OTHER, 6, now=0.06))
        scene.allocator.expire(now=0.07)
        self.assertEqual([question for question, _ in scene.told], [5])
        self.told(2).get(FIVE, OTHER, now=0.05)

    def test_who_waits_is_served_by_the_same_measure(self) -> None:
        """An address to which clients come for a moment only is left to another; not where half of all are wanted."""
        scene = self.told()
        allocator = scene.allocator
        allocator.groups.of(RESOLVER).habits.remember(0.4, 0.4, until=9.0)
        serving = Serving(allocator.ledger, allocator._queue, allocator.askers)
        for asked, leaves in ((FIVE, True), (SIX, False)):
            self.assertIsNone(scene.wait(asked, OTHER, now=0.05))
            self.assertIs(serving._leaves_soon(ONE, 0.06), leaves)
