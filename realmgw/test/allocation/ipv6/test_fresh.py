"""Tests of `realmgw.allocation.ipv6.fresh`: queries, limits, and what the operator changes."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.ipv6 import Ipv6, Ipv6Mode, PinholeFor
from realmgw.config.policy import REFERENCE_BANDS, Audit, Policy
from realmgw.config.settings import Allocation, WhileDegraded
from realmgw.errors import Reason
from realmgw.test.allocation.ipv6.scene import CLIENT, POOL, STRAY, Scene6, host, service
from realmgw.test.allocation.scene import OTHER, RESOLVER, THIRD

ONE, TWO = service(host(1, ipv4=False)), service(host(2, ipv4=False))


class AskTests(SynchronousTestCase):
    """Which address a query is answered with."""

    def setUp(self) -> None:
        """A /64."""
        self.scene = Scene6()

    def test_every_question_has_an_address_of_its_own(self) -> None:
        """Also for one service, by one resolver: nothing is shared."""
        told = {self.scene.get(asked) for asked in (ONE, ONE, TWO)}
        self.assertEqual(len(told), 3)
        self.assertTrue(all(IPv6Address(address) in POOL for address in told))

    def test_the_same_question_again_has_the_same_address(self) -> None:
        """It is a retransmission; that of another resolver is none."""
        told = self.scene.get(ONE, question="q")
        self.assertEqual(self.scene.get(ONE, question="q"), told)
        self.assertNotEqual(self.scene.get(ONE, OTHER, "q"), told)
        self.assertEqual((self.scene.counters.retransmitted, self.scene.counters.claimed), (1, 2))

    def test_a_question_whose_client_has_come_is_another_one(self) -> None:
        """As it is for IPv4."""
        told = self.scene.get(ONE, question="q")
        self.scene.come(told)
        self.assertNotEqual(self.scene.get(ONE, question="q"), told)

    def test_a_full_pool_of_ipv4_keeps_nobody_from_asking(self) -> None:
        """Nor does it wait."""
        scene = Scene6(0)
        self.assertIsInstance(scene.ask(ONE), bytes)
        self.assertIs(scene.ask(service(host(3)), family=4), Reason.EXHAUSTED)

    def test_a_host_without_ipv6_has_no_address(self) -> None:
        """Nor one for which it is off, nor any where there is no prefix; dns does not ask then."""
        off = service(host(3, mode=Ipv6Mode.OFF))
        self.assertIs(self.scene.ask(off), Reason.WITHDRAWN)
        self.scene.allocator.withdraw([POOL], now=0.0)
        self.assertIs(self.scene.ask(ONE), Reason.WITHDRAWN)

    def test_nothing_is_lent_while_flows_do_not_get_through(self) -> None:
        """Unless the settings say otherwise."""
        self.scene.allocator.outage.degrade(degraded=True, now=0.0)
        self.assertIs(self.scene.ask(ONE), Reason.DEGRADED)
        self.scene.allocator.outage.configure(Allocation(while_degraded=WhileDegraded.LEND))
        self.assertIsInstance(self.scene.ask(ONE), bytes)

    def test_what_nobody_used_in_an_outage_counts_against_nobody(self) -> None:
        """And gives back what it took of the rate."""
        self.scene.allocator.outage.configure(Allocation(while_degraded=WhileDegraded.LEND))
        self.scene.allocator.outage.degrade(degraded=True, now=0.0)
        self.scene.get(ONE)
        self.scene.after(2.1)
        group = self.scene.allocator.groups.of(RESOLVER)
        self.assertEqual((self.scene.counters.lapsed, self.scene.counters.excused), (1, 1))
        self.assertEqual((group.nok, group.neutral), (0, 1))
        self.assertEqual(self.scene.fresh.allowances.left(group, self.scene.now), 2000)


class LimitTests(SynchronousTestCase):
    """What limits where nothing is scarce."""

    def test_a_host_has_as_many_claims_as_its_file_says(self) -> None:
        """Of IPv6; those of IPv4 count for themselves."""
        scene, asked = Scene6(), service(host(1, max_claims=2))
        told = [scene.get(asked, family=family) for family in (4, 6, 6)]
        self.assertIs(scene.ask(asked), Reason.HOST_LIMIT)
        scene.come(told[-1])
        self.assertIsInstance(scene.ask(asked), bytes)

    def test_at_its_limit_the_dead_make_room(self) -> None:
        """Nobody comes for a claim that is older than its group's clients ever took."""
        scene, asked = Scene6(), service(host(1, max_claims=1))
        told = scene.get(asked)
        scene.after(0.5)
        self.assertIsInstance(scene.ask(asked), bytes)
        self.assertEqual(scene.counters.displaced, 1)
        self.assertEqual(scene.come(told), -Reason.NO_RESERVATION)

    def test_at_its_limit_those_of_a_worse_standing_make_room(self) -> None:
        """So nobody can use a host up by asking for it."""
        scene, asked = Scene6(), service(host(1, max_claims=1))
        scene.allocator.groups.set(RESOLVER, 0.2, now=0.0)
        scene.get(asked)
        self.assertIsInstance(scene.ask(asked, OTHER), bytes)
        self.assertIs(scene.ask(asked, THIRD), Reason.HOST_LIMIT)

    def test_a_host_that_may_have_none_has_none(self) -> None:
        """In either mode."""
        for mode in (Ipv6Mode.POOL, Ipv6Mode.PINHOLE):
            self.assertIs(Scene6().ask(service(host(1, mode=mode, max_claims=0))), Reason.HOST_LIMIT)

    def test_so_many_claims_are_pending_in_all(self) -> None:
        """At addresses of their own and at hosts'."""
        scene = Scene6(ipv6=Ipv6(pending=2))
        told = scene.get(ONE)
        scene.get(service(host(3, mode=Ipv6Mode.PINHOLE)))
        self.assertIs(scene.ask(TWO), Reason.CLAIM_LIMIT)
        self.assertEqual(scene.allocator.counters.refused[Reason.CLAIM_LIMIT], 1)
        scene.come(told)
        self.assertIsInstance(scene.ask(TWO), bytes)

    def test_so_many_addresses_stand_those_used_longest_ago_go(self) -> None:
        """Where somebody is expected, they stay."""
        scene = Scene6(ipv6=Ipv6(addresses=3))
        told = [scene.get(ONE) for _ in range(3)]
        self.assertIs(scene.ask(ONE), Reason.CLAIM_LIMIT)
        for address in (told[1], told[0]):
            scene.come(address)
        scene.get(ONE)
        self.assertEqual([scene.come(address) for address in told], [1, -Reason.LATE, 1])
        self.assertEqual((scene.counters.evicted, len(scene.fresh.stock)), (1, 3))

    def test_a_thousand_hosts_leave_nothing_behind(self) -> None:
        """When their claims are over, and what was kept."""
        scene = Scene6()
        for index in range(1000):
            told = scene.get(service(host(index % 200 + 1)))
            if index % 2:
                scene.come(told)
        scene.after(2.1)
        self.assertEqual((len(scene.fresh.stock.pending), len(scene.fresh.stock.kept)), (0, 500))
        scene.after(301.0)
        stock = scene.fresh.stock
        self.assertEqual(len(stock) + len(stock.deadlines) + len(stock._asked) + len(stock._of_host), 0)
        self.assertFalse(scene.fresh.siblings.recent)


