"""The datapath's second family in a kernel: put back, switched on and off, purged, and where the machine has none."""

from __future__ import annotations

import contextlib
import socket
import struct
from ipaddress import ip_network
from pathlib import Path

import attrs

from realmgw.admission.conntrack import Conntrack
from realmgw.config import settings as config
from realmgw.datapath import client
from realmgw.datapath.apply import Kernel
from realmgw.datapath.dualstack import SWITCHED_OFF
from realmgw.datapath.machine import capabilities
from realmgw.datapath.machine.capabilities import Feature
from realmgw.datapath.ruleset import Ruleset, replacement
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.errors import PlatformError
from realmgw.subscribers.model import Host
from realmgw.test.datapath.moves import change
from realmgw.test.kernel import requirements, test_datapath_ipv6
from realmgw.test.kernel.datapath_case import TO_FIRST, must, until
from realmgw.test.kernel.dualstack_case import OWN, TO_FIRST6, DualStackTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6

FORWARDING, WAN, ACCEPT_RA = "all/forwarding", "wan0/forwarding", "wan0/accept_ra"
POOL6 = config.PoolPrefix(ip_network("2001:db8:2::/64"), config.Attachment.ROUTED)


class AdmittedBesideMarkdnatTests(test_datapath_ipv6.AdmittedTests):
    """Everything of IPv6 that is admitted, where IPv4 goes by the MARKDNAT target: it goes by the map all the same."""

    dnat = config.Dnat.MARKDNAT
    skip = requirements.missing_for_dnat(config.Dnat.MARKDNAT)


class KeptTestCase(DualStackTestCase):
    """Somebody with a shell on the gateway's machine."""

    def shell(self, *argv: str) -> str:
        """He runs a program."""
        done = self.testbed.run("gwa", argv)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def setting(self, name: str, value: int | None = None) -> int:
        """A kernel setting of IPv6, which he may set."""
        path = Path("/proc/sys/net/ipv6/conf") / name
        if value is not None:
            self.testbed.call("gwa", path.write_text, str(value))
        return int(self.testbed.call("gwa", path.read_text))

    def look(self, noticed: Noticed | None = None) -> Findings:
        """What is found."""
        return self.testbed.call("gwa", self.kernel.look, noticed or Noticed(), lambda: self.hosts)

    def assert_ipv4_alone(self, *where: str) -> None:
        """Nothing of IPv6 is there, but that whoever has rules has them for both families."""
        found = [line for line in self.nft("list", *(where or ("ruleset",))).splitlines() if "ip6" in line]
        self.assertEqual([line for line in found if "classes6" not in line], [])

    def reaches(self, to: str = TO_FIRST6, host: str = "") -> bool:
        """Whether a datagram of a new flow comes to its host."""
        with self.udp("test_gwa", host or self.testbed.hosts6[0], 53) as server, self.udp() as client:
            server.settimeout(0.3)
            client.sendto(b"?", (to, 53))
            with contextlib.suppress(TimeoutError):
                return server.recv(9) == b"?"
        return False


class PutBackTests(KeptTestCase):
    """What somebody has changed."""

    def test_is_put_back_and_named(self) -> None:
        """Routes, settings, the queue step, rules and elements."""
        self.decide()
        self.assert_stands()
        self.shell("ip", "-6", "route", "del", "unreachable", ipv6.ROUTED)
        self.setting(FORWARDING, 0)
        self.shell("ip6tables", "-t", "mangle", "-F")
        self.nft("flush", "chain", "inet", "realmgw", "for_pinhole")
        found = self.look()
        told = "\n".join(found.repaired)
        switched = "net.ipv6.conf.all.forwarding is 0, not 1"
        for each in (f"unreachable {ipv6.ROUTED}", switched, "chain for_pinhole changed"):
            self.assertIn(each, told)
        self.assertEqual((found.broken, self.setting(WAN)), ((), 1))
        self.assertTrue(self.reaches() and self.reaches(OWN, OWN))

    def test_elements_are_told_anew_when_somebody_may_have_changed_them(self) -> None:
        """Those of all sets and maps."""
        self.decide()
        for name in ("map inet realmgw hosts6", "set inet realmgw pinholes", "set inet realmgw pool6"):
            self.nft("flush", *name.split())
        self.assertFalse(self.reaches() or self.reaches(OWN, OWN))
        self.look(Noticed(lost=True))
        self.assertTrue(self.reaches() and self.reaches(OWN, OWN))

    def test_guard_holds_while_the_table_is_gone(self) -> None:
        """Nothing new gets in, to the pool, to a host at its own address or to one that routes lead to."""
        self.decide()
        must(self.testbed, "router", ["ip", "-6", "route", "add", ipv6.LAN, "via", ipv6.GATEWAY])
        client, connection = self.connected(OWN, OWN)
        self.nft("flush", "ruleset")
        private = self.testbed.hosts6[0]
        self.assertFalse(self.reaches() or self.reaches(OWN, OWN) or self.reaches(private, private))
        client.sendall(b"still here")
        self.assertEqual(connection.recv(99), b"still here")
        self.look()
        self.assertTrue(self.reaches() and self.reaches(OWN, OWN))
        self.assertFalse(self.reaches(private, private))


