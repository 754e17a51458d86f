"""Tests of whose merit or fault an outcome is. The names are the clauses of docs/reputation.md."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation import word
from realmgw.allocation.reputation.challenges import Challenge, is_known, note
from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.requestors import ClientNetwork, ClientPrefix, Requestor
from realmgw.allocation.reputation.score import Rated
from realmgw.config.policy import Policy, ResolverGroup
from realmgw.test.allocation.scene import (
    CLIENT,
    NEIGHBOUR,
    OTHER,
    RESOLVER,
    STRAY,
    THIRD,
    Scene,
    pool_address,
    service,
)

ONE, TWO = service(1), service(2)
BELIEVED = Policy(groups=(ResolverGroup((ip_network(f"{RESOLVER}/32"),), 0.8, sla=True),))
NEAR = ClientPrefix.of(CLIENT, 32)
OVER = 3.0  # seconds; all claims made in the first second are over


class OutcomeTestCase(SynchronousTestCase):
    """Outcomes at one address, where claims of all groups share."""

    def setUp(self) -> None:
        self.scene = Scene(1, policy=BELIEVED, share_load=0.0)
        self.allocator = self.scene.allocator

    def outcomes(self, *resolvers: str) -> list[tuple[float, float, float]]:
        """How many claims of each were ok, nok, and neutral."""
        return [counts(self.allocator.groups.of(resolver)) for resolver in resolvers]

    def client(self, key: object = NEAR, network: ClientNetwork | None = NEAR) -> Requestor:
        """A client that the resolver under agreement names."""
        client = self.allocator.requestor(RESOLVER, key, network, now=0.0)
        assert client is not None
        return client

    def end(self) -> None:
        """All claims end."""
        self.allocator.expire(now=OVER)


def counts(party: Rated) -> tuple[float, float, float]:
    """How many claims of somebody were ok, nok, and neutral in this period, by their weights."""
    its = party.reputation
    return round(its.ok, 2), round(its.nok, 2), round(its.neutral, 2)


class AttributionTests(OutcomeTestCase):
    """Claims of one group."""

    def test_a_used_claim_is_good_for_its_group(self) -> None:
        """It is ok."""
        self.scene.visit(ONE, OTHER, now=0.0, after=0.1)
        self.assertEqual(self.outcomes(OTHER), [(1, 0, 0)])

    def test_an_idle_claim_is_bad_for_its_group(self) -> None:
        """It is nok when it expires."""
        self.scene.get(ONE, OTHER, now=0.0)
        self.end()
        self.assertEqual(self.outcomes(OTHER), [(0, 1, 0)])

    def test_a_claim_that_is_reclaimed_is_bad_for_its_group(self) -> None:
        """Nobody came for it either."""
        self.scene.get(ONE, OTHER, now=0.0)
        self.scene.get(TWO, THIRD, now=0.6)
        self.assertEqual(self.outcomes(OTHER), [(0, 1, 0)])

    def test_a_claim_whose_host_goes_away_says_nothing(self) -> None:
        """It is neutral."""
        self.scene.get(ONE, OTHER, now=0.0)
        self.allocator.forget({ONE.target}, now=0.1)
        self.assertEqual(self.outcomes(OTHER), [(0, 0, 1)])

    def known(self, *, now: float) -> Group:
        """A group that has come by TCP."""
        group = self.allocator.groups.proven(OTHER, now=now)
        note(group, Challenge.TC, now=now)
        return group

    def test_an_idle_query_that_anybody_can_have_sent_is_not_bad_for_its_group(self) -> None:
        """But after a few of them it is no longer taken at its word, for a while."""
        group = self.known(now=0.0)
        self.assertTrue(is_known(group, pressed=False, now=0.5))
        for _ in range(3):
            self.scene.get(ONE, OTHER, now=0.5)
        self.end()
        self.assertEqual(self.outcomes(OTHER), [(0, 0, 0)])
        self.assertFalse(is_known(group, pressed=False, now=OVER))
        self.assertTrue(is_known(group, pressed=False, now=OVER + word.DOUBT_LEAST))

    def test_clients_that_come_speak_for_the_word_of_their_group(self) -> None:
        """One in ten may stay away."""
        group = self.known(now=0.0)
        for number in range(9):
            self.scene.visit(ONE, OTHER, now=0.1 + number / 20, after=0.01)
        for _ in range(3):
            self.scene.get(ONE, OTHER, now=0.9)
        self.end()
        self.assertTrue(is_known(group, pressed=False, now=OVER))
        self.assertEqual(self.outcomes(OTHER), [(9, 0, 0)])

    def test_in_a_large_pool_more_clients_speak_for_the_word_of_their_group(self) -> None:
        """One for each four addresses: dozens that stay away at once are few among thousands that came."""
        for pool, idle, known in ((8, 4, True), (8, 5, False), (240, 6, True), (240, 7, False)):
            self.scene = Scene(pool, linger=0.0)
            self.allocator = self.scene.allocator
            group = self.known(now=0.0)
            for number in range(200):
                self.scene.visit(ONE, OTHER, now=0.1 + number / 1000, after=0.0005)
            self.allocator.ledger.costs.scarce_at = 0.9
            for _ in range(idle):
                self.scene.get(ONE, OTHER, now=0.9)
            self.allocator.expire(now=0.9 + 2.0)
            self.assertEqual(is_known(group, pressed=False, now=OVER), known, (pool, idle))

    def test_an_idle_query_that_showed_where_it_came_from_is_bad_for_its_group(self) -> None:
        """Nobody else can have sent it."""
        self.known(now=0.5)
        self.scene.get(ONE, OTHER, now=0.5)
        self.end()
        self.assertEqual(self.outcomes(OTHER), [(0, 1, 0)])

    def test_an_idle_query_that_showed_it_and_then_waited_is_bad_for_its_group_as_well(self) -> None:
        """It was proven when it came, whenever it is served."""
        address = self.scene.get(ONE, THIRD, now=0.0)
        self.known(now=0.1)
        self.scene.wait(TWO, OTHER, tcp=True, now=0.1)
        self.scene.come(address, now=0.2)
        self.end()
        self.assertEqual(self.outcomes(OTHER), [(0, 1, 0)])

    def test_who_is_doubted_is_blamed_for_every_query(self) -> None:
        """Where doubt has no consequence, as in a zone without challenges, idleness still has."""
        group = self.known(now=0.0)
        group.word.doubted_until = 60.0
        self.scene.get(ONE, OTHER, now=0.5)
        self.end()
        self.assertEqual(self.outcomes(OTHER), [(0, 1, 0)])

    def test_a_used_claim_is_good_for_the_client_that_was_named(self) -> None:
        """And for the group that named him."""
        client = self.client()
        self.allocator.ask(ONE, RESOLVER, "q", now=0.0, client=client)
        self.scene.come(pool_address(1), CLIENT, now=0.1)
        self.assertEqual([counts(client), *self.outcomes(RESOLVER)], [(1, 0, 0), (1, 0, 0)])

    def test_an_idle_claim_is_bad_for_the_client_that_was_named_and_not_for_its_group(self) -> None:
        """The group did its part: it said who would come."""
        client = self.client()
        self.allocator.ask(ONE, RESOLVER, "q", now=0.0, client=client)
        self.end()
        self.assertEqual([counts(client), *self.outcomes(RESOLVER)], [(0, 1, 0), (0, 0, 0)])

    def test_a_client_known_by_an_id_has_outcomes_too(self) -> None:
        """As long as nobody else's client may have been meant."""
        client = self.client(b"7", None)
        self.allocator.ask(ONE, RESOLVER, "q", now=0.0, client=client)
        self.end()
        self.assertEqual([counts(client), *self.outcomes(RESOLVER)], [(0, 1, 0), (0, 0, 0)])

    def test_of_a_believed_group_that_names_nobody_it_is_the_groups(self) -> None:
        """As of any other."""
        self.scene.get(ONE, RESOLVER, now=0.0)
        self.end()
        self.assertEqual(self.outcomes(RESOLVER), [(0, 1, 0)])


