"""Tests of which claim a first packet uses: by its sender's network, and of several the oldest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.errors import Reason
from realmgw.subscribers.model import Service, Terms
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    TCP,
    Network,
    Scene,
    pool_address,
    service,
)

ONE, TWO = service(1), service(2)
NO_POOL_ADDRESS = b"\xc6\x33\x64\x09"


class NetworkTests(SynchronousTestCase):
    """Claims that are bound to a client network."""

    def setUp(self) -> None:
        self.scene = Scene(1, claim_sources=1)

    def claim(self, *networks: Network | None) -> None:
        """Make a claim bound to each."""
        for network in networks:
            self.assertEqual(self.scene.ask(ONE, now=0.0, network=network), pool_address(1))

    def test_another_network_is_refused(self) -> None:
        """A claim bound to a network lets nobody else in, and is not used up by him."""
        self.claim(Network(CLIENT))
        self.assertEqual(self.scene.come(pool_address(1), STRAY, now=0.1), -Reason.OTHER_NETWORK)
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, now=0.1), 1)

    def test_a_bound_claim_is_used_before_an_older_unbound_one(self) -> None:
        """A sender uses the claim of his own network; the unbound one is left for others."""
        self.claim(None, Network(CLIENT))
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, now=0.1), 1)
        self.assertEqual(self.scene.come(pool_address(1), STRAY, now=0.1), 1)

    def test_so_it_is_where_it_is_for_another_service_of_the_host(self) -> None:
        """Also when that one is named less closely: it is known who is expected."""
        web = Service("web.gwa.demo.", ONE.host, Terms(TCP, 80))
        self.claim(Network(CLIENT))
        self.assertEqual(self.scene.ask(web, now=0.0), pool_address(1))
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, now=0.1), 1)
        self.assertEqual(self.scene.come(pool_address(1), STRAY, now=0.1), 1)

    def test_who_is_in_no_network_uses_an_unbound_claim(self) -> None:
        """A sender outside all networks uses the oldest unbound claim."""
        self.claim(Network(CLIENT), None)
        self.assertEqual(self.scene.come(pool_address(1), STRAY, now=0.1), 1)
        self.assertEqual(self.scene.come(pool_address(1), NEIGHBOUR, now=0.1), -Reason.OTHER_NETWORK)
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, now=0.1), 1)

    def test_a_claim_goes_before_what_is_only_kept_for_his_network(self) -> None:
        """Who may be expected is let in, however few companions may come at a time."""
        scene = Scene(1, candidate_rate=1.0)
        scene.allocator.groups.of(OTHER).habits.came_again(STRAY, 0.0, 0.3, 0.0)
        address = scene.ask(ONE, OTHER, now=0.0, network=Network(CLIENT, NEIGHBOUR))
        self.assertEqual(scene.come(pool_address(1), CLIENT, now=0.1), 1)
        self.assertEqual(scene.get(ONE, now=0.1), address)
        self.assertEqual(scene.come(pool_address(1), NEIGHBOUR, now=0.2), 1)

    def test_a_bound_claim_spares_nothing_for_others(self) -> None:
        """The further source of a bound claim must be of its network."""
        self.scene = Scene(1, claim_sources=2)
        self.claim(Network(CLIENT, NEIGHBOUR))
        outcomes = [self.scene.come(pool_address(1), source, now=0.1) for source in (CLIENT, STRAY, NEIGHBOUR)]
        self.assertEqual(outcomes, [1, -Reason.NO_CLAIM, 1])


class WhichClaimTests(SynchronousTestCase):
    """Which of several claims a packet uses up."""

    def test_the_oldest_is_used_first(self) -> None:
        """The claim that is left is the younger one."""
        scene = Scene(1, claim_sources=1)
        address = scene.get(ONE, now=0.0)
        scene.get(ONE, now=0.3)
        scene.come(address, now=0.4)
        scene.allocator.expire(now=2.1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=2.1), 1)

    def test_one_that_is_dead_by_experience_is_used_last(self) -> None:
        """A packet hardly belongs to a claim for which nobody comes any more; it goes to the living one."""
        scene = Scene(1, claim_sources=1)
        address = scene.get(ONE, now=0.0)
        scene.get(ONE, now=0.4)
        scene.come(address, now=0.6)
        scene.allocator.expire(now=2.0)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=2.0), -Reason.NO_CLAIM)

    def test_a_dead_one_is_better_than_none(self) -> None:
        """As long as the address is not reclaimed, whoever comes late is let in."""
        scene = Scene(1)
        self.assertEqual(scene.come(scene.get(ONE, now=0.0), now=1.9), 1)


class DelayTests(SynchronousTestCase):
    """How long after the answer clients come."""

    def test_it_is_told_how_long_after_the_answer_somebody_came(self) -> None:
        """Once, by whom it was for: who comes again, and who is no client, tells nothing of that."""
        scene = Scene(1)
        scene.come(address := scene.get(ONE, now=0.0), now=0.2)
        scene.come(address, now=0.3)
        delays = Distribution(DELAY_BOUNDS)
        delays.add(0.2)
        self.assertEqual(scene.counters.delays, delays)


class WhoseTests(SynchronousTestCase):
    """Where several resolvers expect somebody, and it is known whose client the sender is."""

    def setUp(self) -> None:
        """His resolver keeps no answers; the other one asked first."""
        self.expect(Scene(2))

    def expect(self, scene: Scene, network: Network | None = None) -> None:
        """Have clients of both expected in a new gateway, the other one's in a network, if it says so."""
        self.scene = scene
        group = self.scene.allocator.groups.of(RESOLVER)
        group.habits.caution.serves_several = True
        self.scene.get(TWO, now=0.0)
        claim = group.told.last(TWO.name)
        assert claim is not None
        for _ in range(20):
            self.scene.allocator.ledger.homes.came(NEIGHBOUR, claim, 0.0)
        address = self.scene.ask(ONE, OTHER, now=0.0, network=network)
        self.address = self.scene.get(ONE, now=0.1)
        self.assertEqual(self.address, address)

    def left(self) -> list[str]:
        """Whose claims are left."""
        [reservation] = self.scene.allocator.pool.addresses[self.address].reservations.values()
        return [str(claim.group.resolver) for claim in reservation.claims.values() if not claim.is_hold]

    def test_he_uses_his_own_ones(self) -> None:
        """The other one's is not taken for used: nobody may ever have come for it."""
        self.assertEqual(self.scene.come(self.address, CLIENT, now=0.2), 1)
        self.assertEqual(self.left(), [OTHER])

    def test_also_if_that_is_dead_by_experience(self) -> None:
        """He came late; those of the other one are his as little as before."""
        self.scene.get(ONE, OTHER, "again", now=0.7)
        self.assertEqual(self.scene.come(self.address, CLIENT, now=0.8), 1)
        self.assertEqual(set(self.left()), {OTHER})

    def test_what_his_own_have_to_spare_goes_before_the_others(self) -> None:
        """He was told what its first client was told; the one of the other resolver would find nothing any more."""
        self.expect(Scene(2, claim_sources=2))
        self.assertEqual(self.come(1, 2, 3), [[OTHER], [OTHER], []])
        self.assertEqual(self.scene.counters.by_spare, 1)

    def test_not_where_the_other_one_said_that_he_comes(self) -> None:
        """A claim that is bound to his network is his, whatever was learned of it."""
        self.expect(Scene(2, claim_sources=2), Network(CLIENT))
        self.assertEqual(self.come(9, 1), [[OTHER], []])
        self.assertEqual(self.scene.counters.by_spare, 0)

    def test_not_if_too_many_come_without_a_claim(self) -> None:
        """Then he uses the other one's as ever, and is let in."""
        self.expect(Scene(2, claim_sources=3, candidate_rate=1))
        self.assertEqual(self.come(1, 2, 3), [[OTHER], [OTHER], []])

    def come(self, *numbers: int) -> list[list[str]]:
        """Have neighbours come who are let in; whose claims are left after each."""
        found = list[list[str]]()
        for each in numbers:
            self.assertEqual(self.scene.come(self.address, bytes((*CLIENT[:3], each)), now=0.2), 1)
            found.append(self.left())
        return found

    def test_whoever_else_uses_the_oldest(self) -> None:
        """As ever."""
        self.assertEqual(self.scene.come(self.address, bytes((203, 0, 113, 9)), now=0.2), 1)
        self.assertEqual(self.left(), [RESOLVER])
