"""Flows that conntrack has forgotten: they go on, or are refused, and take nothing from anybody."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims.ended import Ended, EndedFlows
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service, Terms
from realmgw.test.allocation.flows import (
    FIXED,
    GRE,
    HOSTS,
    ONE,
    PRIVATE,
    SCTP,
    TWO,
    WIREGUARD,
    EndedTestCase,
)
from realmgw.test.allocation.scene import (
    CLIENT,
    ICMP,
    NEIGHBOUR,
    STRAY,
    TCP,
    UDP,
    Network,
    Scene,
    pool_address,
    service,
)


class GoingOnTests(EndedTestCase):
    """A flow that pauses for longer than conntrack remembers."""

    def test_goes_on_while_nobody_has_its_address(self) -> None:
        """Datagrams three minutes apart, for as long as one likes, without a claim."""
        scene, now = self.scene(), 0.0
        address = self.begun(scene)
        for _ in range(20):
            now += 180.0
            scene.allocator.expire(now=now)
            self.assertEqual(self.explained(scene, self.flow(address), now=now), 1)
            self.assertEqual(self.udp(scene, address, now=now), 1)
        self.assertEqual((scene.counters.resumed, scene.counters.by_claim), (20, 1))

    def test_goes_on_with_all_packets_of_a_burst(self) -> None:
        """Those that come before conntrack knows it again, even when the address passes on meanwhile."""
        scene = self.scene()
        address = self.begun(scene)
        scene.allocator.expire(now=180.0)
        self.assertEqual([self.udp(scene, address, now=180.0) for _ in range(3)], [1] * 3)
        self.assertEqual(scene.get(TWO, now=180.1), address)
        self.assertEqual(self.explained(scene, self.flow(address), now=180.2), 1)
        self.assertEqual(self.udp(scene, address, now=180.2), 1)
        self.assertEqual(self.udp(scene, address, source=NEIGHBOUR, now=180.3), 2)

    def test_goes_on_hours_after_it_began(self) -> None:
        """Conntrack tells when a long one has ended, and from then on the time counts."""
        scene = self.scene(ended_flows=16)
        address = self.begun(scene)
        for sport in range(1000):  # so that it is not noted any more
            scene.allocator.datagrams.note(
                scene.allocator.pool.addresses[address], (NEIGHBOUR, address, UDP, 1 + sport, 1), ONE.host, now=1.0
            )
        scene.allocator.expire(now=9000.0)
        scene.allocator.datagrams.hear(self.flow(address), PRIVATE, now=9000.0)
        self.assertEqual(self.udp(scene, address, now=9500.0), 1)

    def test_what_goes_on_is_renewed_wherever_it_is_remembered(self) -> None:
        """So it does not get old as long as it lives."""
        scene = self.scene(ended_time=100.0)
        address, now = pool_address(1), 0.0
        scene.allocator.datagrams.hear(self.flow(address), PRIVATE, now=now)
        for _ in range(10):
            now += 80.0
            self.assertEqual(self.udp(scene, address, now=now), 1)

    def test_its_end_is_heard_before_its_packet_is_looked_at(self) -> None:
        """However late the reactor would have come to it."""
        scene = self.scene()
        address = pool_address(1)
        scene.allocator.datagrams.listen = lambda: scene.allocator.datagrams.hear(self.flow(address), PRIVATE, now=50.0)
        self.assertEqual(self.udp(scene, address, now=50.0), 1)

    def test_is_refused_when_another_host_has_its_address(self) -> None:
        """And that host's claim is there still, for its own client."""
        scene = self.scene()
        address = self.begun(scene)
        self.assertEqual(scene.get(TWO, now=100.0), address)
        for now in (100.1, 100.2):
            self.assertEqual(self.explained(scene, self.flow(address), now=now), -Reason.PASSED_ON)
            self.assertEqual(self.udp(scene, address, now=now), -Reason.PASSED_ON)
        self.assertEqual(self.udp(scene, address, source=NEIGHBOUR, now=100.3), 2)
        self.assertEqual(scene.counters.by_claim, 2)

    def test_who_goes_on_knocking_inherits_nothing(self) -> None:
        """However long he does so; the others at his address get what they have asked for."""
        scene = self.scene()
        address = self.begun(scene)
        for now in range(100, 5000, 100):
            scene.allocator.expire(now=now)
            self.assertEqual(scene.get(TWO, now=now), address)
            self.assertEqual(self.udp(scene, address, now=now + 0.1), -Reason.PASSED_ON)
            self.assertEqual(self.udp(scene, address, source=NEIGHBOUR, sport=now, now=now + 0.2), 2)

    def test_goes_on_beside_services_that_it_is_not_for(self) -> None:
        """What another host has at the address is not what it is sent to."""
        web = service(2, TCP, 80)
        scene = self.scene()
        address = self.begun(scene)
        self.assertEqual(scene.get(web, now=100.0), address)
        self.assertEqual(self.udp(scene, address, now=100.1), 1)

    def test_is_forgotten_in_time(self) -> None:
        """Then it is a new flow like any other."""
        scene = self.scene(ended_time=60.0, linger=10.0)
        address = self.begun(scene)
        scene.allocator.expire(now=20.0)
        self.assertEqual(self.udp(scene, address, now=61.0), -Reason.NO_RESERVATION)

    def test_nothing_is_remembered_where_the_operator_wants_it_so(self) -> None:
        """`ended_flows` 0."""
        scene = self.scene(ended_flows=0, linger=10.0)
        address = self.begun(scene)
        scene.allocator.expire(now=20.0)
        self.assertEqual(self.udp(scene, address, now=61.0), -Reason.NO_RESERVATION)
        scene.allocator.datagrams.hear(self.flow(address), PRIVATE, now=61.0)
        self.assertEqual(self.udp(scene, address, now=61.0), -Reason.NO_RESERVATION)

    def test_uses_a_claim_for_its_own_host(self) -> None:
        """Its client may have asked anew, and whoever asked for him shall not be blamed."""
        scene = self.scene()
        address = self.begun(scene)
        self.assertEqual(scene.get(ONE, now=100.0), address)
        self.assertEqual(self.udp(scene, address, now=100.1), 1)
        self.assertEqual((scene.counters.by_claim, scene.counters.resumed), (2, 0))

    def test_ends_with_its_host(self) -> None:
        """A host that is gone gets nothing, nor does one that has its address from then on."""
        scene = self.scene()
        address = self.begun(scene)
        scene.allocator.forget([ONE.target], now=50.0)
        scene.allocator.ended.bar([PRIVATE], now=50.0)
        self.hosts[PRIVATE] = Host(3, "host3.gwa.demo.", PRIVATE, Profile(100))
        scene.allocator.datagrams.hear(self.flow(address), PRIVATE, now=50.1)  # ended by the reload, told later
        self.assertEqual(self.udp(scene, address, now=60.0), -Reason.NO_RESERVATION)
        scene.allocator.datagrams.hear(self.flow(address), PRIVATE, now=61.0)  # one of the new host's
        self.assertEqual(self.udp(scene, address, now=62.0), 3)

    def test_the_end_of_what_is_none_of_ours_is_passed_over(self) -> None:
        """The machine may translate other addresses as well."""
        scene = self.scene()
        scene.allocator.datagrams.hear((CLIENT, STRAY, UDP, 1, 2), PRIVATE, now=0.0)
        self.assertEqual(len(scene.allocator.ended), 0)


