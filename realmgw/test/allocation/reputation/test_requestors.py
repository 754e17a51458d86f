"""Tests of the clients that resolvers under agreement name. The names are the clauses of docs/reputation.md."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.requestors import ClientPrefix, Requestor, Requestors
from realmgw.config.policy import Policy, ResolverGroup
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, OTHER, RESOLVER, STRAY, Scene, pool_address, service

ONE, TWO = service(1), service(2)
BELIEVED = Policy(groups=(ResolverGroup((ip_network(f"{RESOLVER}/32"),), 0.8, sla=True),))
NEAR = ClientPrefix.of(CLIENT, 32)


class PrefixTests(SynchronousTestCase):
    """A client's network."""

    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 32))
    def test_it_has_what_an_ipv4_network_has(self, one: int, other: int, length: int) -> None:
        """Whatever bits are set beyond its length."""
        prefix = ClientPrefix.of(IPv4Address(one).packed, length)
        network = IPv4Network((one, length), strict=False)
        self.assertEqual(IPv4Address(other).packed in prefix, IPv4Address(other) in network)
        self.assertEqual((str(prefix), prefix.packed), (str(network), network.network_address.packed))

    @given(st.integers(0, 2**128 - 1), st.integers(0, 127), st.integers(0, 128))
    def test_it_has_what_an_ipv6_network_has(self, one: int, bit: int, length: int) -> None:
        """Next to its edge as well; and nothing of the other family."""
        prefix, other = ClientPrefix.of(IPv6Address(one).packed, length), IPv6Address(one ^ 1 << bit)
        network = IPv6Network((one, length), strict=False)
        self.assertEqual(other.packed in prefix, other in network)
        self.assertEqual(IPv6Network(str(prefix)), network)
        self.assertNotIn(CLIENT, prefix)


class RequestorsTests(SynchronousTestCase):
    """Who is known."""

    def test_a_client_keeps_its_reputation(self) -> None:
        """The same network is the same client, whoever names it."""
        requestors = Requestors(8)
        self.assertIs(requestors.of(NEAR, NEAR), requestors.of(ClientPrefix.of(CLIENT, 32), NEAR))
        self.assertEqual(requestors.of(NEAR, NEAR).reputation.value(0.0), 0.45)

    def test_to_look_for_a_client_makes_none(self) -> None:
        """Nor does to forget one."""
        requestors = Requestors(8)
        self.assertEqual((requestors.find(NEAR), requestors.forget(NEAR), len(requestors)), (None, False, 0))

    def test_clients_are_bounded(self) -> None:
        """However many are named; those that were not named for longest are forgotten."""
        requestors = Requestors(64)
        for number in range(10_000):
            requestors.of(number, None)
            requestors.of("mine", None)
        self.assertLessEqual(len(requestors), 64)
        self.assertIsNot(requestors.find("mine"), None)
        self.assertEqual(len(list(requestors)), len(requestors))


class BeliefTests(SynchronousTestCase):
    """Whose word about his clients counts."""

    def setUp(self) -> None:
        self.scene = Scene(2, policy=BELIEVED, claim_sources=1)
        self.allocator = self.scene.allocator

    def named(self, resolver: str) -> Requestor | None:
        """Who is meant when a resolver names a network."""
        return self.allocator.requestor(resolver, NEAR, NEAR, now=0.0)

    def test_only_a_group_with_an_agreement_is_believed(self) -> None:
        """What others say of their clients is not even remembered."""
        self.assertIs(self.named(OTHER), None)
        self.allocator.groups.proven(OTHER, now=0.0)
        self.assertIs(self.named(OTHER), None)
        self.assertEqual(len(self.allocator.requestors), 0)
        client = self.named(RESOLVER)
        self.assertIsInstance(client, Requestor)
        self.assertIs(client, self.allocator.requestors.find(NEAR))

    def test_an_id_means_something_within_one_group_only(self) -> None:
        """The same id of another group is another client."""
        second = ResolverGroup((ip_network(f"{OTHER}/32"),), 0.8, sla=True)
        self.allocator.configure_policy(Policy(groups=(*BELIEVED.groups, second)), now=0.0)
        mine, same, theirs = (
            self.allocator.requestor(each, b"7", None, now=0.0) for each in (RESOLVER, RESOLVER, OTHER)
        )
        self.assertIs(mine, same)
        self.assertIsNot(mine, theirs)

    def test_a_claim_of_a_named_client_admits_only_his_network(self) -> None:
        """And nobody else uses it up."""
        client = self.named(RESOLVER)
        self.assertEqual(self.allocator.ask(ONE, RESOLVER, "q", now=0.0, client=client), pool_address(1))
        self.assertEqual(self.scene.come(pool_address(1), STRAY, now=0.1), -Reason.OTHER_NETWORK)
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, now=0.2), 1)

    def test_a_claim_of_a_client_known_by_id_admits_whoever_comes(self) -> None:
        """Where he is, is not known."""
        client = self.allocator.requestor(RESOLVER, b"7", None, now=0.0)
        self.allocator.ask(ONE, RESOLVER, "q", now=0.0, client=client)
        self.assertEqual(self.scene.come(pool_address(1), STRAY, now=0.1), 1)

    def test_who_waits_is_still_bound_to_his_network(self) -> None:
        """The claim that he gets in the end admits him alone."""
        scene = Scene(1, policy=BELIEVED, claim_sources=1)
        address = scene.get(ONE, now=0.0)
        client = scene.allocator.requestor(RESOLVER, NEAR, NEAR, now=0.0)
        told: list[bytes | Reason] = []
        self.assertIs(scene.allocator.ask(TWO, RESOLVER, "q", now=0.1, client=client), Reason.EXHAUSTED)
        scene.allocator.wait(TWO, RESOLVER, "q", told.append, tcp=False, now=0.1, client=client)
        self.assertEqual(scene.come(address, now=0.2), 1)
        self.assertEqual(told, [address])
        self.assertLess(scene.come(address, STRAY, now=0.3), 0)
        self.assertEqual(scene.come(address, CLIENT, now=0.3), 2)
