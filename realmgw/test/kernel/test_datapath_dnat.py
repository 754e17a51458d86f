"""The ways to send a flow to its host, in a kernel: chosen, tried, put in place, changed, taken away."""

from __future__ import annotations

import contextlib
import re
import socket
from ipaddress import IPv4Address

import attrs
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest

from realmgw.config.settings import Dnat
from realmgw.datapath.apply import Kernel
from realmgw.datapath.service import DatapathService
from realmgw.datapath.watch.port import INTERVAL
from realmgw.errors import ConfigurationError, PlatformError
from realmgw.test.datapath.moves import change
from realmgw.test.kernel import requirements, test_datapath_flows
from realmgw.test.kernel.datapath_case import TO_FIRST, DatapathTestCase
from realmgw.testing import MemoryListener, MemoryWorker

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import CLIENT


class AdmittedByMarkdnatTests(test_datapath_flows.AdmittedTests):
    """Everything that is admitted, by the MARKDNAT target."""

    dnat = Dnat.MARKDNAT
    skip = requirements.missing_for_dnat(Dnat.MARKDNAT)


class DnatTestCase(DatapathTestCase):
    """What the tests of all ways need."""

    def reaches(self) -> bool:
        """Whether a datagram to the pool comes to the first host."""
        conntrack = self.testbed.run("gwa", ["conntrack", "-F"])
        self.assertEqual(conntrack.returncode, 0, conntrack.stderr)
        with self.udp("test_gwa", self.testbed.hosts[0], 53) as server, self.udp("public", CLIENT) as client:
            server.settimeout(0.3)
            client.sendto(b"?", (TO_FIRST, 53))
            with contextlib.suppress(TimeoutError):
                return server.recv(9) == b"?"
        return False

    def everything(self) -> tuple[list[str], str]:
        """All rules of nftables and of iptables, without what they have counted."""
        tables = [re.sub(r"packets \d+ bytes \d+", "", table) for table in self.tables()]
        return tables, self.testbed.run("gwa", ["iptables", "-t", "nat", "-S"]).stdout


class MapTests(DnatTestCase):
    """The way that is there when nothing is said, and what holds for every way."""

    def test_is_the_one_that_was_found_to_work(self) -> None:
        """And flows come to their host by it."""
        self.assertIs(self.applied.found.dnat, self.dnat)
        self.decide()
        self.assertTrue(self.reaches())

    def test_applied_twice_is_the_same_as_once(self) -> None:
        """Rules are replaced, not added."""
        before = self.everything()
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(self.everything(), before)

    def test_stands_until_it_is_purged(self) -> None:
        """Nothing of it is left then, of whatever way."""
        self.assert_stands()
        self.testbed.call("gwa", self.kernel.purge)
        self.assertNotIn("realmgw", str(self.everything()))
        self.assertEqual(self.nft("list", "ruleset"), "")

    def test_change_of_the_way_leaves_nothing_of_the_one_before(self) -> None:
        """There and back: what is in the kernel is what it would have been from the beginning."""
        before = self.everything()
        changed = Kernel(attrs.evolve(self.settings, datapath=attrs.evolve(self.settings.datapath, dnat=Dnat.MAP)))
        self.addCleanup(changed.close)
        self.testbed.call("gwa", changed.apply, self.hosts)
        self.assert_stands(changed)
        self.assertNotIn("MARKDNAT", self.everything()[1])
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(self.everything(), before)

    def test_hosts_may_all_go_and_others_come(self) -> None:
        """From no host to some in another /8 and back; each time flows come to who is there, and to nobody else."""
        self.decide()
        there = self.hosts
        far = (attrs.evolve(self.hosts[0], address=socket.inet_aton("10.168.0.100")),)
        for hosts, expected in (((), False), (far, False), (self.hosts, True)):
            self.testbed.call("gwa", self.kernel.change, self.settings, change(there, hosts))
            there = hosts
            self.assert_stands()
            self.assertEqual(self.reaches(), expected, hosts)

    def test_another_pool_and_other_rates_are_followed(self) -> None:
        """A smaller pool and other limits, there and back: flows come by the rule of the moment."""
        self.decide()
        pools = self.settings.pools
        first = tuple(each for each in pools.circular if IPv4Address(TO_FIRST) in each.network)
        smaller = attrs.evolve(pools, circular=first)
        other = attrs.evolve(
            self.settings, pools=smaller, datapath=attrs.evolve(self.settings.datapath, reject_rate=77)
        )
        before = self.everything()
        for settings in (other, self.settings):
            self.testbed.call("gwa", self.kernel.change, settings, change(self.hosts, self.hosts))
            self.assert_stands()
            self.assertTrue(self.reaches())
        self.assertEqual(self.everything(), before)

    def test_on_link_pool_without_arp_is_refused_by_a_reload_too(self) -> None:
        """The kernel's setting may have changed since the start; all is as it was then."""
        on_link = self.settings.pools
        routed = attrs.evolve(on_link, circular=on_link.circular[-1:])
        without = attrs.evolve(self.settings, pools=routed)
        self.testbed.call("gwa", self.kernel.change, without, change(self.hosts, self.hosts))
        before = self.everything()
        self.testbed.run("gwa", ["sysctl", "-q", "-w", "net.ipv4.conf.wan0.arp_ignore=1"])
        with self.assertRaisesRegex(PlatformError, r"net.ipv4.conf.wan0.arp_ignore is 1, so nobody answers ARP"):
            self.testbed.call("gwa", self.kernel.change, self.settings, change(self.hosts, self.hosts))
        self.assertEqual(self.everything(), before)

    def test_start_without_hosts_is_closed_and_whole(self) -> None:
        """Nobody is reached, and the watch finds nothing amiss."""
        self.decide()
        self.testbed.call("gwa", self.kernel.apply, ())
        self.assert_stands()
        self.assertFalse(self.reaches())

    def test_native_table_of_the_name_of_iptables_own_does_no_harm(self) -> None:
        """An operator's `table ip nat` in nftables' own words stays as it is, whatever was there before."""
        self.testbed.call("gwa", self.kernel.purge)
        theirs = "table ip nat {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n}\n"
        self.nft(theirs)
        self.nft("add chain ip nat PREROUTING { type nat hook prerouting priority -100; }")
        self.nft("add rule ip nat PREROUTING ip saddr @s fib daddr type local accept")
        before = self.nft("list", "table", "ip", "nat")
        kernel = Kernel(attrs.evolve(self.settings, datapath=attrs.evolve(self.settings.datapath, dnat=Dnat.MAP)))
        self.addCleanup(kernel.close)
        self.testbed.call("gwa", kernel.apply, self.hosts)
        self.assertEqual(self.nft("list", "table", "ip", "nat"), before)

    def test_auto_is_the_map(self) -> None:
        """Where it works, and it does wherever these tests run."""
        auto = Kernel(attrs.evolve(self.settings, datapath=attrs.evolve(self.settings.datapath, dnat=Dnat.AUTO)))
        self.addCleanup(auto.close)
        self.assertIs(self.testbed.call("gwa", auto.probe).dnat, Dnat.MAP)