class ProtocolTests(EndedTestCase):
    """Of which protocols flows are remembered."""

    def test_a_handshake_begins_a_new_flow(self) -> None:
        """TCP and SCTP from the same ports come for the new host's claim, and so does an echo request."""
        for protocol in (TCP, SCTP, ICMP):
            scene = self.scene()
            address = scene.get(ONE, now=0.0)
            sport, dport = (0, 0) if protocol == ICMP else (FIXED, 80)
            scene.come(address, CLIENT, protocol, dport, sport=sport, now=0.0)
            scene.allocator.datagrams.hear((CLIENT, address, protocol, sport, dport), PRIVATE, now=50.0)
            self.assertEqual(scene.get(TWO, now=100.0), address)
            self.assertEqual(scene.come(address, CLIENT, protocol, dport, sport=sport, now=100.1), 2)

    def test_tunnels_without_ports_go_on(self) -> None:
        """To the former host as long as nobody has the address; then they are refused."""
        scene = self.scene()
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, CLIENT, GRE, 0, now=0.0), 1)
        self.assertEqual(scene.come(address, CLIENT, GRE, 0, now=200.0), 1)
        scene.allocator.expire(now=300.0)
        self.assertEqual(scene.get(TWO, now=300.0), address)
        self.assertEqual(scene.come(address, CLIENT, GRE, 0, now=300.1), -Reason.PASSED_ON)

    def test_without_ports_who_was_let_in_since_goes_there(self) -> None:
        """All flows of a sender look alike: that of the key exchange by UDP says where he belongs now."""
        scene = self.scene()
        address = scene.get(ONE, now=0.0)
        scene.come(address, CLIENT, GRE, 0, now=0.0)
        self.assertEqual(scene.get(TWO, now=100.0), address)
        self.assertEqual(self.udp(scene, address, now=100.1), 2)
        self.assertEqual(scene.come(address, CLIENT, GRE, 0, now=100.2), 2)


