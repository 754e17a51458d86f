"""Neighbours on the WAN's link: a router's own kernel asks, and is told of what lives."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_network

from twisted.internet.defer import maybeDeferred

from realmgw.config.settings import Attachment, Interfaces, PoolPrefix, Pools, Settings
from realmgw.datapath.ending import end_flows
from realmgw.datapath.neighbours.announcing import GAP
from realmgw.datapath.neighbours.answering import LOOK as LOOK_AT_FLOWS
from realmgw.datapath.neighbours.answering import Answers
from realmgw.datapath.neighbours.established import established
from realmgw.datapath.neighbours.service import LOOK, Established, NeighboursService
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.neighbours.solicitations import solicitation
from realmgw.test.kernel.neighbours_case import PATIENCE, WAN, NeighboursTestCase
from realmgw.testing import MemoryWorker

ON_LINK, ROUTED, ON_LINK4 = "2001:db8:0:1:5::/80", "2001:db8:0:1:6::/80", "192.0.2.128/30"
LIVE, UNCLAIMED, ELSEWHERE = "2001:db8:0:1:5::9", "2001:db8:0:1:5::a", "2001:db8:0:1:6::9"
MANY = 100_000
WITHOUT_RAW = """
import sys
from twisted.internet.task import Clock
from realmgw.datapath.neighbours.answering import Answers
from realmgw.errors import PlatformError
from realmgw.test.kernel.test_neighbours import InlineWorker, NeighboursService, settings
told = []
tell, answers = lambda *each: told.append(each), Answers(bool)
service = NeighboursService(settings(sys.argv[1]), answers, InlineWorker(), tell, Clock())
try:
    service.startService()
except PlatformError as error:
    print("refused", error)
finally:
    print("served" if service.running else "", told)
