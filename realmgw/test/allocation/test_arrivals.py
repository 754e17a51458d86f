"""Tests of first packets: which host each goes to, and who is refused."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.arrivals import SLICE
from realmgw.allocation.claims.senders import SOURCES, SOURCES_ANY, came, count
from realmgw.allocation.claims.used import KEPT
from realmgw.allocation.explain import explain_admit
from realmgw.errors import Reason
from realmgw.test.allocation.scene import (
    CLIENT,
    ICMP,
    NEIGHBOUR,
    OTHER,
    STRAY,
    TCP,
    UDP,
    Network,
    Scene,
    pool_address,
    service,
)

ONE, TWO = service(1), service(2)
NO_POOL_ADDRESS = b"\xc6\x33\x64\x09"


class LookupTests(SynchronousTestCase):
    """Which reservation a packet meets."""

    def setUp(self) -> None:
        self.scene = Scene(1)

    def test_a_packet_for_no_pool_address_is_not_ours(self) -> None:
        """A destination outside the pool is refused as such."""
        self.assertEqual(self.scene.come(NO_POOL_ADDRESS, now=0.0), -Reason.NOT_OURS)

    def test_a_packet_for_an_idle_address_finds_no_reservation(self) -> None:
        """Where nothing stands, nobody is let in."""
        self.assertEqual(self.scene.come(pool_address(1), now=0.0), -Reason.NO_RESERVATION)

    def test_each_service_of_an_address_has_its_host(self) -> None:
        """Protocol and port decide between the hosts of one address."""
        web, names, mail = service(1, TCP, 80), service(2, UDP, 53), service(3, TCP, 25)
        for asked in (web, names, mail):
            self.scene.get(asked, now=0.0)
        for protocol, port, index in ((TCP, 25, 3), (UDP, 53, 2), (TCP, 80, 1)):
            self.assertEqual(self.scene.come(pool_address(1), CLIENT, protocol, port, now=0.1), index)

    def test_a_packet_for_another_service_finds_no_reservation(self) -> None:
        """A claim on TCP port 80 lets nobody in at UDP port 80 nor at TCP port 81."""
        self.scene.get(service(1, TCP, 80), now=0.0)
        for protocol, port in ((UDP, 80), (TCP, 81), (ICMP, 0)):
            self.assertEqual(self.scene.come(pool_address(1), CLIENT, protocol, port, now=0.1), -Reason.NO_RESERVATION)

    def test_a_service_may_take_any_protocol_of_a_port(self) -> None:
        """(0, 80) is met by every protocol on port 80."""
        self.scene.get(service(1, 0, 80), now=0.0)
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, UDP, 80, now=0.1), 1)

    def test_a_service_may_take_any_port_of_a_protocol(self) -> None:
        """(6, 0) is met by every TCP port; a protocol without ports is met by itself."""
        self.scene.get(service(1, TCP), now=0.0)
        self.scene.get(service(2, ICMP), now=0.0)
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, TCP, 8080, now=0.1), 1)
        self.assertEqual(self.scene.come(pool_address(1), CLIENT, ICMP, 0, now=0.1), 2)

    def test_a_name_takes_everything(self) -> None:
        """(0, 0) is met by every packet to its address."""
        address = self.scene.get(ONE, now=0.0)
        self.assertEqual(self.scene.come(address, CLIENT, 132, 0, now=0.1), 1)


class AdmissionTests(SynchronousTestCase):
    """Who is let in after the claim was used."""

    def test_a_source_that_was_admitted_comes_again(self) -> None:
        """Parallel connections and reconnects of an admitted client need no claim."""
        scene = Scene(claim_sources=1)
        address = scene.visit(ONE, now=0.0, after=0.1)
        for after in (0.1, 3.0, 9.0):
            self.assertEqual(scene.come(address, CLIENT, now=after), 1)
        self.assertEqual(scene.counters.by_source, 3)

    def test_a_source_is_let_in_within_its_service_only(self) -> None:
        """A client of one service has no way to another one at the same address."""
        scene = Scene(claim_sources=1)
        web, mail = service(1, TCP, 80), service(2, TCP, 25)
        address = scene.visit(web, now=0.0, after=0.1)
        scene.visit(mail, source=NEIGHBOUR, now=0.0, after=0.1)
        self.assertEqual(scene.come(address, CLIENT, TCP, 25, now=0.2), -Reason.NO_CLAIM)

    def test_a_source_is_remembered_as_long_as_an_address_lingers(self) -> None:
        """At a reservation that never rests, a source that was not seen for so long is a stranger."""
        scene = Scene(claim_sources=1, linger=10.0)
        address = scene.visit(ONE, now=0.0, after=0.0)
        for second in range(1, 13):
            scene.visit(ONE, source=NEIGHBOUR, now=float(second), after=0.0)
        self.assertEqual(scene.come(address, CLIENT, now=12.0), -Reason.NO_CLAIM)

    def test_a_source_that_comes_again_is_remembered_from_then(self) -> None:
        """Each time a source is admitted counts anew."""
        scene = Scene(claim_sources=1)
        address = scene.visit(ONE, now=0.0, after=0.0)
        for second in (6.0, 12.0, 18.0):
            scene.visit(ONE, source=NEIGHBOUR, now=second, after=0.0)
            self.assertEqual(scene.come(address, CLIENT, now=second), 1)

    def test_a_pending_claim_goes_before_the_memory_of_a_source(self) -> None:
        """A known client who asked again uses his claim: it does not lapse."""
        scene = Scene()
        scene.visit(ONE, now=0.0, after=0.1)
        scene.visit(ONE, now=0.2, after=0.1)
        scene.allocator.expire(now=5.0)
        self.assertEqual((scene.counters.by_claim, scene.counters.lapsed), (2, 0))

    def test_a_stray_does_not_rob_a_client(self) -> None:
        """A used claim lets further sources in before its deadline; in the strict form two in all."""
        scene = Scene(claim_sources=2)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, STRAY, now=0.05), 1)
        self.assertEqual(scene.come(address, CLIENT, now=1.9), 1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=1.95), -Reason.NO_CLAIM)
        self.assertEqual(scene.counters.by_spare, 1)

    def test_nothing_is_to_spare_after_the_deadline(self) -> None:
        """The further source of a claim is let in within the claim's 2.0 s only."""
        scene = Scene()
        address = scene.visit(ONE, now=0.0, after=0.1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=2.0), -Reason.NO_CLAIM)

    def test_nothing_is_to_spare_once_the_address_has_passed_on(self) -> None:
        """Another host's address owes nothing to the clients of the one before."""
        scene = Scene(1)
        address = scene.visit(ONE, now=0.0, after=0.1)
        scene.visit(TWO, OTHER, STRAY, now=0.2, after=0.1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.35), 2)  # the spare of TWO
        self.assertEqual(scene.come(address, CLIENT, now=0.36), -Reason.LATE)

    def test_more_sources_can_be_configured(self) -> None:
        """`claim_sources` is how many senders one claim lets in altogether."""
        scene = Scene(claim_sources=4)
        address = scene.get(ONE, now=0.0)
        sources = [bytes((198, 51, 100, last)) for last in range(1, 7)]
        self.assertEqual([scene.come(address, source, now=0.1) for source in sources], [1] * 4 + [-Reason.NO_CLAIM] * 2)

    def test_the_sources_that_are_remembered_are_bounded(self) -> None:
        """However many senders a service has, only so many are remembered, the latest ones."""
        scene = Scene(1, claim_sources=1)
        open_house = service(1, loose_packet=-1, timeout=60.0)
        address = scene.get(open_house, now=0.0)
        for number in range(2 * SOURCES):
            scene.come(address, number.to_bytes(4, "big"), now=0.001 * number)
        (reservation,) = scene.allocator.pool.addresses[address].reservations.values()
        self.assertLessEqual(count(reservation), SOURCES)
        latest = range(2 * SOURCES - SOURCES // 2, 2 * SOURCES)
        self.assertTrue(all(came(reservation, number.to_bytes(4, "big")) for number in latest))

    def test_sources_of_old_are_not_kept(self) -> None:
        """A service that never rests forgets senders whom the memory would not help any more."""
        scene = Scene(1, claim_sources=1)
        for number in range(1000):
            scene.visit(ONE, source=number.to_bytes(4, "big"), now=float(number), after=0.0)
        (reservation,) = scene.allocator.pool.addresses[pool_address(1)].reservations.values()
        self.assertLessEqual(count(reservation), SOURCES_ANY)

    def test_used_claims_are_kept_in_bounds(self) -> None:
        """Claims that were used are kept while they may have something to spare, and never too many."""
        scene = Scene(1)
        for number in range(300):
            scene.visit(ONE, now=0.001 * number, after=0.0)
        (reservation,) = scene.allocator.pool.addresses[pool_address(1)].reservations.values()
        assert reservation.used is not None
        self.assertLessEqual(len(reservation.used), KEPT)
        scene.visit(ONE, now=5.0, after=0.0)
        self.assertEqual(len(reservation.used), 1)


class BurstTests(SynchronousTestCase):
    """The memory of flows, for packets that come before conntrack knows their flow."""

    def test_the_packets_of_a_burst_go_to_one_host(self) -> None:
        """The same flow again is admitted again, though the address went on under load."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, sport=5060, now=0.1), 1)
        scene.get(TWO, OTHER, now=0.101)
        self.assertEqual([scene.come(address, sport=5060, now=0.102) for _ in range(3)], [1, 1, 1])
        self.assertEqual(scene.counters.by_memory, 3)

    def test_the_claim_of_another_is_left_alone(self) -> None:
        """A packet of a burst uses up nobody's claim."""
        scene = Scene(1, claim_sources=1)
        address = scene.get(ONE, now=0.0)
        scene.get(ONE, OTHER, now=0.0)
        for _ in range(3):
            scene.come(address, CLIENT, sport=5060, now=0.1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=0.2), 1)
        self.assertEqual(scene.counters.by_claim, 2)

    def test_a_flow_is_remembered_for_a_second_at_least(self) -> None:
        """Whenever it was admitted, a flow is known one second later."""
        for began in (0.0, 0.5, 0.99, 1.0, 1.7):
            scene = Scene(1, claim_sources=1)
            address = scene.get(ONE, now=began)
            scene.come(address, CLIENT, UDP, sport=5060, now=began)
            scene.get(TWO, now=began)
            self.assertEqual(scene.come(address, CLIENT, UDP, sport=5060, now=began + 0.999), 1)

    def test_a_flow_is_forgotten_after_three_seconds(self) -> None:
        """A flow of long ago is not known any more, with or without others in between."""
        for others in ((), (1.5, 2.5)):
            scene = Scene(1, claim_sources=1)
            address = scene.get(ONE, now=0.0)
            scene.come(address, sport=5060, now=0.0)
            scene.visit(TWO, source=NEIGHBOUR, now=0.1, after=0.0)
            for when in others:
                scene.come(address, STRAY, now=when)
            self.assertEqual(scene.come(address, sport=5060, now=3.0), -Reason.LATE)

    def test_flows_are_forgotten_when_nobody_comes_any_more(self) -> None:
        """The memory of flows does not outlive a flood: `expire` ends it, too."""
        scene = Scene(1)
        address = scene.visit(ONE, now=0.0, after=0.0)
        for sport in range(2000):
            scene.come(address, sport=1 + sport, now=0.5)
        for now in (1.5, 2.5, 4.0, 5.0, 6.0):  # whoever has nothing to do forgets more each time
            scene.allocator.expire(now=now)
        arrivals = scene.allocator.arrivals
        self.assertEqual((arrivals._young, arrivals._old, arrivals._gone), ({}, {}, {}))

    def test_no_packet_waits_until_a_flood_is_forgotten(self) -> None:
        """It is forgotten little by little: that of a second would take milliseconds."""
        scene = Scene(1)
        address = scene.visit(ONE, now=0.0, after=0.0)
        for sport in range(3 * SLICE):
            scene.come(address, sport=1 + sport, now=0.5)
        arrivals, left = scene.allocator.arrivals, []
        for now in (1.5, 2.5, 2.55, 2.6, 2.65):
            scene.allocator.expire(now=now)
            left.append(sum(map(len, (arrivals._young, arrivals._old, arrivals._gone))))
        self.assertEqual([before - after for before, after in pairwise(left)], [SLICE, SLICE, SLICE, 0])

    def test_a_port_that_is_used_again_begins_another_flow(self) -> None:
        """Where the address was handed on, and its client may be this one: conntrack knows a flow from its SYN on."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        flow = CLIENT, address, TCP, 5060, 80
        self.assertEqual(scene.allocator.admit(flow, now=0.1), 1)
        self.assertEqual(scene.get(TWO, now=0.2), address)
        self.assertEqual(explain_admit(scene.allocator, flow, now=0.3).host, 2)
        self.assertEqual([scene.allocator.admit(flow, now=now) for now in (0.3, 0.31)], [2, 2])
        self.assertEqual((scene.counters.by_claim, scene.counters.by_memory), (2, 1))

    def test_a_syn_that_waited_with_its_own_repetition_is_the_same_flow(self) -> None:
        """It had come before the first one was let in, so that conntrack knew nothing; or packets were lost lately."""
        for behind in ((0.2,), (0.0, 0.25)):
            scene = Scene(1)
            address = scene.get(ONE, now=0.0)
            flow = CLIENT, address, TCP, 5060, 80
            self.assertEqual(scene.allocator.admit(flow, now=0.1), 1)
            self.assertEqual(scene.get(TWO, now=0.2), address)
            scene.allocator.behind(*behind)
            self.assertEqual(scene.allocator.admit(flow, now=0.3), 1)

    def test_a_port_that_is_used_again_takes_nobodys_claim(self) -> None:
        """Of another network: it is the flow of before as long as nobody like its sender is expected."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        flow = CLIENT, address, TCP, 5060, 80
        self.assertEqual(scene.allocator.admit(flow, now=0.1), 1)
        self.assertEqual(scene.ask(TWO, now=0.2, network=Network(NEIGHBOUR)), address)
        self.assertEqual(scene.allocator.admit(flow, now=0.3), 1)

    def test_a_second_ping_goes_to_the_host_that_was_asked_for(self) -> None:
        """Without ports two flows look the same; a claim at an address that was handed on tells them apart."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, CLIENT, ICMP, 0, now=0.1), 1)
        self.assertEqual(scene.get(TWO, now=0.2), address)
        self.assertEqual(scene.come(address, CLIENT, ICMP, 0, now=0.3), 2)
        self.assertEqual(scene.come(address, CLIENT, ICMP, 0, now=0.31), 2)
        self.assertEqual(scene.counters.by_claim, 2)

    def test_a_second_ping_is_not_taken_for_a_companions(self) -> None:
        """Where an address is only kept for others of the new host, who pings on goes on with the old one."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        scene.come(address, CLIENT, ICMP, 0, now=0.1)
        scene.allocator.groups.of(OTHER).habits.came_again(STRAY, 0.0, 0.3, 0.1)
        scene.visit(TWO, OTHER, NEIGHBOUR, now=0.2, after=0.01)
        self.assertEqual(scene.counters.pending, 1, "kept for others")
        self.assertEqual(explain_admit(scene.allocator, (CLIENT, address, ICMP, 0, 0), now=0.3).host, 1)
        self.assertEqual(scene.come(address, CLIENT, ICMP, 0, now=0.3), 1)

    def test_a_second_ping_leaves_the_claims_of_other_networks_alone(self) -> None:
        """It goes on as long as nobody like its sender is expected."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        scene.come(address, CLIENT, ICMP, 0, now=0.1)
        self.assertEqual(scene.ask(TWO, now=0.2, network=Network(NEIGHBOUR)), address)
        self.assertEqual(explain_admit(scene.allocator, (CLIENT, address, ICMP, 0, 0), now=0.3).host, 1)
        self.assertEqual(scene.come(address, CLIENT, ICMP, 0, now=0.3), 1)

    def test_pings_of_one_client_go_on(self) -> None:
        """Where the address was not handed on, further packets without ports are the same flow."""
        scene = Scene(1, claim_sources=1)
        address = scene.get(ONE, now=0.0)
        self.assertEqual([scene.come(address, CLIENT, ICMP, 0, now=0.1 * n) for n in range(1, 4)], [1, 1, 1])
        self.assertEqual(scene.counters.by_memory, 2)


class LooseTests(SynchronousTestCase):
    """What `loose_packet` and `autobind` let in."""

    def admitted(self, loose: int, *, autobind: bool, now: float = 0.1) -> int:
        """How many of ten different senders get in, with strict claims."""
        scene = Scene(1, claim_sources=1)
        address = scene.get(service(1, loose_packet=loose, autobind=autobind), now=0.0)
        return sum(scene.come(address, bytes((198, 51, 100, last)), now=now) == 1 for last in range(10))

    def test_further_packets_are_bound_to_the_first_sender(self) -> None:
        """With autobind, n loose packets are for the first sender, who needs no count; nobody else is let in."""
        self.assertEqual(self.admitted(3, autobind=True), 1)

    def test_further_packets_may_be_anybodys(self) -> None:
        """Without autobind, n further packets of any sender are let in."""
        self.assertEqual(self.admitted(3, autobind=False), 4)

    def test_a_hole_stays_open(self) -> None:
        """With -1, everybody is let in after the first packet, whatever autobind says."""
        self.assertEqual([self.admitted(-1, autobind=autobind) for autobind in (True, False)], [10, 10])

    def test_a_hole_closes_at_the_deadline(self) -> None:
        """What is loose ends with the claim's timeout."""
        scene = Scene(1)
        address = scene.visit(service(1, loose_packet=-1), now=0.0, after=0.1)
        self.assertEqual(scene.come(address, NEIGHBOUR, now=1.99), 1)
        self.assertEqual(scene.come(address, STRAY, now=2.0), -Reason.NO_CLAIM)


