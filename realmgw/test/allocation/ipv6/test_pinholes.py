"""Tests of `realmgw.allocation.ipv6.pinholes`: hosts' own addresses, opened for who is expected."""

from __future__ import annotations

from ipaddress import IPv6Network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.config.ipv6 import Ipv6, Ipv6Mode, PinholeFor, PrefixMode
from realmgw.errors import Reason
from realmgw.test.allocation.ipv6.scene import CLIENT, CLIENT4, NEIGHBOUR, STRAY, Scene6, host, service
from realmgw.test.allocation.scene import OTHER, RESOLVER

AT = host(1, mode=Ipv6Mode.PINHOLE)
WEB, SSH, ALL = service(AT, 6, 443), service(AT, 6, 22), service(AT)
TCP_ALL, DNS = service(AT, 6), service(AT, 0, 53)
NO_RESERVATION = -Reason.NO_RESERVATION


class PinholeTests(SynchronousTestCase):
    """A host with a public address."""

    def setUp(self) -> None:
        """Strict: one sender for each claim."""
        self.scene = Scene6(claim_sources=1)

    def test_a_query_is_answered_with_the_hosts_own_address(self) -> None:
        """By its option, or by its prefix's."""
        self.assertEqual(self.scene.get(WEB), AT.address6)
        prefix = PrefixMode(IPv6Network("2001:db8:9::/64"), Ipv6Mode.PINHOLE)
        other = host(2)
        self.assertEqual(Scene6(ipv6=Ipv6(prefixes=(prefix,))).get(service(other)), other.address6)

    def test_unclaimed_packets_are_refused(self) -> None:
        """Though everybody may know the address."""
        self.assertEqual(self.scene.come(AT.address6, port=443), NO_RESERVATION)
        self.scene.get(WEB)
        self.assertEqual(self.scene.come(AT.address6, port=22), NO_RESERVATION)

    def test_it_is_open_for_the_next_flow_only(self) -> None:
        """By default not even for another one of who sent it; what is sent again goes on."""
        scene = Scene6()
        for _ in range(2):
            scene.get(WEB)
            flow = CLIENT, AT.address6, 6, 4711, 443
            come = [scene.allocator.admit(flow, now=scene.now) for _ in range(3)]
            come += [scene.come(AT.address6, source, port=443) for source in (CLIENT, STRAY)]
            self.assertEqual(come, [1, 1, 1, -Reason.NO_CLAIM, -Reason.NO_CLAIM])
            scene.after(4.0)
            self.assertEqual(scene.allocator.admit(flow, now=scene.now), NO_RESERVATION)
            self.assertFalse(scene.fresh.pinholes.addresses)

    def test_a_client_may_open_further_flows_where_the_operator_says_so(self) -> None:
        """As browsers do, after one query; nobody else may, whatever claims of the pool let in."""
        scene = Scene6(ipv6=Ipv6(pinhole=PinholeFor.CLIENT))
        scene.get(WEB)
        come = [scene.come(AT.address6, source, port=443) for source in (CLIENT, STRAY, CLIENT, CLIENT)]
        self.assertEqual(come, [1, -Reason.NO_CLAIM, 1, 1])

    def test_nor_whatever_is_said_of_its_service(self) -> None:
        """But as many as the operator lets in, if he does."""
        loose = service(AT, 6, 80, loose_packet=-1)
        for opens, others in ((PinholeFor.FLOW, 0), (PinholeFor.CLIENT, 0), (PinholeFor.CLAIM, 5)):
            scene = Scene6(ipv6=Ipv6(pinhole=opens), claim_sources=1)
            scene.get(loose)
            come = [scene.come(AT.address6, bytes((*CLIENT[:15], last))) for last in range(6)]
            self.assertEqual(sum(each == 1 for each in come), 1 + others, opens)

    def test_others_come_whose_resolver_keeps_answers(self) -> None:
        """They were told what he was told; unless one flow is all."""
        for opens, come in ((PinholeFor.FLOW, -Reason.NO_CLAIM), (PinholeFor.CLIENT, 1)):
            scene = Scene6(ipv6=Ipv6(pinhole=opens))
            scene.allocator.groups.of(RESOLVER).habits.remember(60.0, 120.0, until=1000.0)
            scene.get(WEB)
            found = [scene.come(AT.address6, source, port=443) for source in (CLIENT, NEIGHBOUR)]
            self.assertEqual(found, [1, come], opens)

    def test_a_reload_says_for_whom_it_is_open(self) -> None:
        """From then on."""
        scene = Scene6()
        scene.get(WEB)
        scene.come(AT.address6, port=443)
        scene.allocator.configure(scene.allocator.ledger.settings, Ipv6(pinhole=PinholeFor.CLIENT))
        self.assertEqual(scene.come(AT.address6, port=443), 1)

    def test_it_is_open_for_a_while(self) -> None:
        """And for who came already, where a client may open further flows."""
        scene = Scene6(ipv6=Ipv6(pinhole=PinholeFor.CLIENT), claim_sources=1)
        scene.get(WEB)
        come = [scene.come(AT.address6, source, port=443) for source in (CLIENT, STRAY, CLIENT)]
        self.assertEqual(come, [1, -Reason.NO_CLAIM, 1])
        scene.after(300.1)
        self.assertEqual(scene.come(AT.address6, CLIENT, port=443), NO_RESERVATION)
        self.assertFalse(scene.fresh.pinholes.addresses)
        self.assertFalse(scene.fresh.pinholes.ledger.last)

    def test_services_stand_beside_each_other(self) -> None:
        """A packet goes to the one that expects somebody, most closely named first."""
        for asked in (ALL, TCP_ALL, DNS, SSH):
            self.scene.get(asked)
        packets = ((6, 22), (6, 53), (6, 80), (17, 9))
        come = [self.scene.come(AT.address6, CLIENT, protocol, port) for protocol, port in packets]
        self.assertEqual(come, [1, 1, 1, 1])
        self.assertEqual(self.scene.come(AT.address6, STRAY, 6, 22), -Reason.NO_CLAIM)
        counters = self.scene.fresh.pinholes.ledger.counters
        delays = Distribution(DELAY_BOUNDS)
        delays.share(0.0, 4)
        self.assertEqual((counters.by_claim, counters.delays), (4, delays))

    def test_several_clients_are_expected_at_once(self) -> None:
        """Of several resolvers: as many are let in, and whose they were nobody can tell."""
        for resolver in (RESOLVER, OTHER):
            self.scene.get(WEB, resolver)
        come = [self.scene.come(AT.address6, source, port=443) for source in (CLIENT, NEIGHBOUR, STRAY)]
        self.assertEqual(come, [1, 1, -Reason.NO_CLAIM])
        self.assertEqual(self.scene.allocator.groups.of(RESOLVER).neutral, 1)

    def test_the_same_question_again_is_one_claim(self) -> None:
        """It is a retransmission."""
        for _ in range(2):
            self.scene.get(WEB, question="q")
        self.assertEqual((self.scene.fresh.pending, self.scene.counters.retransmitted), (1, 1))

    def test_a_claim_for_a_named_client_is_his(self) -> None:
        """Strangers know the address as well."""
        self.scene.get_for(WEB, ClientPrefix.of(CLIENT, 64))
        come = [self.scene.come(AT.address6, source, port=443) for source in (STRAY, CLIENT)]
        self.assertEqual(come, [-Reason.OTHER_NETWORK, 1])

    def test_a_stray_robs_nobody(self) -> None:
        """As long as claims let in further senders: the client is let in after it."""
        scene = Scene6(ipv6=Ipv6(pinhole=PinholeFor.CLAIM))
        scene.get(WEB)
        self.assertEqual([scene.come(AT.address6, source, port=443) for source in (STRAY, CLIENT)], [1, 1])

    def test_what_nobody_uses_counts_by_rate(self) -> None:
        """As at addresses of the pool; who comes gives it back."""
        scene = Scene6(ipv6=Ipv6(lost_rate=10))
        group = scene.allocator.groups.of(RESOLVER)
        scene.get(WEB)
        scene.come(AT.address6, port=443)
        self.assertEqual(scene.fresh.allowances.left(group, 0.0), 20)
        for _ in range(10):
            scene.get(WEB)
        self.assertEqual(scene.fresh.allowances.left(group, 0.0), 10)
        scene.after(2.05)
        self.assertAlmostEqual(group.nok, sum(number / 20 for number in range(10)))
        self.assertFalse(scene.fresh.pinholes.ledger.rates.by_claim)

    def test_its_claims_have_siblings(self) -> None:
        """The first packet of either settles both, whichever was asked for first."""
        for families in ((4, 6), (6, 4)):
            for comes_by in (4, 6):
                scene = Scene6()
                told = {family: scene.get(WEB, family=family) for family in families}
                scene.come(told[comes_by], CLIENT if comes_by == 6 else CLIENT4, port=443)
                self.assertEqual((scene.allocator.counters.pending, scene.fresh.pending), (0, 0))
                self.assertEqual(scene.allocator.groups.of(RESOLVER).ok, 1)
