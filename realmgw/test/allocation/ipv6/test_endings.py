"""Tests of `realmgw.allocation.claims.siblings` and `realmgw.allocation.ipv6.endings`: one client, two families."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.siblings import SURE
from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.config.policy import REFERENCE_BANDS, Policy
from realmgw.errors import Reason
from realmgw.test.allocation.ipv6.scene import CLIENT, CLIENT4, STRAY, Scene6, host, service
from realmgw.test.allocation.scene import OTHER, RESOLVER

ONE, TWO, THREE = (service(host(index)) for index in (1, 2, 3))
SOURCES = {4: CLIENT4, 6: CLIENT}


class SiblingTests(SynchronousTestCase):
    """Claims of both families that one client has."""

    def ask_both(self, scene: Scene6, *families: int) -> dict[int, bytes]:
        """Ask for one host in this order."""
        return {family: scene.get(ONE, family=family) for family in families}

    def test_the_first_packet_of_either_settles_both(self) -> None:
        """Whichever was asked for first."""
        for families in ((4, 6), (6, 4)):
            for comes_by in families:
                scene = Scene6()
                told = self.ask_both(scene, *families)
                self.assertEqual(scene.come(told[comes_by], SOURCES[comes_by]), 1)
                self.assertEqual((scene.allocator.counters.pending, scene.fresh.pending), (0, 0))
                self.assertEqual(scene.allocator.counters.settled + scene.counters.settled, 1)

    def test_an_address_of_ipv4_is_free_for_others_at_once(self) -> None:
        """The client came by IPv6."""
        scene = Scene6(1)
        told = self.ask_both(scene, 4, 6)
        self.assertIs(scene.ask(TWO, family=4), Reason.EXHAUSTED)
        scene.come(told[6])
        self.assertEqual(scene.get(TWO, family=4), told[4])

    def test_who_waits_is_served_at_once(self) -> None:
        """With the address that an earlier claim of somebody who came by IPv6 has set free."""
        scene = Scene6(1)
        told = self.ask_both(scene, 4, 6)
        scene.wait(TWO)
        scene.come(told[6])
        self.assertEqual(scene.told, [told[4]])

    def test_it_is_neither_merit_nor_fault(self) -> None:
        """The one that was used is merit, and that is all."""
        for comes_by in (4, 6):
            scene = Scene6(1)
            told = self.ask_both(scene, 4, 6)
            self.assertIs(scene.ask(TWO, family=4), Reason.EXHAUSTED)  # so that it would cost something
            scene.come(told[comes_by], SOURCES[comes_by])
            scene.after(3.0)
            group = scene.allocator.groups.of(RESOLVER)
            self.assertEqual((group.ok, group.nok, group.neutral), (1, 0, 0))
            self.assertEqual(group.lost and group.lost.tokens, 2000)

    def test_a_client_who_falls_back_is_let_in(self) -> None:
        """Also where claims are strict, as long as the address stands with his host; and nobody else."""
        for first, then in ((4, 6), (6, 4)):
            scene = Scene6(claim_sources=1)
            told = self.ask_both(scene, 4, 6)
            scene.come(told[first], SOURCES[first])
            scene.after(0.3)
            self.assertEqual(scene.come(told[then], SOURCES[then]), 1)
            self.assertEqual(scene.come(told[then], STRAY if then == 6 else STRAY[:4]), -Reason.NO_CLAIM)

    def test_falling_back_alarms_nobody(self) -> None:
        """And teaches nothing of the resolver."""
        scene = Scene6(answered=lambda _: True)
        for _ in range(10):
            told = self.ask_both(scene, 4, 6)
            scene.come(told[6], CLIENT)
            scene.come(told[4], CLIENT4)
        self.assertLess(scene.allocator.ledger.candidates.alarmed_until, 0.0)
        self.assertTrue(scene.allocator.groups.of(RESOLVER).habits.is_plain)

    def test_what_is_asked_for_after_he_came_is_not_his(self) -> None:
        """Another client of the same resolver asks for it, and is expected."""
        scene = Scene6()
        scene.come(scene.get(ONE))
        scene.after(0.011)
        told = scene.get(ONE, family=4)
        self.assertEqual(scene.allocator.counters.pending, 1)
        scene.come(told, CLIENT4)
        scene.after(0.011)
        scene.get(ONE)
        self.assertEqual(scene.fresh.pending, 1)

    def test_his_packet_may_be_there_before_his_second_question(self) -> None:
        """Then nothing is held for him from the beginning, of those whose clients ask so; others are expected."""
        for pairs, pending in ((1.0, 0), (0.5, 1)):
            scene = Scene6(pairs=pairs)
            scene.come(scene.get(ONE))
            scene.after(0.001)
            scene.get(ONE, family=4)
            self.assertEqual(scene.allocator.counters.pending, pending)

    def test_so_it_is_if_he_came_by_ipv4(self) -> None:
        """Then nobody is expected by IPv6, whoever asked, and nobody is to blame: in either mode."""
        for mode in (Ipv6Mode.POOL, Ipv6Mode.PINHOLE):
            scene, asked = Scene6(policy=Policy(system_load=REFERENCE_BANDS)), service(host(1, mode=mode))
            scene.come(scene.get(asked, family=4), CLIENT4)
            scene.after(0.001)
            told = scene.get(asked)
            self.assertEqual(scene.fresh.pending, 0)
            self.assertEqual(scene.come(told), 1, "he falls back")
            scene.after(3.0)
            group = scene.allocator.groups.of(RESOLVER)
            self.assertEqual((group.ok, group.nok, group.neutral), (1, 0, 0))
            self.assertEqual(group.lost and group.lost.tokens, 2000)

    def test_who_has_come_settles_no_third_claim(self) -> None:
        """Another client asks at the same time, nearer than the two were to each other: he is expected."""
        for comes_by in (4, 6):
            scene = Scene6(1)
            told = {4: scene.get(ONE, family=4)}
            scene.after(0.004)
            told[6] = scene.get(ONE)
            scene.come(told[comes_by], SOURCES[comes_by])
            scene.after(0.002)
            scene.get(ONE, family=4)
            self.assertEqual(scene.allocator.counters.pending, 1)
            self.assertIs(scene.ask(TWO, family=4), Reason.EXHAUSTED)

    def test_who_is_expected_no_more_has_not_come(self) -> None:
        """His claim of IPv6 had to make room: he is expected by IPv4."""
        scene, asked = Scene6(), service(host(1, max_claims=1))
        scene.allocator.groups.set(RESOLVER, 0.2, now=0.0)
        for resolver in (RESOLVER, OTHER):
            scene.get(asked, resolver)
        scene.get(asked, family=4)
        self.assertEqual((scene.counters.displaced, scene.allocator.counters.pending), (1, 1))

    def test_the_nearest_ones_are_siblings(self) -> None:
        """Though another client has asked for one family only, a moment before."""
        scene = Scene6()
        before = scene.get(ONE)
        scene.after(0.2)
        scene.get(ONE, question="four", family=4)
        scene.after(0.001)
        told = scene.get(ONE)
        self.assertIsNone(scene.fresh.stock.pending[before].sibling)
        scene.come(told)
        self.assertEqual((scene.allocator.counters.pending, scene.fresh.pending), (0, 1))
        scene.after(0.1)

    def test_what_is_not_asked_for_at_once_stands(self) -> None:
        """Another client may have asked for it: he is let in, and nobody is to blame where there was none."""
        for is_there in (True, False):
            scene = Scene6(1)
            told4 = scene.get(ONE, family=4)
            scene.after(0.011)
            scene.come(scene.get(ONE))
            self.assertIs(scene.ask(TWO, family=4), Reason.EXHAUSTED)
            if is_there:
                self.assertEqual(scene.come(told4, CLIENT4), 1)
            scene.after(3.0)
            group = scene.allocator.groups.of(RESOLVER)
            self.assertEqual((group.ok, group.nok, group.neutral), (1 + is_there, 0, 0))
            self.assertEqual(scene.allocator.counters.settled, not is_there)

    def test_of_whom_it_is_not_known_nothing_is_sure(self) -> None:
        """Two clients of a resolver may ask for one family each, at the same time."""
        for pairs in (0.5, 0.79):
            scene = Scene6(1, pairs=pairs)
            told = self.ask_both(scene, 4, 6)
            scene.come(told[6])
            self.assertIs(scene.ask(TWO, family=4), Reason.EXHAUSTED)
            self.assertEqual(scene.come(told[4], CLIENT4), 1)

    def test_what_was_held_before_that_was_known_ends_when_it_is(self) -> None:
        """The first clients of a resolver keep no address from others; what was not asked for at once is still held."""
        for gap, left in ((0.0, 0), (0.011, 1)):
            scene = Scene6(2, pairs=0.5)
            told = scene.get(ONE)
            scene.after(gap)
            held = scene.get(ONE, family=4)
            scene.come(told)
            for _ in range(8):
                both = {family: scene.get(TWO, family=family) for family in (6, 4)}
                scene.come(both[4], CLIENT4)
            self.assertEqual(scene.allocator.counters.pending, 1)
            scene.after(0.11)
            self.assertEqual(scene.allocator.counters.pending, left)
            self.assertEqual(scene.come(held, CLIENT4), 1, "who falls back is let in")

    def test_it_is_learned_whose_clients_ask_for_both_at_once(self) -> None:
        """And unlearned. Two who ask at about the same time by chance are no such client."""
        scene = Scene6(1, pairs=0.5)
        group, known = scene.allocator.groups.of(RESOLVER), []
        for gap in (0.001, 0.1, 0.001):
            for _ in range(60):
                told = scene.get(ONE, family=4)
                scene.after(gap)
                scene.get(ONE)
                scene.come(told, CLIENT4)
                scene.after(2.1)
            known.append(group.pairs >= SURE)
        self.assertEqual(known, [True, False, True])

    def test_more_than_a_second_apart_they_are_two_clients(self) -> None:
        """Or for two hosts, or of two groups."""
        scene = Scene6()
        scene.get(ONE, family=4)
        scene.get(TWO)
        scene.get(ONE, OTHER)
        scene.after(1.1)
        told = scene.get(ONE)
        for address in (told, scene.get(THREE)):
            scene.come(address)
        self.assertEqual(scene.allocator.counters.settled, 0)

    def test_each_has_one_sibling(self) -> None:
        """Of several clients, one claim of IPv4 ends for each who comes by IPv6."""
        scene = Scene6()
        for _ in range(3):
            scene.get(ONE, family=4)
        told = [scene.get(ONE) for _ in range(2)]
        for address in told:
            scene.come(address)
        self.assertEqual((scene.allocator.counters.settled, scene.allocator.counters.pending), (2, 1))
        self.assertEqual(scene.come(scene.allocator.ledger.last[ONE.target].packed, CLIENT4), 1)

    def test_who_comes_by_none_is_blamed_for_both(self) -> None:
        """As if they were two."""
        scene = Scene6(1)
        self.ask_both(scene, 4, 6)
        scene.after(2.1)
        self.assertEqual((scene.allocator.counters.lapsed, scene.counters.lapsed), (1, 1))

    def test_who_had_to_wait_has_asked_for_both(self) -> None:
        """In either order, though he was told no address of IPv4."""
        for families in ((4, 6), (6, 4)):
            scene = Scene6(1, pairs=0.5)
            scene.get(TWO, OTHER, family=4)
            scene.get(TWO, OTHER)  # somebody asks by IPv6 at all
            for family in families:
                if family == 4:
                    scene.wait(ONE)
                else:
                    scene.get(ONE)
                scene.after(0.001)
            scene.after(0.1)
            self.assertGreater(scene.allocator.groups.of(RESOLVER).pairs, 0.5, families)


class DelayTests(SynchronousTestCase):
    """Under pressure, a query for IPv4 waits a moment for its client to come by IPv6."""

    def setUp(self) -> None:
        """Two addresses, one of which is taken."""
        self.scene = Scene6(2, ipv6=Ipv6(resolution_delay=0.02))
        self.taken = self.scene.get(THREE, family=4)

    def test_it_takes_no_last_address_meanwhile(self) -> None:
        """Others do, as they come."""
        self.scene.get(ONE)
        self.scene.wait(ONE)
        self.assertIs(self.scene.ask(TWO, question="q", family=4), Reason.EXHAUSTED)
        self.scene.allocator.wait(TWO, RESOLVER, "q", self.scene.told.append, tcp=False, now=self.scene.now)
        self.scene.after(0.002)
        self.assertEqual(len(self.scene.told), 1)
        self.assertIs(self.scene.allocator.pool.addresses[self.scene.told[0]].reservations[0].service, TWO)  # type: ignore[index]  # an address

    def test_when_he_comes_it_is_answered_and_holds_nothing(self) -> None:
        """With an address that others can have at once."""
        told = self.scene.get(ONE)
        self.scene.wait(ONE)
        self.scene.after(0.01)
        self.scene.come(told)
        [address] = self.scene.told
        assert isinstance(address, bytes)
        self.assertEqual(self.scene.allocator.pool.waiting, 1)
        self.assertEqual(self.scene.come(address, CLIENT4), 1, "he falls back")
        self.assertEqual(self.scene.get(TWO, family=4), address)

    def test_if_he_does_not_come_it_is_answered_as_ever(self) -> None:
        """After the resolution delay, and expects him."""
        self.scene.get(ONE)
        self.scene.wait(ONE)
        self.scene.after(0.019)
        self.assertEqual(self.scene.told, [])
        self.scene.after(0.002)
        self.assertEqual(len(self.scene.told), 1)
        self.assertEqual(self.scene.allocator.pool.waiting, 2)

    def test_who_has_waited_so_long_is_answered_at_once(self) -> None:
        """By TCP, for example, after he was told to."""
        self.scene.get(ONE)
        self.scene.after(0.021)
        self.assertIsInstance(self.scene.ask(ONE, family=4), bytes)

    def test_it_may_be_switched_off(self) -> None:
        """Then it is answered at once."""
        self.scene.allocator.configure(self.scene.allocator.ledger.settings, Ipv6(resolution_delay=0.0))
        self.scene.get(ONE)
        self.assertIsInstance(self.scene.ask(ONE, family=4), bytes)

    def test_where_there_is_room_nobody_waits(self) -> None:
        """Nor where it costs nothing, since his host is expected there."""
        self.scene.get(THREE)
        self.assertEqual(self.scene.ask(THREE, family=4), self.taken)
        roomy = Scene6(4)
        roomy.get(ONE)
        self.assertIsInstance(roomy.ask(ONE, family=4), bytes)