class LateTests(SynchronousTestCase):
    """What is counted when an address has passed on."""

    def test_a_late_arrival_is_counted(self) -> None:
        """Who comes for a service that left the address within the last 10 s is refused as late."""
        scene = Scene(1, claim_sources=1)
        address = scene.get(ONE, now=0.0)
        scene.visit(TWO, OTHER, NEIGHBOUR, now=0.6, after=0.1)
        self.assertEqual(scene.come(address, CLIENT, now=0.8), -Reason.LATE)
        self.assertEqual(scene.come(address, CLIENT, now=10.6), -Reason.NO_CLAIM)
        self.assertEqual(scene.counters.late, 1)

    def test_a_packet_for_another_service_is_not_late(self) -> None:
        """Who comes for a service that never was there is no late arrival."""
        scene = Scene(1)
        address = scene.get(service(1, TCP, 80), now=0.0)
        scene.get(service(2, TCP, 80), now=0.6)
        self.assertEqual(scene.come(address, CLIENT, UDP, 80, now=0.7), -Reason.NO_RESERVATION)

    def test_what_may_have_been_meant_for_another_is_counted(self) -> None:
        """A claim used where another service was a moment before is uncertain; at the next host's turn it is again."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        scene.visit(TWO, now=0.6, after=0.1)
        self.assertEqual(scene.counters.uncertain, 1)

    def test_what_is_let_in_without_a_claim_is_no_more_certain(self) -> None:
        """A known sender's further flow, and who comes on what a claim has to spare, are counted likewise."""
        scene = Scene(1)
        scene.get(ONE, now=0.0)
        address = scene.visit(TWO, now=0.6, after=0.1)
        self.assertEqual([scene.come(address, source, now=0.8) for source in (CLIENT, NEIGHBOUR)], [2, 2])
        self.assertEqual((scene.counters.by_source, scene.counters.by_spare), (1, 1))
        self.assertEqual(scene.counters.uncertain, 3)

    def test_a_service_that_the_other_never_had_is_certain(self) -> None:
        """A packet to port 443 was not meant for a service at port 80."""
        scene = Scene(1)
        scene.get(service(1, TCP, 80), now=0.0)
        scene.get(service(2, TCP, 80), now=0.6)
        scene.visit(service(3, TCP, 443), now=0.7, after=0.1)
        self.assertEqual(scene.counters.uncertain, 0)

    def test_the_same_service_again_is_certain(self) -> None:
        """A host that gets its own address back has lost nobody's client."""
        scene = Scene(1)
        scene.visit(ONE, now=0.0, after=0.0)
        scene.allocator.expire(now=10.0)
        scene.visit(ONE, now=10.5, after=0.0)
        self.assertEqual(scene.counters.uncertain, 0)
