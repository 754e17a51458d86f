"""Resolver groups of a running gateway: how they come about, and what becomes of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import FIRST, PREFIX, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player.asking import Asker
    from testbed.player.defences import Defence
    from testbed.realm import client, host
    from testbed.realm.gateway import ON_LINK_POOL, Gateway, Subscriber
    from testbed.realm.topology import GATEWAY, Testbed, client_address

if TYPE_CHECKING:
    from testbed.player.asking import Resolution

NAME, OTHER = "one.gwa.demo.", "two.gwa.demo."


class PolicyTestCase(RealmTestCase):
    """A gateway with a policy."""

    @classmethod
    def defence(cls) -> Defence:
        """What is switched on."""
        return Defence("cname", ("cname",), bands=True)

    def build(self) -> tuple[Testbed, Gateway]:
        """A testbed with a gateway that serves."""
        testbed = Testbed(PREFIX, hosts=2, clients=9).__enter__()
        try:
            host.start(testbed)
            settings = self.defence().settings()
            subscribers = [Subscriber(NAME, FIRST), Subscriber(OTHER, SECOND)]
            gateway = Gateway(testbed, subscribers, circular=[ON_LINK_POOL], settings=settings)
            gateway.start()
        except BaseException:
            testbed.close()
            raise
        return testbed, gateway

    def resolve(self, source: str) -> Resolution:
        """A client that asks itself, and does what it is told."""
        asker = Asker(GATEWAY, source=source)
        return self.public(asker.resolve(NAME, timeouts=(1.0, 1.0)))

    def question(self, name: str, source: str, *, tcp: bool = False) -> dns.message.Message:
        """One question, and its answer as it comes."""
        query = dns.message.make_query(name, "A", flags=dns.flags.Flag(0))
        asking = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return self.public(asking(query, GATEWAY, timeout=2.0, source=source))

    def alias(self, source: str, *, tcp: bool = False) -> str:
        """The alias that somebody is told."""
        answer = self.question(NAME, source, tcp=tcp).answer
        self.assertEqual([each.rdtype for each in answer], [dns.rdatatype.CNAME])
        return str(answer[0][0].target)

    def known(self, source: str) -> Any:
        """What the gateway knows of a resolver."""
        return ask(self.gateway.control, "reputation/show", {"who": source})

    def listed(self) -> list[str]:
        """The groups that the gateway knows."""
        return [each["name"] for each in ask(self.gateway.control, "reputation/list")["reputations"]]


class GroupTests(PolicyTestCase):
    """Names are answered with one-time aliases."""

    def test_an_alias_is_resolved_by_who_was_told_it(self) -> None:
        """And leads to its host."""
        found = self.resolve(client_address(1))
        self.assertEqual(found.steps, ("udp", "alias", "udp"))
        self.assertEqual(FIRST, self.public(client.fetch(found.address)))

    def test_two_resolvers_of_one_alias_are_one_group(self) -> None:
        """The one that was told the alias, and the one that asks for it by TCP."""
        told, asks = client_address(2), client_address(3)
        alias = self.alias(told, tcp=True)
        answer = self.question(alias, asks, tcp=True)
        self.assertEqual([each.rdtype for each in answer.answer], [dns.rdatatype.A])
        self.assertEqual(sorted(self.known(told)["nodes"]), sorted([told, asks]))
        self.assertEqual(self.known(asks)["nodes"], self.known(told)["nodes"])

    def test_a_bare_query_from_elsewhere_merges_nothing(self) -> None:
        """Anybody can write any address into it: it has to come by TCP first."""
        told, forged = client_address(4), client_address(5)
        alias = self.alias(told, tcp=True)
        self.assertTrue(self.question(alias, forged).flags & dns.flags.TC)
        self.assertEqual([each.rdtype for each in self.question(alias, told, tcp=True).answer], [dns.rdatatype.A])
        self.assertEqual(self.known(told)["nodes"], [told])
        self.assertNotIn(forged, self.listed())

    def test_a_reputation_survives_the_gateway(self) -> None:
        """What was known when it was stopped is known when it is started again."""
        source = client_address(6)
        for _ in range(3):
            self.public(client.fetch(self.resolve(source).address))
        before = self.known(source)["reputation"]
        self.gateway.stop()
        self.gateway.start()
        self.assertGreater(before, 0.5)
        self.assertLess(abs(self.known(source)["reputation"] - before), 0.1)


class StandingTests(PolicyTestCase):
    """Reputation decides when the pool is short."""

    @classmethod
    def defence(cls) -> Defence:
        """Nobody is asked to prove anything; the pool's load asks for reputation."""
        return Defence("bands", (), bands=True)

    def test_who_never_comes_is_refused_before_who_does(self) -> None:
        """Of two resolvers at the same load, the one of clients that come is served."""
        honest, idle = client_address(7), client_address(8)
        ask(self.gateway.control, "reputation/set", {"who": honest, "reputation": "0.9"})
        ask(self.gateway.control, "reputation/set", {"who": idle, "reputation": "0.0"})
        how: dict[str, Any] = {"attempts": 1, "timeout": 1.5}
        self.assertTrue(self.public(client.resolve(NAME, source=honest, **how)).addresses)
        with self.assertRaises(dns.exception.Timeout):
            self.public(client.resolve(OTHER, source=idle, **how))
        self.assertTrue(self.public(client.resolve(OTHER, source=honest, **how)).addresses)
