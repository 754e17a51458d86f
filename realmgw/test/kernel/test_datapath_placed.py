"""The datapath in a kernel: what is put there, what is found missing, what is left after a purge."""

from __future__ import annotations

import contextlib
import errno
import os
from ipaddress import ip_address, ip_network

import attrs

from realmgw.config import settings as config
from realmgw.datapath import client, marks
from realmgw.datapath.apply import Kernel
from realmgw.datapath.client import NftProgram
from realmgw.datapath.elements import STRAYS_KEPT
from realmgw.datapath.netlink.counters import QueueFigures
from realmgw.datapath.netlink.events import Transaction
from realmgw.datapath.netlink.nftables import INET
from realmgw.datapath.nft import Nft
from realmgw.datapath.watch.guard import RETRY
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Host, Profile
from realmgw.test.kernel.datapath_case import DatapathTestCase
from realmgw.test.pauses import Work

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import ROUTED


class PlacedTests(DatapathTestCase):
    """What is put into the kernel, and what is left of it."""

    def routes(self) -> str:
        """Our routes in every table."""
        return self.testbed.run("gwa", ["ip", "route", "show", "table", "all", "proto", "82"]).stdout

    def test_applied_twice_is_the_same_as_once(self) -> None:
        """A second start finds nothing to change, and the ruleset and routes are as they were."""
        self.assertTrue(self.applied.changes)
        before = self.tables(), self.routes()
        again = self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(again.changes, ())
        self.assertEqual((self.tables(), self.routes()), before)

    def test_purge_leaves_nothing(self) -> None:
        """Ruleset, iptables chain and routes are gone; a second purge finds nothing and does not mind."""
        for _ in range(2):
            self.testbed.call("gwa", self.kernel.purge)
            self.assertEqual((self.nft("list", "ruleset"), self.routes()), ("", ""))
        self.assertNotIn("realmgw", self.testbed.run("gwa", ["iptables-save"]).stdout)

    def test_purge_spares_what_others_have(self) -> None:
        """A table, a rule in mangle and a route of somebody else stay."""
        self.nft("add", "table", "inet", "theirs")
        self.testbed.run("gwa", ["iptables", "-t", "mangle", "-A", "PREROUTING", "-j", "ACCEPT"])
        self.testbed.run("gwa", ["ip", "route", "add", "unreachable", "203.0.113.0/24"])
        self.testbed.call("gwa", self.kernel.purge)
        self.assertIn("table inet theirs", self.nft("list", "ruleset"))
        saved = self.testbed.run("gwa", ["iptables-save", "-t", "mangle"]).stdout
        self.assertIn("-A PREROUTING -j ACCEPT", saved)
        self.assertIn("203.0.113.0/24", self.testbed.run("gwa", ["ip", "route"]).stdout)

    def test_changed_pool_leaves_no_stale_routes(self) -> None:
        """Prefixes that are gone lose their routes, one whose attachment changed gets the other kind."""
        pool = config.PoolPrefix(ip_network(ROUTED), config.Attachment.ON_LINK)
        changed = Kernel(attrs.evolve(self.settings, pools=config.Pools(circular=(pool,))))
        self.addCleanup(changed.close)
        applied = self.testbed.call("gwa", changed.apply, self.hosts)
        self.assertEqual(self.routes().split(), f"local {ROUTED} dev lo table local scope host".split())
        self.assertTrue(any("on-link" in warning for warning in applied.warnings))

    def test_kernel_settings_are_set(self) -> None:
        """Forwarding is on and conntrack picks up no flow from its middle."""
        for key, value in (("ipv4.ip_forward", "1"), ("netfilter.nf_conntrack_tcp_loose", "0")):
            self.assertEqual(self.testbed.run("gwa", ["sysctl", "-n", f"net.{key}"]).stdout.strip(), value)

    def test_strict_filter_without_a_way_back_is_warned_of(self) -> None:
        """Only when no default route leaves by the WAN."""
        self.testbed.run("gwa", ["sysctl", "-w", "net.ipv4.conf.wan0.rp_filter=1"])
        self.assertEqual(self.testbed.call("gwa", self.kernel.apply, self.hosts).warnings, ())
        self.testbed.run("gwa", ["ip", "route", "delete", "default"])
        (warning,) = self.testbed.call("gwa", self.kernel.apply, self.hosts).warnings
        self.assertIn("rp_filter is strict and no default route leaves by wan0", warning)

    def test_figures_of_the_queue_are_those_of_its_listener(self) -> None:
        """None while nobody listens."""
        self.assertIsNone(self.testbed.call("gwa", self.kernel.figures)[1])
        self.decide()
        _, figures = self.testbed.call("gwa", self.kernel.figures)
        assert figures is not None
        self.assertEqual(figures, QueueFigures(owner=figures.owner, waiting=0, full=0, unsent=0, last=0))

    def test_full_set_of_strays_is_told_as_such(self) -> None:
        """Not in the words of the kernel's error, which are about files; and none of the batch is taken."""
        for start in range(0, STRAYS_KEPT, 16384):
            some = [(0x0A000000 + start + number).to_bytes(4, "big") for number in range(16384)]
            self.testbed.call("gwa", self.kernel.add_strays, some)
        with self.assertRaisesRegex(RealmGatewayError, "set of stray senders is full"):
            self.testbed.call("gwa", self.kernel.add_strays, [bytes([192, 0, 2, 1])])

    def test_missing_interface_is_named(self) -> None:
        """A gateway whose WAN interface does not exist is refused, and the rules that were there stay."""
        before = self.nft("list", "ruleset")
        gone = Kernel(attrs.evolve(self.settings, interfaces=config.Interfaces(wan="wan9", lan=("lan0",))))
        self.addCleanup(gone.close)
        with self.assertRaisesRegex(PlatformError, "there is no interface wan9"):
            self.testbed.call("gwa", gone.apply, self.hosts)
        self.assertEqual(self.nft("list", "ruleset"), before)

    def test_foreign_route_in_the_way_is_named(self) -> None:
        """A route of somebody else for a pool prefix is left alone, and the start refused."""
        self.testbed.call("gwa", self.kernel.purge)
        self.testbed.run("gwa", ["ip", "route", "add", "blackhole", ROUTED])
        with self.assertRaisesRegex(PlatformError, "unreachable route for 100.64.2.0/28 was refused"):
            self.testbed.call("gwa", self.kernel.apply, self.hosts)

    def test_without_privileges_the_capability_is_named(self) -> None:
        """A process that may not administer the network is told which capability it needs."""
        reading, writing = os.pipe()
        with self.testbed.inside("gwa"):
            child = os.fork()
        if child == 0:
            try:
                os.setgroups([])
                os.setuid(65534)
                Kernel(self.settings).apply(())
            except BaseException as error:  # noqa: BLE001  # whatever it is, the parent shall see it
                os.write(writing, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        said = os.read(reading, 4096).decode()
        os.close(reading)
        self.assertRegex(said, r"^PlatformError: CAP_NET_ADMIN is missing: .*AmbientCapabilities")

    def test_a_hundred_thousand_hosts_are_one_transaction(self) -> None:
        """A large directory is taken, and to read the counters reads none of it."""
        many = tuple(
            Host(
                index=number,
                name=f"h{number}.example.",
                address=(0x0A000000 + number).to_bytes(4, "big"),
                profile=Profile(max_claims=1),
            )
            for number in range(1, 100_001)
        )
        self.testbed.call("gwa", self.kernel.apply, many)
        work = Work()
        with self.testbed.inside("gwa"), work.counting():
            figures = self.kernel.figures()[0]
        self.assertEqual(figures["presented"].packets, 0)
        self.assertLess(work.calls, 50_000)
        last = self.nft("get", "element", "inet", "realmgw", "hosts", f"{{ {marks.admitted(100_000):#x} }}")
        self.assertIn(str(ip_address(0x0A000000 + 100_000)), last)


class GuardTests(DatapathTestCase):
    """The guard, where it can not be had for some time."""

    def test_is_placed_when_what_was_in_its_place_has_gone(self) -> None:
        """That there is none is told until then; it is tried again now and then."""
        self.testbed.call("gwa", self.kernel.close)
        self.nft("add", "table", "inet", "realmgw_guard")
        self.nft("add", "chain", "inet", "realmgw_guard", "theirs")
        kernel = Kernel(self.settings)
        self.addCleanup(kernel.close)
        self.testbed.call("gwa", kernel.apply, self.hosts)

        def looked(times: int) -> Findings:
            found = [self.testbed.call("gwa", kernel.look, Noticed(), lambda: self.hosts) for _ in range(times)]
            return found[-1]

        self.assertIn("there can be no guard", str(looked(1).doubtful))
        self.assertIn("chain theirs", self.nft("list", "table", "inet", "realmgw_guard"))
        self.nft("delete", "table", "inet", "realmgw_guard")
        found = looked(RETRY)
        self.assertEqual((found.doubtful, found.broken), ((), ()))
        self.assertTrue(kernel.is_guarded)
        self.assertIn("flags owner", self.nft("list", "table", "inet", "realmgw_guard"))


class UnseenTests(DatapathTestCase):
    """What the kernel does not tell."""

    def test_routes_that_can_not_be_listed_hide_nothing_else(self) -> None:
        """They are told as not to be seen; a setting that somebody has changed is put back as ever."""

        def refused() -> frozenset[object]:
            raise OSError(errno.EMFILE, "Too many open files")

        patch = self.patch(client, "our_routes", refused)
        self.testbed.run("gwa", ["sysctl", "-qw", "net.ipv4.ip_forward=0"])
        found = self.testbed.call("gwa", self.kernel.look, Noticed(), lambda: self.hosts)
        self.assertIn("not to be seen", str(found.broken))
        self.assertIn("ip_forward", str(found.repaired))
        patch.restore()
        self.assert_stands()


class WithoutLibraryTests(DatapathTestCase):
    """A machine that has the program `nft` only."""

    def test_runs_without_a_guard_and_knows_its_own_transactions(self) -> None:
        """That there is none is told; what the program does is no reason for a repair."""

        def missing() -> Nft:
            raise PlatformError("libnftables.so.1 can not be used")

        self.testbed.call("gwa", self.kernel.close)
        kernel = Kernel(self.settings, open_nft=NftProgram, open_owner=missing)
        self.addCleanup(kernel.close)
        self.assertEqual(len(self.testbed.call("gwa", kernel.own_ports)), 1)  # of what goes without the program
        self.testbed.call("gwa", kernel.apply, self.hosts)
        found = self.testbed.call("gwa", kernel.look, Noticed(), lambda: self.hosts)
        self.assertEqual((found.repaired, found.broken), ((), ()))
        self.assertIn("there can be no guard", str(found.doubtful))
        self.assertNotIn("realmgw_guard", self.nft("list", "tables"))
        reading = RulesetReader()
        self.addCleanup(reading.close)
        self.testbed.call("gwa", kernel.place, self.hosts)
        own = self.testbed.call("gwa", reading.generation)
        for generation, repaired in ((own, 0), (own + 1, 1)):
            ours = Transaction(generation, 7, 7, "nft", frozenset(((INET, "realmgw"),)))
            found = self.testbed.call("gwa", kernel.look, Noticed((ours,)), lambda: self.hosts)
            self.assertEqual(len(found.repaired), repaired)