class MarkdnatTests(KeptTestCase):
    """Where IPv4 goes by the MARKDNAT target."""

    def test_kernel_takes_the_rules_of_both_families(self) -> None:
        """Also where it does not have that target."""
        rules = Ruleset.of(self.settings, native_queue=False, dnat=config.Dnat.MARKDNAT, pinholes=True)
        self.nft("-c", replacement(rules, self.hosts))


class ChangedTests(KeptTestCase):
    """A gateway of IPv4 that is told of IPv6."""

    def make_settings(self) -> config.Settings:
        """Without a pool of IPv6."""
        made = super().make_settings()
        circular = tuple(each for each in made.pools.circular if each.network.version == 4)
        return attrs.evolve(made, pools=attrs.evolve(made.pools, circular=circular))

    def make_hosts(self) -> tuple[Host, ...]:
        """Without pinholes."""
        return super().make_hosts()[:2]

    def test_serves_it_from_then_on(self) -> None:
        """Without a start: rules, routes, the queue step and settings; and a purge leaves none of it."""
        self.decide()
        self.assertEqual(self.setting(FORWARDING), 0)
        self.assert_ipv4_alone()
        self.testbed.call("gwa", self.kernel.change, self.both(), change(self.hosts, self.hosts))
        self.assertTrue(self.reaches())
        self.assert_stands()
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, self.hosts))
        self.assertFalse(self.reaches())
        self.testbed.call("gwa", self.kernel.purge)
        self.assertEqual((self.setting(FORWARDING), self.setting(WAN)), (0, 0))

    def test_first_host_at_its_own_address_is_reached(self) -> None:
        """By its own file, with nothing of IPv6 in the settings."""
        self.decide()
        came = super().make_hosts()[2]
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, [*self.hosts, came]))
        self.hosts = (*self.hosts, came)
        self.assertTrue(self.reaches(OWN, OWN))
        self.assert_stands()

    def test_what_the_machine_lacks_is_refused_and_nothing_is_changed(self) -> None:
        """As at a start: a feature of nftables, or a setting that can not be set."""

        def read_only(key: str, value: int) -> str:
            raise PlatformError(f"{key} can not be set to {value}")

        lacking = Feature("IPv6: all that", "chain c {\nnothing that it knows\n}\n", "use another kernel")
        came = super().make_hosts()[2]
        for where, name, instead, said in (
            (capabilities, "FEATURES6", (lacking,), "IPv6: all that is missing: use another kernel"),
            (client, "write_sysctl", read_only, "can not be set"),
        ):
            patched = self.patch(where, name, instead)
            with self.assertRaisesRegex(PlatformError, said):
                self.testbed.call("gwa", self.kernel.change, self.both(), change(self.hosts, [*self.hosts, came]))
            patched.restore()
            self.assert_ipv4_alone("table", "inet", "realmgw")
            self.assertEqual(self.setting(FORWARDING), 0)
            self.assert_stands()
            self.testbed.call("gwa", self.kernel.add_strays, [socket.inet_pton(socket.AF_INET6, OWN)])

    def both(self) -> config.Settings:
        """With a pool of IPv6."""
        pools = attrs.evolve(self.settings.pools, circular=(*self.settings.pools.circular, POOL6))
        return attrs.evolve(self.settings, pools=pools)


