"""Tests of `realmgw.allocation.explain` for IPv6: what is said is what would be done, and nothing is changed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import Explanation, explain_admit, explain_ask
from realmgw.config.ipv6 import Ipv6, Ipv6Mode
from realmgw.errors import Reason
from realmgw.subscribers.model import Service
from realmgw.test.allocation.ipv6.scene import CLIENT, POOL, STRAY, Scene6, host, service
from realmgw.test.allocation.scene import RESOLVER

ONE, OWN = service(host(1)), service(host(2, mode=Ipv6Mode.PINHOLE), 6, 443)


class ExplainTests(SynchronousTestCase):
    """Queries for AAAA, and packets of IPv6."""

    def setUp(self) -> None:
        """A gateway with room for two claims."""
        self.scene = Scene6(ipv6=Ipv6(pending=2), claim_sources=1)

    def ask(self, asked: Service) -> Explanation:
        """Explain a query; nothing is counted, claimed or known of the resolver."""
        before = self.scene.counters.counts(), len(self.scene.allocator.groups), self.scene.fresh.pending
        said = explain_ask(self.scene.allocator, asked, RESOLVER, now=self.scene.now, family=6)
        after = self.scene.counters.counts(), len(self.scene.allocator.groups), self.scene.fresh.pending
        self.assertEqual(after, before)
        return said

    def come(self, address: bytes, source: bytes = CLIENT, port: int = 443) -> Explanation:
        """Explain a packet, and see that it is so."""
        said = explain_admit(self.scene.allocator, (source, address, 6, 9, port), now=self.scene.now)
        verdict = self.scene.come(address, source, port=port)
        self.assertEqual(said.host or -(said.reason or 0), verdict)
        return said

    def test_a_fresh_address_is_not_known_before(self) -> None:
        """What is looked at is."""
        said = self.ask(ONE)
        self.assertEqual((said.address, said.reason), (None, None))
        self.assertEqual(said.steps[-1], "given: an address of IPv6, fresh, drawn by chance")
        self.assertIn("0 claims of IPv6 are pending in all, of at most 2 (ipv6.pending)", said.steps)
        self.assertIn(
            "its group may make 2000 more that nobody uses, and 1000 more a second (ipv6.lost_rate)", said.steps
        )

    def test_a_hosts_own_is(self) -> None:
        """In pinhole mode."""
        self.assertEqual(self.ask(OWN).address, OWN.host.address6)

    def test_a_refusal_has_its_reason(self) -> None:
        """As it would be told."""
        for _ in range(2):
            self.scene.get(ONE)
        self.assertIs(self.ask(ONE).reason, Reason.CLAIM_LIMIT)

    def test_a_sibling_is_told_of(self) -> None:
        """And whether it is taken for the same client's."""
        self.scene.get(ONE, family=4)
        said = self.ask(ONE)
        self.assertIn("it asked for IPv4 0.000 s ago; 100% of its clients ask for both at once", said.steps)

    def test_packets(self) -> None:
        """From nobody's address to the one that is kept."""
        told = self.scene.get(ONE)
        steps = [self.come(address, source).steps[0].split(" ", 1)[1] for address, source in (
            (POOL[77].packed, CLIENT), (told, CLIENT), (told, CLIENT), (told, STRAY),
        )]  # fmt: skip
        self.assertEqual(steps[0], "is one of the pool of IPv6, and nobody's at present")
        self.assertEqual(steps[1], f"is an address of its own for {ONE.name}: a client is expected")
        self.assertEqual(set(steps[2:]), {f"is an address of its own for {ONE.name}: it is kept, since 0.0 s"})

    def test_packets_at_a_pinhole(self) -> None:
        """Which is an address like those of IPv4, while anything stands there."""
        self.come(OWN.host.address6)
        self.scene.get(OWN)
        self.assertIn(f"protocol 6, port 443: reserved for {OWN.name}", self.come(OWN.host.address6).steps)
