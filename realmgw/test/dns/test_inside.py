"""Who asks the WAN's view from a LAN."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import dns.edns
import dns.message
import dns.opcode
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.config import settings
from realmgw.config.values import Network
from realmgw.dns.codec.wire import Rcode, decode
from realmgw.dns.counts import Count
from realmgw.dns.explain import Question, explain_name
from realmgw.dns.inside import Inside
from realmgw.dns.service import LOOK_INTERVAL, DnsService
from realmgw.dns.view import Asker
from realmgw.errors import PlatformError
from realmgw.system.endpoints import plain_address
from realmgw.test.dns import realm
from realmgw.test.dns.gateway import WanTestCase

LANS = (ip_network("192.168.0.0/24"), ip_network("2001:db8:0:5::/64"), ip_network("10.64.0.0/11"))
HOST = "192.168.0.77"
NETWORKS = st.one_of(
    st.builds(
        lambda packed, length: ip_network((packed, length), strict=False), st.ip_addresses(v=4), st.integers(1, 32)
    ),
    st.builds(
        lambda packed, length: ip_network((packed, length), strict=False), st.ip_addresses(v=6), st.integers(1, 128)
    ),
)


class InsideTests(SynchronousTestCase):
    """The comparison of texts."""

    @given(st.lists(NETWORKS, max_size=4), st.data())
    @hypothesis_settings(deadline=None)
    def test_is_inside_who_is_in_a_network(self, networks: list[Network], data: st.DataObject) -> None:
        """Of either family; those of the networks, their neighbours, and others."""
        inside = Inside(networks)
        candidates = [st.ip_addresses(v=4), st.ip_addresses(v=6)]
        for network in networks:
            first, last = int(network.network_address), int(network.broadcast_address)
            kind, most = type(network.network_address), 2**network.max_prefixlen - 1
            near = first, last, max(first - 1, 0), min(last + 1, most), data.draw(st.integers(first, last))
            candidates += [st.just(kind(each)) for each in near]
        for candidate in candidates:
            address = data.draw(candidate)
            plain = plain_address(str(address))
            is_inside = any(plain in each for each in networks if not each.is_link_local)
            self.assertEqual(inside.holds(str(address)), is_inside, (address, networks))

    def test_a_network_of_one_address_holds_it(self) -> None:
        """Whether zeros are left out of its text or not."""
        for address in ("192.0.2.7", "1:2:3:4:5:6:7:8", "2001:db8::7", "2001:db8:0:1::", "::1"):
            inside = Inside([ip_network(address)])
            self.assertTrue(inside.holds(address))
            self.assertFalse(inside.holds(str(ip_address(address) + 1)))

    def test_a_link_local_network_is_no_lan(self) -> None:
        """It is on every link: whoever is beside us on the WAN has such an address as well."""
        inside = Inside([ip_network("fe80::/64"), ip_network("169.254.0.0/16"), ip_network("fd00::/64")])
        held = [inside.holds(each) for each in ("fe80::1", "fe80::1%lan0", "169.254.1.1", "fd00::1")]
        self.assertEqual(held, [False, False, False, True])

    def test_an_ipv4_address_is_one_in_the_form_of_ipv6_as_well(self) -> None:
        """As a socket of both families has it."""
        inside = Inside(LANS)
        self.assertEqual([inside.holds(f"::ffff:{each}") for each in (HOST, "192.0.2.1")], [True, False])

    def test_without_networks_nobody_is(self) -> None:
        """Whoever asks."""
        self.assertFalse(any(map(Inside().holds, (HOST, "::1", "192.0.2.1"))))


class ViewTests(WanTestCase):
    """Which answers they get."""

    def start_inside(self, *words: str) -> None:
        """A WAN with these challenges, which knows the LANs."""
        self.start(*words, rate=settings.RateLimit(1))
        self.wan.inside.configure(LANS)

    def test_a_host_of_a_lan_gets_the_private_address(self) -> None:
        """By UDP and TCP, with any options, whatever the challenges; nothing is reserved, and no group is made."""
        self.start_inside("tcp")
        for resolver in (HOST, "2001:db8:0:5::1", "10.95.255.254"):
            for tcp in (False, True):
                for cookie in (None, b"12345678"):
                    answer = self.ask(resolver=resolver, tcp=tcp, cookie=cookie)
                    assert answer is not None
                    self.assertEqual(answer.answer[0][0].address, "192.168.0.1")
        self.assertEqual((self.allocator.counters.claimed, len(self.allocator.groups)), (0, 0))
        self.assertEqual(self.events[Count.INSIDE], 12)

    def test_it_gets_all_that_the_lan_gets(self) -> None:
        """Names of private addresses as well; names that are not, and others' names, are as ever."""
        self.start_inside()
        lan = realm.lan()
        for name, kind in (
            ("1.0.168.192.in-addr.arpa.", "PTR"),
            ("www.two.example.org.", "A"),
            ("example.org.", "NS"),
            ("nobody.example.org.", "A"),
            ("example.net.", "A"),
            ("nodes.example.org.", "AAAA"),
        ):
            query = dns.message.make_query(name, kind, use_edns=0).to_wire()
            asker = Asker((HOST, 5353), print)
            self.assertIsNone(self.wan.fast(query, asker.address, now=100.0))
            told = [view.answer(decode(query), asker, now=100.0) for view in (self.wan, lan)]
            self.assertEqual(told[0], told[1])

    def test_it_is_told_of_faults_as_on_the_lan(self) -> None:
        """Without a cookie, which it gets with no answer; who has one of a server asks again where there is none."""
        self.start_inside()
        query = dns.message.make_query("one.example.org.", "A", options=[dns.edns.GenericOption("10", bytes(8))])
        for host, cookies in ((HOST, 0), ("192.168.1.77", 1)):
            asker = Asker((host, 5353), print)
            told = [self.wan.error(decode(query.to_wire()), Rcode.FORMERR, asker, now=100.0)]
            for opcode in (0, 4):
                query.set_opcode(dns.opcode.Opcode(opcode))
                told.append(self.wan.answer(decode(query.to_wire()), asker, now=100.0) or b"")
            self.assertEqual([len(dns.message.from_wire(each).options) for each in told], [cookies] * 3)

    def test_nobody_else_does(self) -> None:
        """A private address is not a LAN's: a gateway may stand in a private network itself."""
        self.start_inside()
        for resolver in ("192.168.1.77", "10.96.0.1", "10.0.0.1", "172.16.0.1", "2001:db8:0:6::1"):
            answer = self.ask(resolver=resolver)
            assert answer is not None
            self.assertTrue(ip_address(answer.answer[0][0].address) in ip_network("192.0.2.0/28"))
        self.assertEqual(self.events[Count.INSIDE], 0)

    def test_an_explanation_says_so(self) -> None:
        """And what is answered."""
        self.start_inside("tcp")
        said_of = {"one.example.org": "private address", "nobody.example.org": "NXDOMAIN", "x.org": "REFUSED"}
        for name, said in said_of.items():
            found = explain_name(self.wan, Question(name, HOST), 100.0)
            self.assertIn("on a LAN", found.steps[0])
            self.assertIn(said, found.steps[-1])
            self.assertEqual((found.service, found.challenge), (None, None))