class SharedTests(OutcomeTestCase):
    """Claims of several groups at one address."""

    def test_where_somebody_came_nobody_can_tell_whose_client_it_was(self) -> None:
        """The claim that was used is neutral, and so is the one that was not."""
        for resolver in (OTHER, THIRD):
            self.scene.get(ONE, resolver, now=0.0)
        self.scene.come(pool_address(1), now=0.1)
        self.end()
        self.assertEqual(self.outcomes(OTHER, THIRD), [(0, 0, 1), (0, 0, 0.8)])

    def test_where_nobody_came_it_is_everybodys_fault(self) -> None:
        """All the claims are nok: whosever they were, their clients did not come."""
        for resolver in (OTHER, THIRD):
            self.scene.get(ONE, resolver, now=0.0)
        self.end()
        self.assertEqual(self.outcomes(OTHER, THIRD), [(0, 1, 0), (0, 1, 0)])

    def test_who_came_before_a_claim_was_made_did_not_come_for_it(self) -> None:
        """Only what was used since leaves a doubt."""
        for resolver in (OTHER, THIRD):
            self.scene.get(ONE, resolver, now=0.0)
        self.scene.come(pool_address(1), now=0.1)
        self.scene.get(ONE, OTHER, now=0.2)
        self.end()
        self.assertEqual(self.outcomes(OTHER, THIRD), [(0, 1, 1), (0, 0, 0.8)])

    def test_a_claim_bound_to_a_network_can_always_be_told_apart(self) -> None:
        """Used or not, whoever else waits there."""
        near = self.client()
        far = self.client(ClientPrefix.of(bytes((198, 51, 100, 200)), 32), ClientPrefix.of(b"\xc6\x33\x64\xc8", 32))
        self.scene.get(ONE, OTHER, now=0.0)
        for client in (near, far):
            self.allocator.ask(ONE, RESOLVER, client, now=0.0, client=client)
        self.scene.come(pool_address(1), CLIENT, now=0.1)
        self.end()
        self.assertEqual([counts(near), counts(far), *self.outcomes(OTHER)], [(1, 0, 0), (0, 0.8, 0), (0, 0.8, 0)])

    def test_a_client_known_by_an_id_can_not(self) -> None:
        """Both he and his group have a neutral outcome."""
        client = self.client(b"7", None)
        self.scene.get(ONE, OTHER, now=0.0)
        self.allocator.ask(ONE, RESOLVER, "q", now=0.0, client=client)
        self.scene.come(pool_address(1), now=0.1)
        self.end()
        self.assertEqual([counts(client), *self.outcomes(RESOLVER)], [(0, 0, 0.8), (0, 0, 0.8)])

    def test_in_doubt_it_is_the_fault_of_who_is_known_for_it(self) -> None:
        """At 0.3, and below the others: so nobody hides behind those who ask for the same. Who came is their merit."""
        self.allocator.groups.set(OTHER, 0.3, now=0.0)
        for resolver in (THIRD, OTHER):
            self.scene.get(ONE, resolver, now=0.0)
        self.scene.come(pool_address(1), now=0.1)
        self.end()
        self.assertEqual(self.outcomes(OTHER, THIRD), [(0, 0.8, 0), (1, 0, 0)])

    def test_in_doubt_it_is_partly_the_fault_of_who_is_on_the_way_there(self) -> None:
        """The more, the worse he is known to be: halfway from a stranger to one who is known for it, half of it."""
        self.allocator.groups.set(OTHER, 0.375, now=0.0)
        for resolver in (THIRD, OTHER):
            self.scene.get(ONE, resolver, now=0.0)
        self.scene.come(pool_address(1), now=0.1)
        self.end()
        self.assertEqual(self.outcomes(OTHER, THIRD), [(0, 0.4, 0.4), (0.5, 0, 0.5)])

    def test_in_doubt_it_is_nobodys_fault_who_is_not(self) -> None:
        """A stranger is not blamed for what is in doubt, nor one of two that are known alike."""
        for standing, other in ((0.45, 0.9), (0.9, 0.9)):
            self.setUp()
            for resolver in (OTHER, THIRD):
                self.allocator.groups.set(resolver, standing if resolver == OTHER else other, now=0.0)
                self.scene.get(ONE, resolver, now=0.0)
            self.scene.come(pool_address(1), now=0.1)
            self.end()
            self.assertEqual(self.outcomes(OTHER, THIRD), [(0, 0, 1), (0, 0, 0.8)])

    def test_claims_of_a_merged_group_still_count(self) -> None:
        """They are the united group's, used or not, and it finds its own claims there."""
        for resolver in (OTHER, THIRD):
            self.allocator.groups.proven(resolver, now=0.0)
        address = self.scene.get(ONE, OTHER, now=0.0)
        self.scene.get(ONE, OTHER, now=0.0)
        groups = self.allocator.groups
        groups.merge(groups.of(THIRD), groups.of(OTHER), now=0.1)
        self.assertEqual(self.scene.get(ONE, THIRD, now=0.2), address)
        self.scene.come(address, now=0.3)
        self.end()
        self.assertEqual(counts(groups.of(OTHER)), (1, 1.2, 0))  # until he came, the address was held anyway
        self.assertIs(groups.of(OTHER), groups.of(THIRD))


