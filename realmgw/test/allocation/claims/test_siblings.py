"""Tests of `realmgw.allocation.claims.siblings`: what is held against whom, also before anything is learned."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.siblings import has_come
from realmgw.config.policy import REFERENCE_BANDS, Policy
from realmgw.errors import Reason
from realmgw.test.allocation.ipv6.scene import CLIENT, CLIENT4, NEIGHBOUR, Scene6, host, service
from realmgw.test.allocation.scene import OTHER, RESOLVER

ONE, TWO = (service(host(index)) for index in (1, 2))


class BlameTests(SynchronousTestCase):
    """A resolver of which nothing is known, whose clients have both families, on one address of IPv4."""

    def setUp(self) -> None:
        """Somebody always wants an address in vain, so that each one counts that nobody comes for."""
        self.scene = Scene6(1, pairs=0.5, policy=Policy(system_load=REFERENCE_BANDS))
        self.group = self.scene.allocator.groups.of(RESOLVER)

    def outcomes(self) -> tuple[float, float]:
        """Merit and fault, once everything is over."""
        for _ in range(6):
            self.scene.allocator.ledger.costs.scarce_at = self.scene.now
            self.scene.after(1.0)
        return round(self.group.ok, 2), round(self.group.nok, 2)

    def ask_both(self) -> tuple[bytes, bytes]:
        """A client asks for both families; returns what he is told."""
        four = self.scene.get(ONE, family=4)
        self.scene.after(0.0002)
        return four, self.scene.get(ONE)

    def test_nobody_is_blamed_before_it_is_known_whether_his_client_comes(self) -> None:
        """The claim of IPv4 is dead by experience long before the client comes by IPv6."""
        _, six = self.ask_both()
        self.scene.after(0.6)
        self.scene.allocator.ledger.costs.scarce_at = self.scene.now
        self.assertEqual(self.scene.get(TWO, OTHER, family=4), self.scene.allocator.ledger.last[TWO.target].packed)
        self.assertEqual((self.scene.allocator.counters.lapsed, self.group.nok), (1, 0))
        self.assertEqual(self.scene.come(six), 1)
        self.assertEqual(self.outcomes(), (1, 0))

    def test_who_comes_by_neither_is_blamed_then(self) -> None:
        """For both, each by what it cost."""
        self.ask_both()
        self.scene.after(0.6)
        self.scene.allocator.ledger.costs.scarce_at = self.scene.now
        self.scene.get(TWO, OTHER, family=4)
        self.assertEqual(self.group.nok, 0)
        self.assertEqual(self.outcomes(), (0, 1))

    def test_the_other_way_round(self) -> None:
        """The claim of IPv6 had to make room, before its client came by IPv4."""
        four, _ = self.ask_both()
        claim = next(iter(self.scene.fresh.stock.pending.values()))
        claim.cost = 1.0
        self.scene.fresh.endings.lapse(claim, self.scene.now)
        self.assertEqual(self.group.nok, 0)
        self.assertEqual(self.scene.come(four, CLIENT4), 1)
        self.assertEqual(self.outcomes(), (1, 0))

    def test_who_had_to_wait_is_found_however_many_have_come_since(self) -> None:
        """What is asked for at last is the sibling of what was asked for with it."""
        self.scene.get(TWO, OTHER, family=4)
        for _ in range(20):
            self.scene.wait(ONE)
            self.scene.after(0.0002)
            self.scene.come(self.scene.get(ONE))
            self.scene.after(0.02)
        self.scene.after(0.3)
        self.assertEqual(len(self.scene.told), 20)
        self.assertEqual(self.outcomes(), (20, 0))

    def test_who_was_refused_and_asks_again_is_the_same_client(self) -> None:
        """He had come by IPv6 meanwhile; his resolver asks for IPv4 once more, and nobody comes for that."""
        for order in ((4, 6), (6, 4)):
            self.setUp()
            self.scene.get(TWO, OTHER, "two", family=4)
            for _ in range(3):
                for family in order:
                    if family == 4:
                        self.assertIs(self.scene.ask(ONE, family=4), Reason.EXHAUSTED)
                    else:
                        self.scene.come(self.scene.get(ONE))
                    self.scene.after(0.0002)
                self.scene.after(0.005)
            self.scene.after(1.0)
            for _ in range(3):
                self.scene.get(ONE, family=4)
                self.scene.after(0.005)
            self.assertEqual(self.outcomes(), (3, 0), order)
            self.assertGreater(self.group.pairs, 0.7)

    def test_who_was_refused_is_no_earlier_ones_sibling(self) -> None:
        """Though it looked so until he was; what he asks for again is his."""
        ledger = self.scene.allocator.ledger
        for _ in range(10):
            self.scene.get(ONE, family=4)
        self.scene.after(0.02)
        for _ in range(10):
            six = self.scene.get(ONE)
            self.scene.after(0.0002)
            ledger.siblings.get_none(ONE.target, self.group, self.scene.now)
            self.scene.come(six)
            self.scene.after(0.02)
        self.scene.after(1.0)
        for _ in range(10):
            self.scene.get(ONE, family=4)
        claims = ledger.last[ONE.target].reservations[0].claims.values()
        self.assertEqual([has_come(claim) for claim in claims], [False] * 10 + [True] * 10)

    def test_one_of_them_excuses_one(self) -> None:
        """A resolver that asks again and again is blamed for what nobody wanted."""
        self.scene.get(TWO, OTHER, family=4)
        self.assertIs(self.scene.ask(ONE, family=4), Reason.EXHAUSTED)
        self.scene.come(self.scene.get(ONE))
        self.scene.after(1.1)
        for _ in range(4):
            self.scene.get(ONE, family=4)
        self.assertEqual(self.outcomes(), (1, 3))

    def test_a_packet_is_taken_for_that_of_a_client_who_has_not_come(self) -> None:
        """Of two claims of IPv4, the older one's client came by IPv6."""
        four, six = self.ask_both()
        self.scene.after(0.05)
        self.ask_both()
        self.scene.come(six)
        self.assertEqual(self.scene.come(four, CLIENT4), 1)
        self.assertEqual(self.outcomes(), (2, 0))

    def test_who_was_taken_for_another_is_nobodys_fault(self) -> None:
        """The one who comes by IPv4 uses the older claim; that one's client comes by IPv6 after him."""
        four, six = self.ask_both()
        self.scene.after(0.05)
        _, second = self.ask_both()
        self.assertEqual(self.scene.come(four, CLIENT4), 1)
        self.assertEqual(self.scene.come(six), 1)
        self.assertEqual(self.scene.allocator.counters.pending, 1, "it is only a guess, and ends nothing")
        self.assertEqual(self.scene.come(second, NEIGHBOUR), 1)
        self.assertEqual(self.outcomes()[1], 0)

    def test_nor_if_nobody_else_is_there(self) -> None:
        """He falls back."""
        four, six = self.ask_both()
        self.assertEqual((self.scene.come(four, CLIENT4), self.scene.come(six, CLIENT)), (1, 1))
        self.assertEqual(self.outcomes(), (1, 0))