"""
ALL_PACKETS = 3


def settings(*prefixes: str, wan: str = WAN) -> Settings:
    """With these prefixes on the link, and one that is routed."""
    pieces = [PoolPrefix(ip_network(each), Attachment.ON_LINK) for each in prefixes]
    pieces.append(PoolPrefix(ip_network(ROUTED), Attachment.ROUTED))
    return Settings(name="gwa", zones=(), interfaces=Interfaces(wan=wan, lan=("lan0",)), pools=Pools(tuple(pieces)))


class InlineWorker(MemoryWorker):
    """Makes each call at once: this thread has the namespace."""

    def call(self, function, *args, **kwargs):  # type: ignore[no-untyped-def]  # as the base's
        """Makes it."""
        return maybeDeferred(function, *args, **kwargs)


class NeighboursTests(NeighboursTestCase):
    """`NeighboursService`, with kernels at both ends."""

    def setUp(self) -> None:
        """Nothing lives but one address, one more of a prefix that is routed."""
        super().setUp()
        self.live = {IPv6Address(each).packed for each in (LIVE, ELSEWHERE)}
        self.told: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def start(
        self, *prefixes: str, ask: Established = established, worker: MemoryWorker | None = None
    ) -> NeighboursService:
        """Starts the service; conntrack is asked at once, or when a worker works."""
        answers, worker = Answers(self.live.__contains__), worker or InlineWorker()
        service = NeighboursService(
            settings(*prefixes), answers, worker, lambda *told: self.told.append(told), self.reactor, ask
        )
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def test_router_finds_what_lives_and_nothing_else(self) -> None:
        """Its own resolution, by the group of each target; no service is needed for its own addresses."""
        service = self.start(ON_LINK)
        self.assertIn(f"lladdr {self.own}", self.neighbour(LIVE))
        for address in (UNCLAIMED, ELSEWHERE):
            self.assertIn("FAILED", self.neighbour(address))
        self.assertEqual(service.counts()["answered"], 1)
        self.assertEqual(service.counts()["unclaimed"], 3)

    def test_kernel_itself_answers_for_no_pool_address(self) -> None:
        """With a route of ours, and without the service."""
        self.run_program("ip", "-6", "route", "add", "unreachable", ON_LINK, "proto", "82")
        self.run_program("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self.assertIn("FAILED", self.neighbour(LIVE))

    def test_router_looks_again_without_the_group(self) -> None:
        """By unicast, while it has the address; when that lives no more, it is forgotten."""
        service = self.start(ON_LINK)
        self.neighbour(LIVE)
        self.at_router("ip", "-6", "neigh", "change", LIVE, "dev", "peer0", "nud", "probe")
        self.until(lambda: service.counts()["answered"] == 2)
        self.live.clear()
        self.at_router("ip", "-6", "neigh", "change", LIVE, "dev", "peer0", "nud", "probe")
        self.until(lambda: "FAILED" in self.at_router("ip", "-6", "neigh", "show", LIVE))

    def test_flow_that_only_conntrack_knows_of_is_answered_for(self) -> None:
        """The router has the address and asks whether it is still there: it is looked at then."""
        service = self.start(ON_LINK)
        self.flow_to(LIVE)
        self.assertIn("lladdr", self.neighbour(LIVE))
        self.live.clear()
        self.reactor.advance(LOOK_AT_FLOWS)
        self.at_router("ip", "-6", "neigh", "change", LIVE, "dev", "peer0", "nud", "probe")
        self.until(lambda: self.is_well() and service.counts()["answered"] == 2)
        self.assertIn("REACHABLE", self.at_router("ip", "-6", "neigh", "show", LIVE))

    def test_address_that_lives_can_not_be_taken_by_a_neighbour(self) -> None:
        """Its own duplicate address detection is told; an address that does not live it may have."""
        self.start(ON_LINK)
        for address, outcome in ((LIVE, "dadfailed"), (UNCLAIMED, "scope global \n")):
            self.at_router("ip", "addr", "add", f"{address}/128", "dev", "peer0")
            self.until(lambda address=address, outcome=outcome: outcome in self.addresses(address))

    def addresses(self, address: str) -> str:
        """What the router says of an address of its own."""
        return self.at_router("ip", "-6", "addr", "show", "dev", "peer0", "to", f"{address}/128")

    def test_many_unclaimed_addresses(self) -> None:
        """A hundred thousand solicitations: none is answered; what that costs is printed."""
        service = self.start(ON_LINK)
        raw = self.router_socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("peer0", 0))
        prefix = IPv6Address(LIVE).packed[:10]
        frames = [solicitation(prefix + n.to_bytes(6, "big")) for n in range(100, 1100)]
        spent = 0.0
        for sent in range(0, MANY, len(frames)):
            for at in range(0, len(frames), 250):
                for frame in frames[at : at + 250]:
                    raw.send(frame)
                deadline, before = time.monotonic() + PATIENCE, time.process_time()
                while sum(service.counts()[each] for each in ("unclaimed", "lost")) < sent + at + 250:
                    self.assertLess(time.monotonic(), deadline, "some were neither answered nor counted")
                    self.reactor.read()
                    self.reactor.advance(0.0)
                spent += time.process_time() - before
        counts = service.counts()
        print(  # noqa: T201 - docs/ipv6.md has the figures
            f"{MANY} solicitations for unclaimed addresses: {counts}, {spent:.2f} s, {spent / MANY * 1e6:.1f} us each"
        )
        self.assertEqual((counts["answered"], counts["unclaimed"], counts["lost"]), (0, MANY, 0))

    def test_what_is_too_much_is_lost_and_counted(self) -> None:
        """The kernel keeps so much and no more."""
        service = self.start(ON_LINK)
        raw = self.router_socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("peer0", 0))
        frame = solicitation(IPv6Address(UNCLAIMED).packed)
        for _ in range(10_000):
            raw.send(frame)
        self.reactor.advance(LOOK)
        self.assertGreater(service.counts()["lost"], 0)

    def test_interface_that_goes_and_comes_back_is_heard_again(self) -> None:
        """Set down, renamed, or made anew; what has flows is announced then, and what is wrong is told meanwhile."""
        service = self.start(ON_LINK)
        ways = {
            "it is down": (("set", WAN, "down"), ("set", WAN, "up")),
            "No such device": (("set", WAN, "down", "name", "away"), ("set", "away", "name", WAN, "up")),
        }
        for word, (away, back) in ways.items():
            self.run_program("ip", "link", *away)
            self.reactor.read()
            self.reactor.advance(LOOK)
            self.assertIn(word, self.told[-1][0][0])
            self.run_program("ip", "link", *back)
            self.assert_heard(service)
        self.run_program("ip", "link", "del", WAN)
        self.reactor.read()
        self.reactor.advance(LOOK)
        self.assertIn("No such device", self.told[-1][0][0])
        self.link()
        self.assert_heard(service)

    def assert_heard(self, service: NeighboursService) -> None:
        """After a look, the router finds what lives."""
        self.until(self.is_well)
        self.at_router("ip", "-6", "neigh", "flush", "dev", "peer0")
        self.assertIn("lladdr", self.neighbour(LIVE))

    def is_well(self) -> bool:
        """Whether nothing is wrong by another look."""
        self.reactor.advance(LOOK)
        return self.told[-1] == ((), ())

    def test_flow_of_an_earlier_run_is_answered_for(self) -> None:
        """Until conntrack has it no more; it is looked when the router asks."""
        self.live.clear()
        self.flow_to(LIVE)
        service = self.start(ON_LINK)
        self.assertIn("lladdr", self.neighbour(LIVE))
        self.assertIn("FAILED", self.neighbour(UNCLAIMED))
        self.run_program("nft", "delete table ip6 earlier")
        self.forget()
        self.reactor.advance(LOOK_AT_FLOWS)
        self.at_router("ip", "-6", "neigh", "flush", "dev", "peer0")
        self.assertIn("FAILED", self.neighbour(LIVE))
        self.assertEqual(self.told[-1], ((), ()))
        self.assertEqual(service.counts()["malformed"], 0)

    def test_start_does_not_wait_for_conntrack(self) -> None:
        """It may have a million flows: what lives is answered for at once, what only it knows of when it has told."""
        self.live.clear()
        self.flow_to(LIVE)
        self.live.add(IPv6Address(UNCLAIMED).packed)
        worker = MemoryWorker()
        service = self.start(ON_LINK, worker=worker)
        self.assertTrue(service.running)
        self.assertIn("lladdr", self.neighbour(UNCLAIMED))
        self.assertIn("FAILED", self.neighbour(LIVE))
        worker.work()
        self.at_router("ip", "-6", "neigh", "flush", "dev", "peer0")
        self.assertIn("lladdr", self.neighbour(LIVE))

    def test_listing_makes_haste_at_the_start_alone_and_is_given_up_by_a_stop(self) -> None:
        """Later ones leave the processor to others; the thread ends with the service, and is none without a prefix."""
        hasty, worker = [], MemoryWorker()

        def ask(_: object, is_awaited: Callable[[], bool]) -> frozenset[bytes]:
            hasty.append(is_awaited())
            return frozenset()

        service = self.start(worker=worker)
        self.assertEqual((worker.started, len(worker.waiting)), (False, 0))
        service.stopService()
        service = self.start(ON_LINK, ask=ask, worker=worker)
        worker.work()
        service.configure(settings(ON_LINK, ON_LINK4))
        worker.work()
        self.assertEqual((hasty, worker.stopped), ([True, False], False))
        service.configure(settings(ON_LINK))
        service.configure(settings(ON_LINK, ON_LINK4))
        stopped = service.stopService()
        self.assertNoResult(stopped)
        worker.work()
        self.successResultOf(stopped)
        self.assertEqual((len(hasty), worker.stopped), (2, True))

    def flow_to(self, address: str) -> None:
        """A flow from the router to a pool address, which was translated to a host."""
        self.run_program("ip", "addr", "add", "fd00::1/128", "dev", "lo", "nodad")
        rule = f'iifname "{WAN}" ip6 daddr {ON_LINK} dnat to fd00::1'
        text = f"table ip6 earlier {{ chain c {{ type nat hook prerouting priority dstnat\n{rule}\n}}\n}}\n"
        self.run_program("nft", "-f", "-", text=text)
        host = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(host.close)
        host.bind(("fd00::1", 9))
        host.settimeout(5)
        self.at_router("ip", "-6", "neigh", "add", address, "lladdr", self.own, "dev", "peer0")
        self.router_socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b"!", (address, 9))
        host.recv(9)
        self.at_router("ip", "-6", "neigh", "del", address, "dev", "peer0")

    def forget(self) -> None:
        """Ends every flow of the host."""
        self.assertGreater(end_flows([IPv6Address("fd00::1").packed]), 0)

    def test_what_has_come_here_is_announced(self) -> None:
        """IPv4 by ARP, what has a flow by an advertisement; the router has it at once, and hears each twice."""
        self.flow_to(LIVE)
        self.at_router("sysctl", "-qw", "net.ipv4.conf.peer0.arp_accept=1")
        self.at_router("ip", "addr", "add", "192.0.2.129/25", "dev", "peer0")
        other = "02:00:00:00:00:77"
        for address in (LIVE, "192.0.2.130"):
            self.at_router("ip", "neigh", "add", address, "lladdr", other, "dev", "peer0", "nud", "stale")
        service = self.start(ON_LINK, ON_LINK4)
        for address in (LIVE, "192.0.2.130"):
            self.assertIn(self.own, self.at_router("ip", "neigh", "show", address))
        self.assertEqual(service.counts()["announced"], 5)
        self.reactor.advance(GAP)
        self.assertEqual(service.counts()["announced"], 10)

    def test_prefix_that_a_reload_adds_is_answered_for(self) -> None:
        """And announced; one that it takes away is not any more."""
        service = self.start()
        self.assertIn("FAILED", self.neighbour(LIVE))
        service.configure(settings(ON_LINK, ON_LINK4))
        self.reactor.advance(LOOK)
        self.assertEqual(service.counts()["announced"], 4)
        self.at_router("ip", "-6", "neigh", "flush", "dev", "peer0")
        self.assertIn("lladdr", self.neighbour(LIVE))
        service.configure(settings())
        self.at_router("ip", "-6", "neigh", "flush", "dev", "peer0")
        self.assertIn("FAILED", self.neighbour(LIVE))
        self.assertEqual(self.reactor.readers, [])

    def test_without_the_capability_ipv6_is_refused_and_ipv4_is_served(self) -> None:
        """It only is not announced then, which is told."""
        for prefix, outcome in ((ON_LINK, "refused"), (ON_LINK4, "served")):
            argv = ["setpriv", "--bounding-set=-net_raw", sys.executable, "-c", WITHOUT_RAW, prefix]
            said = self.run_program(*argv)
            self.assertTrue(said.startswith(outcome), said)
            self.assertIn("CAP_NET_RAW is missing", said)

    def test_conntrack_that_does_not_tell_is_told_of(self) -> None:
        """Neighbours are answered all the same."""

        def refused(*_: object) -> frozenset[bytes]:
            raise RealmGatewayError("netlink: the kernel refused")

        service = self.start(ON_LINK, ask=refused)
        [line] = self.told[-1][1]
        self.assertEqual(line, "flows of an earlier run are not known, and may end: netlink: the kernel refused")
        self.assertIn("lladdr", self.neighbour(LIVE))
        self.assertEqual(service.counts()["answered"], 1)

    def test_groups_are_heard_only_while_it_runs(self) -> None:
        """The interface takes frames to all groups then, and no more when it has stopped."""
        service = self.start(ON_LINK)
        self.assertIn("allmulti 1", self.run_program("ip", "-d", "link", "show", WAN))
        service.stopService()
        self.assertIn("allmulti 0", self.run_program("ip", "-d", "link", "show", WAN))
