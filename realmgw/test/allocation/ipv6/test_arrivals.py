"""Tests of `realmgw.allocation.ipv6.arrivals`: who is let in at an address of his own."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.requestors import ClientPrefix
from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.config.ipv6 import Ipv6
from realmgw.errors import Reason
from realmgw.test.allocation.ipv6.scene import CLIENT, NEIGHBOUR, POOL, STRAY, Scene6, host, service
from realmgw.test.allocation.scene import RESOLVER

ONE = service(host(1, ipv4=False))
TCP, UDP, ECHO = 6, 17, 58
NO_CLAIM, LATE, NO_RESERVATION = -Reason.NO_CLAIM, -Reason.LATE, -Reason.NO_RESERVATION


class ArrivalTests(SynchronousTestCase):
    """First packets."""

    def test_nobody_is_let_in_at_an_address_that_was_told_to_nobody(self) -> None:
        """However near it is to one that was."""
        scene = Scene6()
        told = scene.get(ONE)
        near = (int.from_bytes(told, "big") ^ 1).to_bytes(16, "big")
        self.assertEqual([scene.come(near), scene.come(POOL[1].packed)], [NO_RESERVATION] * 2)

    def test_the_first_packet_uses_the_claim(self) -> None:
        """Whoever sends it, in time."""
        scene = Scene6()
        told, other = scene.get(ONE), scene.get(ONE)
        scene.after(1.9)
        self.assertEqual(scene.come(told, protocol=ECHO, port=0), 1)
        scene.after(0.2)
        self.assertEqual(scene.come(other), NO_RESERVATION)
        self.assertEqual((scene.counters.by_claim, scene.counters.lapsed), (1, 1))
        delays = Distribution(DELAY_BOUNDS)
        delays.come(1.9, 1, 1.9)
        self.assertEqual(scene.counters.delays.counts(), delays.counts())

    def test_a_service_is_reached_by_its_protocol_and_port(self) -> None:
        """And by nothing else, at its address."""
        scene = Scene6()
        told = scene.get(service(host(1), TCP, 443))
        others = [scene.come(told, port=80), scene.come(told, protocol=UDP, port=443)]
        self.assertEqual([*others, scene.come(told, port=443)], [NO_RESERVATION, NO_RESERVATION, 1])

    def test_a_service_has_its_own_timeout(self) -> None:
        """As for IPv4."""
        scene = Scene6()
        told = scene.get(service(host(1), timeout=10.0))
        scene.after(9.9)
        self.assertEqual(scene.come(told), 1)

    def test_who_came_comes_again(self) -> None:
        """For as long as addresses are kept, anew from when what he came with was answered."""
        scene = Scene6(answered=lambda _: True, claim_sources=1, ipv6=Ipv6(keep=60.0))
        told = scene.get(ONE)
        for seconds in (0.0, 0.01, 50.0, 50.0):
            scene.after(seconds)
            self.assertEqual(scene.come(told), 1)
        scene.after(60.1)
        self.assertEqual(scene.come(told), LATE)

    def test_who_only_knocks_is_forgotten(self) -> None:
        """He was let in once, and nobody has answered."""
        scene = Scene6(answered=lambda _: False, claim_sources=1, ipv6=Ipv6(keep=60.0))
        told = scene.get(ONE)
        for seconds in (0.0, 30.0, 29.0):
            scene.after(seconds)
            self.assertEqual(scene.come(told), 1)
        scene.after(2.0)
        self.assertEqual(scene.come(told), LATE)

    def test_a_flow_of_udp_that_pauses_goes_on(self) -> None:
        """As long as its address is kept; then nobody else can have it either."""
        scene = Scene6()
        told = scene.get(ONE)
        for _ in range(4):
            self.assertEqual(scene.come(told, protocol=UDP), 1)
            scene.after(180.0)
        scene.after(121.0)
        self.assertEqual(scene.come(told, protocol=UDP), LATE)

    def test_an_address_never_has_another_host(self) -> None:
        """Whatever comes there, and whenever."""
        scene, hosts = Scene6(), [service(host(index)) for index in range(1, 6)]
        told = [(scene.get(asked), asked.host.index) for asked in hosts * 20]
        for address, index in told:
            self.assertEqual(scene.come(address), index)
            self.assertIn(scene.come(address, STRAY), (index, NO_CLAIM))


class StrictTests(SynchronousTestCase):
    """How many senders one claim lets in."""

    def come(self, scene: Scene6, told: bytes) -> list[bool]:
        """Three senders, one after the other: who is let in."""
        return [scene.come(told, source) == 1 for source in (CLIENT, NEIGHBOUR, STRAY)]

    def test_as_many_as_claim_sources_says(self) -> None:
        """One is strict, and the sender that came comes again."""
        for sources, let_in in ((1, [True, False, False]), (2, [True, True, False]), (0, [True, True, True])):
            scene = Scene6(claim_sources=sources)
            told = scene.get(ONE)
            self.assertEqual(self.come(scene, told), let_in)
            self.assertEqual(self.come(scene, told), let_in)

    def test_loose_packets_are_senders_more(self) -> None:
        """Where they are not bound to the first one."""
        scene = Scene6(claim_sources=1)
        loose = service(host(1), loose_packet=1, autobind=False)
        bound = service(host(1), loose_packet=1)
        everybody = service(host(1), loose_packet=-1)
        for asked, let_in in ((loose, [True, True, False]), (bound, [True, False, False]), (everybody, [True] * 3)):
            self.assertEqual(self.come(scene, scene.get(asked)), let_in)

    def test_so_many_within_a_second(self) -> None:
        """Those who have no claim of their own."""
        scene = Scene6(candidate_rate=10)
        told = scene.get(ONE)
        come = [scene.come(told, IPv6Address(number).packed) for number in range(1, 5)]
        self.assertEqual(come, [1, 1, -Reason.CROWDED, -Reason.CROWDED])

    def test_senders_are_remembered_within_bounds(self) -> None:
        """More than so many are let in, but have no right to come again."""
        scene = Scene6()
        told = scene.get(ONE)
        for number in range(1, 1200):
            scene.now += 0.001
            self.assertEqual(scene.come(told, IPv6Address(number).packed), 1)
        others = scene.fresh.stock.kept[told].others
        assert others is not None
        self.assertEqual((len(others.sources), scene.fresh.stock._senders), (1024, 1024))
        scene.after(600.0)
        self.assertEqual(scene.fresh.stock._senders, 0)


class BoundTests(SynchronousTestCase):
    """Claims for a client that is named."""

    def test_only_his_network_uses_the_claim(self) -> None:
        """And nobody else has what it has to spare."""
        scene = Scene6()
        told = scene.get_for(ONE, ClientPrefix.of(CLIENT, 64))
        self.assertEqual(scene.come(told, STRAY), -Reason.OTHER_NETWORK)
        self.assertEqual(scene.come(told, CLIENT), 1)
        self.assertEqual(scene.come(told, STRAY), -Reason.OTHER_NETWORK)

    def test_who_was_named_by_ipv4_may_come_by_ipv6(self) -> None:
        """From wherever: nobody knows his other address. And the other way round."""
        scene, asked = Scene6(), service(host(1))
        told = scene.get_for(asked, ClientPrefix.of(ip_address("198.51.100.0").packed, 24))
        self.assertEqual(scene.come(told, STRAY), 1)
        told = scene.get_for(asked, ClientPrefix.of(CLIENT, 64), family=4)
        self.assertEqual(scene.come(told, ip_address("203.0.113.9").packed), 1)


class KeeperTests(SynchronousTestCase):
    """Resolvers that keep answers, whatever their time to live."""

    def test_clients_of_a_kept_answer_are_served(self) -> None:
        """Of a resolver that asks once a minute, and tells all of its clients meanwhile."""
        scene = Scene6()
        for minute in range(5):
            told = scene.get(ONE)
            for number in range(1, 12):
                source = IPv6Address(f"2001:db8:{minute * 20 + number:x}::1").packed
                self.assertEqual(scene.come(told, source), 1)
                scene.after(5.0)
            scene.after(5.0)
        self.assertGreater(scene.standing(), 0.45)

    def keeps(self, sources: str) -> bool:
        """Whether a group is known to keep answers, when these sources have come for one answer, a second apart."""
        scene = Scene6()
        told = scene.get(ONE)
        for number in range(1, 8):
            scene.come(told, IPv6Address(sources.format(number)).packed)
            scene.after(1.0)
        return scene.allocator.groups.of(RESOLVER).habits.keeps_answers

    def test_they_show_that_it_keeps_them(self) -> None:
        """And IPv4 knows it then, where it matters more."""
        self.assertTrue(self.keeps("2001:db8:{:x}::1"))

    def test_one_client_with_many_addresses_shows_nothing(self) -> None:
        """They are of one network."""
        self.assertFalse(self.keeps("2001:db8:2::{:x}"))

    def test_nobody_comes_late_for_who_asks_each_time(self) -> None:
        """It was seen to ask again at once, so it keeps nothing for long."""
        scene = Scene6()
        for _ in range(40):
            told = scene.get(ONE)
            scene.come(told)
            scene.after(0.3)
        scene.after(3.0)
        self.assertEqual(scene.come(told, STRAY), NO_CLAIM)
        self.assertEqual(scene.come(told, CLIENT), 1)

    def test_a_claim_stands_for_as_long_as_its_group_keeps_answers(self) -> None:
        """The one who asked need not be the first one to come."""
        scene = Scene6()
        group = scene.allocator.groups.of(RESOLVER)
        group.habits.remember(60.0, 120.0, until=1000.0)
        told = scene.get(ONE)
        scene.after(59.0)
        self.assertEqual(scene.come(told), 1)