class AgeTests(SynchronousTestCase):
    """What a group with experience learns from a client, where several claims stand."""

    def test_it_learns_from_each_client_of_claims_of_one_age(self) -> None:
        """Those who waited are told at one time, so that it is clear how long each of their clients took."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=600, now=0.0, after=0.04)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        address = scene.get(TWO, now=now)
        for question in range(4):
            scene.wait(ONE, question=question, now=now + 0.01)
        scene.come(address, now=now + 0.02)
        before = delays.total
        for client in range(4):
            scene.come(address, bytes((10, 0, 0, client)), now=now + 0.06 + 0.002 * client)
        self.assertEqual(delays.total, before + 4)

    def test_it_learns_nothing_where_one_more_was_told_since(self) -> None:
        """Whoever comes may be the client of the one that was told last, however many there are of one age."""
        scene = Scene(1)
        now = scene.learn(ONE, visits=600, now=0.0, after=0.04)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        for ago in (0.05, 0.05, 0.01):
            address = scene.get(ONE, now=now + 0.1 - ago)
        before = delays.total
        scene.come(address, now=now + 0.1)
        self.assertEqual(delays.total, before)
        scene.come(address, NEIGHBOUR, now=now + 0.102)
        scene.come(address, STRAY, now=now + 0.13)  # of the last one, alone
        self.assertEqual(delays.total, before + 1)

    def test_it_learns_from_the_slow_ones_among_them_as_well(self) -> None:
        """Of those it has to be found out whether they are answered, since they are slower than anybody was."""
        scene = Scene(1, answered=lambda _: True)
        now = scene.learn(ONE, visits=600, now=0.0, after=0.04)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        before = delays.total
        for round_ in range(3):
            begun = now + 10.0 * round_
            for _ in range(2):
                address = scene.get(ONE, now=begun)
            scene.come(address, now=begun + 0.06)
            scene.allocator.expire(now=begun + 9.0)
        self.assertEqual(delays.total, before + 3)
        self.assertGreater(delays.quantile(1.0), 0.06)

    def test_it_learns_nothing_where_the_client_may_be_another_groups(self) -> None:
        """Of the same age as his are those of one whose clients may take longer."""
        scene = Scene(1, share_load=0.0)
        now = scene.learn(ONE, visits=600, now=0.0, after=0.04)
        delays = scene.allocator.groups.of(RESOLVER).delays
        assert delays is not None
        scene.get(ONE, now=now)
        address = scene.get(ONE, OTHER, now=now)
        before = delays.total
        scene.come(address, now=now + 0.04)
        self.assertEqual(delays.total, before)