class RateTests(SynchronousTestCase):
    """What a group may lose."""

    RATE = 10  # a second, so 20 at once

    def scene(self, *audit: Audit) -> Scene6:
        """With a policy, and a host that may have any number."""
        return Scene6(policy=Policy(system_load=REFERENCE_BANDS, audit=audit), ipv6=Ipv6(lost_rate=self.RATE))

    def lose(self, scene: Scene6, count: int) -> list[bytes | Reason]:
        """Ask so often, and never come."""
        return [scene.ask(service(host(number + 1))) for number in range(count)]

    def test_who_has_lost_too_many_is_refused(self) -> None:
        """And may ask again as time passes."""
        scene = self.scene()
        answers = self.lose(scene, 30)
        self.assertEqual([type(answer) for answer in answers], [bytes] * 20 + [Reason] * 10)
        self.assertIs(answers[-1], Reason.POLICY)
        self.assertIsInstance(scene.ask(ONE, OTHER), bytes)
        scene.after(0.11)
        self.assertEqual([type(answer) for answer in self.lose(scene, 2)], [bytes, Reason])

    def test_who_comes_gives_it_back(self) -> None:
        """A group whose clients come has no limit."""
        scene = self.scene()
        for _ in range(500):
            self.assertEqual(scene.come(scene.get(ONE)), 1)

    def test_a_worse_standing_may_lose_less(self) -> None:
        """In proportion to the best, and a twentieth at least: whoever it is can show clients."""
        scene = self.scene()
        for resolver, standing, most in ((OTHER, 1.0, 20), (RESOLVER, 0.5, 10), (THIRD, 0.0, 1)):
            scene.allocator.groups.set(resolver, standing, now=0.0)
            group = scene.allocator.groups.of(resolver)
            self.assertAlmostEqual(scene.fresh.allowances.left(group, 0.0), most)

    def late(self, scene: Scene6) -> list[bytes]:
        """Forty a second come for a while; then packets wait for two seconds, and as many as may be are told."""
        for _ in range(40):
            scene.come(scene.get(ONE))
            scene.after(0.025)
        scene.allocator.behind(2.0)
        answers = self.lose(scene, 200)
        told = [answer for answer in answers if isinstance(answer, bytes)]
        self.assertEqual(answers[len(told) :], [Reason.POLICY] * (200 - len(told)))
        return told

    def test_nobody_is_refused_for_packets_that_wait(self) -> None:
        """As many more are under way as are made in that time; all of them come, and it is as before."""
        scene = self.scene()
        told = self.late(scene)
        self.assertTrue(90 <= len(told) <= 100, len(told))
        self.assertTrue(all(scene.come(address) > 0 for address in told))
        scene.allocator.behind(0.0)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual(scene.fresh.allowances.left(group, scene.now), 20)

    def test_nothing_is_owed_for_packets_that_have_waited(self) -> None:
        """If nobody comes after all, who asks is no worse off than without the delay."""
        scene = self.scene()
        self.late(scene)
        scene.allocator.behind(0.0)
        self.assertIs(scene.ask(ONE), Reason.POLICY)
        scene.after(0.11)
        self.assertIsInstance(scene.ask(ONE), bytes)

    def test_audit_counts_only(self) -> None:
        """As for IPv4."""
        scene = self.scene(Audit.LOAD)
        self.assertNotIn(Reason.POLICY, self.lose(scene, 30))
        self.assertEqual(scene.allocator.counters.policy_audited, 10)

    def test_without_a_policy_nobody_is_refused_for_it(self) -> None:
        """But it is seen in the reputation, and `pending` holds."""
        scene = Scene6(ipv6=Ipv6(lost_rate=self.RATE))
        self.assertNotIn(Reason.POLICY, self.lose(scene, 30))
        scene.after(2.1)
        self.assertLess(scene.standing(), 0.2)

    def test_what_nobody_uses_costs_by_how_much_is_left(self) -> None:
        """One now and then costs next to nothing; nothing was kept from anybody."""
        scene = Scene6()
        for _ in range(20):
            scene.get(ONE)
        scene.after(2.1)
        group = scene.allocator.groups.of(RESOLVER)
        self.assertEqual(scene.counters.lapsed, 20)
        self.assertLess(group.nok, 0.5)
        self.assertGreater(scene.standing(), 0.4)