class SettingsTests(KeptTestCase):
    """Kernel settings."""

    def test_purge_leaves_every_one_as_it_was(self) -> None:
        """Whether the machine forwarded or not, and whatever single interfaces did."""
        for before in ({FORWARDING: 0, "lan0/forwarding": 1}, {FORWARDING: 1, WAN: 0}):
            self.testbed.call("gwa", self.kernel.purge)
            for name, value in before.items():
                self.setting(name, value)
            self.testbed.call("gwa", self.kernel.apply, self.hosts)
            self.assertEqual([self.setting(name) for name in (FORWARDING, WAN, "lan0/forwarding")], [1, 1, 1])
            self.testbed.call("gwa", self.kernel.purge)
            self.assertEqual({name: self.setting(name) for name in before}, before)

    def test_default_route_that_was_advertised_stays(self) -> None:
        """Though the machine forwards from then on; a purge has its interface heed routers as before."""
        self.testbed.call("gwa", self.kernel.purge)
        self.shell("ip", "-6", "route", "del", "default")
        self.setting(ACCEPT_RA, 1)
        self.advertise()
        self.assertTrue(until(lambda: "proto ra" in self.shell("ip", "-6", "route", "show", "default")))
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertIn("proto ra", self.shell("ip", "-6", "route", "show", "default"))
        self.assertEqual(self.setting(ACCEPT_RA), 2)
        self.setting(ACCEPT_RA, 1)
        self.assertIn("net.ipv6.conf.wan0.accept_ra is 1, not 2", "\n".join(self.look().repaired))
        self.testbed.call("gwa", self.kernel.purge)
        self.assertEqual((self.setting(ACCEPT_RA), self.setting(FORWARDING)), (1, 0))

    def advertise(self) -> None:
        """The router tells of itself."""
        with self.heard_icmp("router") as sender, self.testbed.inside("router"):
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            sender.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1%gwa", 0))

    def test_default_route_of_ipv6_that_goes_is_told_and_breaks_nothing(self) -> None:
        """Flows of IPv4 get through all the same."""
        self.shell("ip", "-6", "route", "del", "default")
        found = self.look()
        self.assertEqual(found.broken, ())
        self.assertTrue(any(each.startswith("default route of IPv6 wan0 is gone") for each in found.doubtful))


class SwitchedOffTests(KeptTestCase):
    """A machine with IPv6 switched off."""

    def setUp(self) -> None:
        super().setUp()
        self.testbed.call("gwa", self.kernel.purge)
        self.setting("all/disable_ipv6", 1)

    def test_gateway_serves_ipv4_and_says_so(self) -> None:
        """In one line."""
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        found = self.look()
        self.assertEqual((found.broken, found.doubtful), ((), (SWITCHED_OFF,)))
        self.assert_ipv4_alone()
        self.family = socket.AF_INET
        self.decide()
        self.assertTrue(self.reaches(TO_FIRST, self.testbed.hosts[0]))

    def test_reload_serves_it_when_it_was_switched_on(self) -> None:
        """What names are answered with by then is let in."""
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.setting("all/disable_ipv6", 0)
        self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, self.hosts))
        self.assertIn("ip6 daddr @pinholes", self.nft("list", "ruleset"))
        self.assertEqual((self.setting(FORWARDING), self.look().repaired), (1, ()))

    def test_gateway_of_ipv6_alone_does_not_start(self) -> None:
        """There is nothing that it could do."""
        alone = attrs.evolve(self.settings, pools=attrs.evolve(self.settings.pools, circular=(POOL6,)))
        kernel = Kernel(alone)
        self.addCleanup(kernel.close)
        with self.assertRaisesRegex(PlatformError, "IPv6 is switched off on this machine .* nothing else"):
            self.testbed.call("gwa", kernel.apply, ())


class ConntrackTests(KeptTestCase):
    """Questions about flows."""

    def test_flow_of_ipv6_is_asked_for_by_its_first_packet(self) -> None:
        """Translated or not; and one that there is not."""
        self.decide()
        conntrack = Conntrack(lambda: 0.0)
        self.addCleanup(conntrack.close)
        for to, host in ((TO_FIRST6, self.testbed.hosts6[0]), (OWN, OWN)):
            server = self.server("test_gwa", host, 80)
            client = self.make("public", socket.SOCK_STREAM)
            client.connect((to, 80))
            connection, peer = server.accept()
            connection.close()
            source, destination = (socket.inet_pton(socket.AF_INET6, text) for text in (peer[0], to))
            flow = (source, destination, 6, peer[1], 80)
            self.assertIs(self.testbed.call("gwa", conntrack.answered, flow), True)
            other = (source, destination, 6, peer[1], 81)
            self.assertIs(self.testbed.call("gwa", conntrack.answered, other), False)
        self.assertEqual(conntrack.unasked, 0)
