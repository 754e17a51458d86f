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


class TwoGroupsTests(SynchronousTestCase):
    """A resolver that asks for IPv4 by IPv4, and for IPv6 by IPv6, is two groups."""

    def setUp(self) -> None:
        """There is one address of IPv4."""
        self.scene = Scene6(1, policy=Policy(system_load=REFERENCE_BANDS))
        self.four, self.six = (self.scene.allocator.groups.of(each) for each in (OTHER, RESOLVER))

    def end(self) -> None:
        """Everything is over, and an address was wanted meanwhile."""
        for _ in range(3):
            self.scene.allocator.ledger.costs.scarce_at = self.scene.now
            self.scene.after(1.0)

    def ask_both(self, *families: int) -> dict[int, bytes]:
        """A client asks for both, in this order."""
        told = {}
        for family in families:
            told[family] = self.scene.get(ONE, {4: OTHER, 6: RESOLVER}[family], family=family)
            self.scene.after(0.0002)
        return told

    def test_nobody_is_blamed_for_the_family_that_was_not_used(self) -> None:
        """Whichever was asked for first, and whichever he comes by."""
        for families in ((4, 6), (6, 4)):
            for comes_by in (4, 6):
                self.setUp()
                told = self.ask_both(*families)
                self.assertEqual(self.scene.come(told[comes_by], {4: CLIENT4, 6: CLIENT}[comes_by]), 1)
                self.end()
                self.assertEqual((self.four.nok, self.six.nok), (0, 0))
                self.assertEqual((self.four.ok, self.six.ok), (comes_by == 4, comes_by == 6))

    def test_nothing_of_another_ends_early(self) -> None:
        """Anybody can ask at the same moment: it would rob the client who is to come."""
        told = self.ask_both(4, 6)
        self.scene.come(told[6])
        self.assertEqual(self.scene.allocator.counters.pending, 1)
        self.setUp()
        told = self.ask_both(6, 4)
        self.scene.come(told[4], CLIENT4)
        self.assertEqual(self.scene.fresh.pending, 1)
        self.assertEqual(self.scene.come(told[6]), 1)
        self.assertEqual((self.four.ok, self.six.ok), (1, 1))

    def test_nothing_is_learned_of_it(self) -> None:
        """Whose clients ask for both at once is known of those who ask for both."""
        for _ in range(20):
            self.ask_both(4, 6)
            self.scene.after(0.2)
        self.assertLess(self.six.pairs, 0.5)

    def test_its_own_sibling_comes_first(self) -> None:
        """Somebody else asked for IPv4 nearer to it."""
        six = self.ask_both(6, 4)[6]
        self.scene.after(0.002)
        self.scene.get(ONE, family=4)
        self.scene.come(six)
        self.assertEqual(self.scene.allocator.counters.pending, 1)
        self.end()
        self.assertEqual((self.four.nok > 0, self.six.nok), (True, 0))

    def test_who_comes_by_neither_is_blamed_for_what_he_asked(self) -> None:
        """Each group for its own."""
        self.ask_both(4, 6)
        self.scene.after(0.1)
        self.scene.allocator.ledger.costs.scarce_at = self.scene.now
        self.end()
        self.assertGreater(self.four.nok, 0)