class ChangeTests(SynchronousTestCase):
    """What the operator changes."""

    def test_a_service_that_goes_takes_its_claims_with_it(self) -> None:
        """Pending ones and kept ones, of whatever mode; nobody is to blame."""
        scene, pinhole = Scene6(), service(host(3, mode=Ipv6Mode.PINHOLE))
        kept, pending, other, own = scene.get(ONE), scene.get(ONE), scene.get(TWO), scene.get(pinhole)
        scene.come(kept)
        scene.allocator.forget([ONE.target, pinhole.target], now=0.0)
        self.assertEqual([scene.come(address) for address in (kept, pending, other, own)], [
            -Reason.LATE, -Reason.NO_RESERVATION, 2, -Reason.NO_RESERVATION,
        ])  # fmt: skip
        self.assertEqual(scene.allocator.groups.of(RESOLVER).nok, 0)

    def test_who_was_told_may_come_though_the_prefix_leaves(self) -> None:
        """Until he is waited for no more."""
        scene = Scene6()
        kept, first, second = (scene.get(ONE) for _ in range(3))
        scene.come(kept)
        self.assertEqual(scene.allocator.withdraw([POOL], now=0.0), 2)
        self.assertEqual(scene.come(first), 1)
        self.assertEqual(scene.allocator.leaving, 1)
        scene.allocator.abandon(now=0.0)
        self.assertEqual(scene.allocator.leaving, 0)
        self.assertEqual([scene.come(kept), scene.come(second)], [-Reason.LATE, -Reason.NO_RESERVATION])

    def test_a_prefix_that_comes_is_drawn_from(self) -> None:
        """At once."""
        scene, other = Scene6(), ip_network("2001:db8:77::/64")
        scene.allocator.withdraw([POOL], now=0.0)
        scene.allocator.extend([other], now=0.0)
        self.assertIn(IPv6Address(scene.get(ONE)), other)

    def test_other_settings_hold_at_once(self) -> None:
        """For what stands as well."""
        scene = Scene6()
        told = scene.get(ONE)
        scene.come(told)
        scene.allocator.configure(Allocation(claim_sources=1), Ipv6(keep=10.0, pending=1))
        scene.get(TWO)
        self.assertIs(scene.ask(TWO), Reason.CLAIM_LIMIT)
        scene.after(130.0)
        self.assertEqual(scene.come(told), -Reason.LATE)