class KnownClientTests(EndedTestCase):
    """Fixed source ports: the client of an earlier flow comes for another host."""

    def test_a_claim_for_his_network_is_his(self) -> None:
        """Flow of old or not: he was announced."""
        scene = self.scene()
        address = self.begun(scene)
        scene.allocator.expire(now=100.0)
        self.assertEqual(scene.ask(TWO, now=100.0, network=Network(CLIENT)), address)
        self.assertEqual(self.explained(scene, self.flow(address), now=100.1), 2)
        self.assertEqual(self.udp(scene, address, now=100.1), 2)
        self.assertEqual(self.udp(scene, address, now=300.0), 2, "and from then on it is that host's flow")

    def test_whatever_else_of_that_host_stands_there(self) -> None:
        """A service that is named more closely, whose client may be anybody, changes nothing."""
        scene = self.scene()
        address = self.begun(scene)
        scene.allocator.expire(now=100.0)
        self.assertEqual(scene.ask(TWO, now=100.0, network=Network(CLIENT)), address)
        self.assertEqual(scene.ask(Service("wg.gwa.demo.", TWO.host, Terms(UDP, WIREGUARD)), now=100.0), address)
        self.assertEqual(self.explained(scene, self.flow(address), now=100.1), 2)
        self.assertEqual(self.udp(scene, address, now=100.1), 2)
        self.assertEqual(self.udp(scene, address, source=STRAY, now=100.1), 2, "and the other claim is left")


class MemoryTests(SynchronousTestCase):
    """`EndedFlows` alone."""

    def test_is_bounded(self) -> None:
        """The latest ones are known."""
        ended = EndedFlows(Allocation(ended_flows=100), HOSTS.get)
        flows = [(CLIENT, pool_address(1), UDP, sport, 9) for sport in range(1, 1000)]
        for flow in flows:
            ended.remember(flow, Ended(PRIVATE, 0.0))
            self.assertLessEqual(len(ended), 101)
        self.assertTrue(all(ended.find(flow) for flow in flows[-50:]))

    def test_is_found_where_only_the_older_half_is_left(self) -> None:
        """The only flow of the younger one has begun anew: the others are remembered as before."""
        scene = Scene(1, host_at=HOSTS.get, ended_flows=4)
        address, ended = scene.allocator.pool.addresses[pool_address(1)], scene.allocator.ended
        first, second, third = ((CLIENT, address.packed, UDP, sport, 9) for sport in range(1, 4))
        for flow in (first, second, third):
            ended.remember(flow, Ended(PRIVATE, 0.0))
        ended.forget(third)
        self.assertFalse(ended.flows.young)
        self.assertIsNotNone(scene.allocator.datagrams.find(address, first, now=1.0))

    def test_what_is_noted_is_bounded(self) -> None:
        """All addresses together, whoever sends what."""
        scene = Scene(4, host_at=HOSTS.get, ended_flows=400)
        addresses = list(scene.allocator.pool.addresses.values())
        for number in range(5000):
            where = addresses[number % 4 if number < 2500 else 0]
            flow = (ip_address(number).packed, where.packed, UDP, 1, 1)
            scene.allocator.datagrams.note(where, flow, ONE.host, now=float(number))
            self.assertLessEqual(sum(len(each.flows or ()) for each in addresses), 400)
            self.assertLessEqual(set(where.unwatched or ()), set(where.flows or ()))
        self.assertTrue(flow in (addresses[0].flows or ()), "the latest one is known")

    def test_what_is_noted_is_kept_until_it_can_be_of_use(self) -> None:
        """Where flows come too fast for all to be known, some are, instead of none when conntrack forgets them."""
        scene = Scene(1, host_at=HOSTS.get, ended_flows=100)
        address = scene.allocator.pool.addresses[pool_address(1)]
        flows = [(ip_address(number).packed, address.packed, UDP, 1, 1) for number in range(5000)]
        for number, flow in enumerate(flows):
            scene.allocator.datagrams.note(address, flow, ONE.host, now=number * 0.001)
        self.assertEqual(list(address.flows or ()), flows[:100])
