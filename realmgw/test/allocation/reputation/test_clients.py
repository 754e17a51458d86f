"""Tests of the first clients of a resolver: whether they are its own, and not forged packets."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.caution import NAMES, Caution
from realmgw.allocation.reputation.clients import AGAIN, ANSWERED, CERTAIN
from realmgw.allocation.strangers import GENERATION
from realmgw.test.allocation.claims.test_candidates import Conntrack
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, TCP, Scene, pool_address, service

ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))


def flow(source: bytes) -> Flow:
    """Of somebody."""
    return source, pool_address(1), TCP, 1234, 80


class ClientsTests(SynchronousTestCase):
    """`Clients`, as `Caution` looks at them."""

    def setUp(self) -> None:
        """What is said of whom; None: it is not known yet."""
        self.said: dict[bytes, bool | None] = {}
        self.caution = Caution()

    def come(self, *sources: bytes, now: float = 0.0, likely: int = CERTAIN) -> None:
        """Somebody comes, and several names were asked for."""
        for source in sources:
            if self.caution.is_new(source):
                self.caution.served(flow(source), likely, now, lambda flow, _: self.said.get(flow[0]))
        for _ in range(NAMES):
            self.caution.asked(now)
        self.caution.look(now)

    def test_what_is_not_known_yet_is_taken_for_granted(self) -> None:
        """Or the first clients of a new one that keeps answers would go astray. It is over when nobody was answered."""
        self.come(CLIENT, NEIGHBOUR)
        self.assertTrue(self.caution.is_on)
        self.caution.look(ANSWERED - 0.1)
        self.assertTrue(self.caution.is_on)
        self.caution.look(ANSWERED)
        self.assertEqual(
            (self.caution.is_on, self.caution.is_tried, self.caution.serves_several), (False, False, False)
        )

    def test_but_not_twice(self) -> None:
        """Who was deceived waits until it is known; then it is assumed, whoever comes later."""
        self.come(CLIENT, NEIGHBOUR)
        self.come(now=1.0)
        self.come(CLIENT, NEIGHBOUR, now=1.0)
        self.assertEqual((self.caution.serves_several, self.caution.is_on), (True, False))
        self.said.update({CLIENT: True, NEIGHBOUR: True})
        self.caution.look(1.1)
        self.assertTrue(self.caution.is_on)
        self.said.clear()
        self.caution.look(1.1 + ANSWERED)
        self.assertTrue(self.caution.is_on)

    def test_who_is_none_of_its_own_is_forgotten_at_once(self) -> None:
        """The next one counts in his place."""
        self.said.update({CLIENT: True, NEIGHBOUR: False, STRAY: True})
        self.come(CLIENT, NEIGHBOUR)
        self.assertEqual((self.caution.serves_several, self.caution.is_on), (False, False))
        self.come(CLIENT, now=0.1)
        self.assertFalse(self.caution.serves_several)
        self.come(STRAY, now=0.1)
        self.assertTrue(self.caution.is_on)

    def test_who_may_be_another_ones_counts_as_a_part_of_one(self) -> None:
        """Who is certain counts for several of them."""
        others = [bytes((198, 51, 101, number)) for number in range(CERTAIN)]
        self.come(*others[1:], likely=1)
        self.come(CLIENT)
        self.assertEqual((self.caution.serves_several, self.caution.is_on), (False, False))
        self.come(others[1], likely=1)  # again
        self.assertFalse(self.caution.serves_several)
        self.come(others[0], likely=1)
        self.assertEqual((self.caution.serves_several, self.caution.is_on), (True, True))

    def test_of_who_was_answered_it_is_seldom_looked_again(self) -> None:
        """For half a second, whether anything speaks against him: to ask costs something, and a busy one asks often."""
        asked: list[float] = []

        def is_client(*_: object) -> bool:
            asked.append(now)
            return True

        for source in (CLIENT, NEIGHBOUR):
            self.caution.served(flow(source), CERTAIN, 0.0, is_client)
        self.caution._names = NAMES
        for number in range(1000):
            now = number / 1000
            self.caution.look(now)
        self.assertTrue(self.caution.is_on)
        self.assertLessEqual(len(asked), 2 * (round(ANSWERED / AGAIN) + 1))
        self.assertGreater(max(asked), ANSWERED - AGAIN)

    def test_whom_an_earlier_run_trusted_needs_none(self) -> None:
        """Nobody has come yet."""
        self.caution.trust(5.0)
        self.caution.look(4.0)
        self.assertEqual((self.caution.serves_several, self.caution.is_on), (True, False))


class WhoTests(SynchronousTestCase):
    """Who is taken for a client when that is looked at again."""

    def tried(self, sources: tuple[bytes, bytes], *, answered: bool = True, asks: str = "") -> bool:
        """Whether something is assumed of a resolver for whose claims these came, half a second before."""
        conntrack = Conntrack()
        conntrack.said.update(dict.fromkeys(sources, answered))
        scene = Scene(6, answered=conntrack.answered)
        for number, source in enumerate(sources):
            scene.come(scene.get((ONE, TWO)[number], now=0.0), source, now=0.1)
        if asks:
            scene.get(FOUR, asks, now=0.2)
        scene.get(THREE, now=0.2 + ANSWERED)
        return scene.allocator.groups.of(RESOLVER).habits.caution.is_on

    def test_who_was_answered(self) -> None:
        """Whoever forged a packet is not."""
        self.assertEqual(
            [self.tried((CLIENT, NEIGHBOUR), answered=answered) for answered in (True, False)], [True, False]
        )

    def test_not_who_asks_for_himself(self) -> None:
        """As another one; nor the resolver itself, who comes for what he has asked for himself."""
        cases = (("198.51.100.1", False), (OTHER, True))
        self.assertEqual(
            [self.tried((CLIENT, NEIGHBOUR), asks=asks) for asks, _ in cases], [tried for _, tried in cases]
        )
        self.assertFalse(self.tried((CLIENT, IPv4Address(RESOLVER).packed)))

    def test_not_who_has_knocked_everywhere_since(self) -> None:
        """Nor who is known by then to be the client of one that is trusted."""
        scene = Scene(6)
        for number, source in enumerate((CLIENT, STRAY)):
            scene.come(scene.get((ONE, TWO)[number], now=0.0), source, now=0.1)
        free = [each.packed for each in scene.allocator.pool.addresses.values() if not each.reservations]
        for packed in free[:2]:
            scene.come(packed, STRAY, now=0.2)
        scene.get(THREE, now=0.3)
        caution = scene.allocator.groups.of(RESOLVER).habits.caution
        self.assertFalse(caution.is_on)
        self.assertGreater(GENERATION, 0.3)