class LiveTests(SynchronousTestCase):
    """Addresses for which a neighbour is answered."""

    def setUp(self) -> None:
        """Conntrack knows what it is told."""
        self.established: set[bytes] = set()
        self.scene = Scene6(answered=lambda flow: flow[1] in self.established, ipv6=Ipv6(keep=5.0))

    def is_live(self, address: bytes) -> bool:
        """Whether it is, now."""
        return self.scene.fresh.is_live(address, now=self.scene.now)

    def test_an_address_that_nobody_was_told_is_not(self) -> None:
        """Nor one whose claim is over."""
        told = self.scene.get(ONE)
        self.assertEqual([self.is_live(told), self.is_live(POOL[9].packed)], [True, False])
        self.scene.after(2.1)
        self.assertFalse(self.is_live(told))

    def test_one_that_is_kept_is(self) -> None:
        """Until nobody comes any more."""
        told = self.scene.get(service(host(1), loose_packet=0))
        self.scene.allocator.configure(Allocation(claim_sources=1), Ipv6(keep=5.0))
        self.scene.come(told)
        self.scene.after(4.9)
        self.assertTrue(self.is_live(told))
        self.scene.after(0.2)
        self.assertFalse(self.is_live(told))

    def test_one_with_a_flow_that_goes_on_is(self) -> None:
        """As long as conntrack knows it."""
        self.scene.allocator.configure(Allocation(claim_sources=1), Ipv6(keep=5.0))
        told = self.scene.get(ONE)
        self.scene.come(told)
        self.established.add(told)
        self.scene.after(3600.0)
        self.assertTrue(self.is_live(told))
        self.assertEqual(self.scene.come(told, STRAY), -Reason.LATE)
        self.established.clear()
        self.assertFalse(self.is_live(told))

    def test_a_pinhole_is(self) -> None:
        """While anybody is expected there, or may come again."""
        self.scene.allocator.configure(Allocation(), Ipv6(keep=5.0, pinhole=PinholeFor.CLIENT))
        asked = service(host(3, mode=Ipv6Mode.PINHOLE))
        told = self.scene.get(asked)
        self.assertTrue(self.is_live(told))
        self.scene.come(told, CLIENT)
        self.assertTrue(self.is_live(told))
        self.scene.after(2.1)
        self.assertEqual(self.scene.come(told, CLIENT), 3)
        self.scene.after(5.1)
        self.assertFalse(self.is_live(told))