class MarkdnatTests(MapTests):
    """The same by the MARKDNAT target."""

    dnat = Dnat.MARKDNAT
    skip = requirements.missing_for_dnat(Dnat.MARKDNAT)


class MarkdnatLastStepTests(DnatTestCase):
    """The last step is not in the table, but a chain of iptables: it may be taken away alone, and it serves one /8."""

    dnat = Dnat.MARKDNAT
    skip = requirements.missing_for_dnat(Dnat.MARKDNAT)

    def test_missing_last_step_is_closed_and_put_back(self) -> None:
        """The admitted are dropped and counted; the next look puts it back."""
        worker, clock = MemoryWorker(), Clock()
        service = DatapathService(
            self.kernel,
            self.hosts,
            clock=clock,
            worker=worker,
            lister=worker,
            listener=MemoryListener(),
            stray_timeout=10.0,
        )
        self.decide()
        with self.testbed.inside("gwa"):
            service.startService()
            worker.work()
            before = self.everything()
            self.testbed.run("gwa", ["iptables", "-t", "nat", "-F", "realmgw"])
            self.assertFalse(self.reaches())
            self.counted("untranslated")
            clock.advance(INTERVAL)
            worker.work()
            self.assertEqual(service.repairs, 1)
            self.assertEqual(self.everything(), before)
            self.assertTrue(self.reaches())
            clock.advance(INTERVAL)
            worker.work()
            self.assertEqual(service.repairs, 1, "what stands is left alone")
            service.stopService()
            worker.work()

    def test_host_of_another_octet_is_refused(self) -> None:
        """It is named; what was there before stays, and works."""
        far = attrs.evolve(self.hosts[1], name="far.example.", index=3, address=socket.inet_aton("10.0.0.1"))
        before = self.everything()
        for refused in (
            lambda: self.kernel.apply((*self.hosts, far)),
            lambda: self.kernel.change(self.settings, change(self.hosts, (*self.hosts, far))),
        ):
            with self.assertRaisesRegex(ConfigurationError, r"^far.example.: its address 10.0.0.1 is outside 192"):
                self.testbed.call("gwa", refused)
        self.assertEqual(self.everything(), before)
        self.decide()
        self.assertTrue(self.reaches())


class NativeQueueTests(DnatTestCase):
    """A kernel that has nftables' own queue statement."""

    def test_is_in_our_own_table(self) -> None:
        """Nothing of ours is in iptables then, and a packet that is decided there comes to its host."""
        if not self.applied.found.native_queue:
            raise SkipTest("not on this kernel: nftables' own queue statement")
        table = self.nft("list", "table", "inet", "realmgw")
        self.assertIn(f"queue flags bypass to {self.settings.admission.queue}", table)
        placed = self.testbed.run("gwa", ["iptables-save"])
        self.assertEqual((placed.returncode, "NFQUEUE" in placed.stdout), (0, False), placed.stderr)
        self.decide()
        self.assertTrue(self.reaches())


class MissingMarkdnatTests(DatapathTestCase):
    """A kernel without the module."""

    if requirements.missing_for_testbed() is None and requirements.missing_for_dnat(Dnat.MARKDNAT) is None:
        skip = "not on this kernel: the MARKDNAT target is there"

    def test_is_told_when_asked_for(self) -> None:
        """In one line that says what to do; the rules that were there before stay."""
        before = self.tables()
        asked = Kernel(attrs.evolve(self.settings, datapath=attrs.evolve(self.settings.datapath, dnat=Dnat.MARKDNAT)))
        self.addCleanup(asked.close)
        with self.assertRaisesRegex(PlatformError, r"datapath.dnat: markdnat does not work, .*kmod/README.md"):
            self.testbed.call("gwa", asked.apply, self.hosts)
        self.assertEqual(self.tables(), before)