class ServiceTests(SynchronousTestCase):
    """How the LANs' networks come to be known."""

    def setUp(self) -> None:
        """A service that is told what the test says."""
        self.clock = Clock()
        self.known: list[tuple[Network, ...] | Exception] = []
        made = realm.make_settings()
        allocator = Allocator(settings.Allocation(), [realm.POOL], now=0.0)
        self.asked: list[object] = []
        self.service = DnsService(
            made, realm.directory(), allocator, self.clock, self.clock.seconds, lan_networks=self.look
        )
        self.addCleanup(self.service.stopService)

    def look(self, names: object) -> defer.Deferred[tuple[Network, ...]]:
        """What the kernel says."""
        self.asked.append(names)
        said = self.known.pop(0)
        return defer.fail(said) if isinstance(said, Exception) else defer.succeed(said)

    def is_inside(self) -> bool:
        """Whether the host is."""
        return self.service.wan.view.inside.holds(HOST)

    def test_they_are_looked_for_again_and_again(self) -> None:
        """From the start on; when the kernel does not tell, what was known stays, and it is told once."""
        self.known = [LANS, PlatformError("no netlink"), PlatformError("no netlink"), ()]
        found = []
        self.service.startService()
        for _ in range(4):
            found.append(self.is_inside())
            self.clock.advance(LOOK_INTERVAL)
            if len(found) == 3:
                self.known = [(), ()]
        self.assertEqual(found, [True, True, True, False])
        self.assertEqual(self.asked, [("lan",)] * 5)
