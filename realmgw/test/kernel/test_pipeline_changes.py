"""Marks and segments in a kernel, and how stages come, change and go."""

from __future__ import annotations

import contextlib
import socket
from functools import partial

from realmgw.config.settings import PolicyStage
from realmgw.datapath.apply import Kernel
from realmgw.datapath.client import read_counters
from realmgw.datapath.nft import Libnftables
from realmgw.datapath.pipeline import relisting
from realmgw.datapath.watch.keeper import Noticed
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.datapath.pipeline.test_stages import ALL, staged
from realmgw.test.kernel.datapath_case import REFUSED, TO_FIRST, until
from realmgw.test.kernel.dualstack_case import REFUSED6, TO_FIRST6
from realmgw.test.kernel.pipeline_case import FAMILIES, PipelineTestCase, kind
from realmgw.test.kernel.test_datapath_classes import all_arrived

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6
    from testbed.realm.topology import CLIENT


PROBE = """
table inet probe {
    counter from_wan { }
    counter from_lan { }
    counter to_wan { }
    counter to_lan { }
    counter from_us { }
    chain routed {
        type filter hook forward priority filter - 5; policy accept;
        meta mark & 0x0c000000 == 0x04000000 counter name from_wan
        meta mark & 0x0c000000 == 0x08000000 counter name from_lan
    }
    chain leaving {
        type filter hook postrouting priority filter; policy accept;
        meta mark & 0x0f000000 == 0x09000000 counter name to_wan
        meta mark & 0x0f000000 == 0x06000000 counter name to_lan
        meta mark & 0x0f000000 == 0x01000000 counter name from_us
    }
}
"""


class BesideTests(PipelineTestCase):
    """Marks, sizes of segments, refusals; and how stages change."""

    def through(self, family: int, *, inwards: bool) -> tuple[socket.socket, socket.socket]:
        """A connection through the gateway, and its other end."""
        here, there, to = "test_gwa", "public", self.client[family]
        if inwards:
            here, there, to = "public", "test_gwa", {4: TO_FIRST, 6: TO_FIRST6}[family]
        bound = self.host[family] if inwards else self.client[family]
        with self.testbed.inside(there):
            server = socket.create_server((bound, 90), family=kind(bound))
        with server, self.testbed.inside(here):
            source = (self.client[family] if inwards else self.host[family], 0)
            client = socket.create_connection((to, 90), timeout=2, source_address=source)
            server.settimeout(2)
            other = server.accept()[0]
        self.addCleanup(client.close)
        self.addCleanup(other.close)
        return client, other

    def test_marks_say_where_packets_come_from_and_go_to(self) -> None:
        """Both ways, and the gateway's own; hosts are found nevertheless."""
        self.stage("{marking: true}")
        self.assertEqual(self.testbed.run("gwa", ["sh", "-c", f"nft -f - <<'END'\n{PROBE}\nEND"]).returncode, 0)
        for family in FAMILIES:
            for inwards in (True, False):
                self.through(family, inwards=inwards)
            with self.testbed.inside("gwa"), socket.socket(kind(self.client[family]), socket.SOCK_DGRAM) as own:
                own.sendto(b"x", (self.client[family], 9))
        counts = self.testbed.call("gwa", read_counters, "probe")
        for name in ("from_wan", "from_lan", "to_wan", "to_lan", "from_us"):
            self.assertGreaterEqual(counts[name].packets, 2, name)

    def test_segments_are_as_large_as_is_said(self) -> None:
        """By one interface, both ways; others stay."""
        self.stage("{segments: [{interface: lan0, size: 600}]}")
        for family in FAMILIES:
            for inwards in (True, False):
                for end in self.through(family, inwards=inwards):
                    size = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
                    self.assertTrue(560 <= size <= 600, (family, inwards, size))
        self.stage("{segments: [{interface: wan0}]}")
        client, _ = self.through(4, inwards=False)
        self.assertGreater(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), 1300)

    def test_refusals_that_are_not_told(self) -> None:
        """By protocol."""
        self.stage("{reject: [tcp]}")
        for at, (to, here) in enumerate(((REFUSED, CLIENT), (REFUSED6, ipv6.CLIENT)), 1):
            with self.testbed.inside("public"), socket.socket(kind(to), socket.SOCK_DGRAM) as client:
                client.bind((here, 0))
                client.sendto(b"x", (to, 9))
            self.counted("refused_silently", at)
            with self.testbed.inside("public"), socket.socket(kind(to), socket.SOCK_STREAM) as client:
                client.settimeout(2)
                self.assertRaises(ConnectionRefusedError, client.connect, (to, 9))
        self.assertEqual((self.packets("refused_udp"), self.packets("refused_tcp")), (0, 2))

    def test_what_began_goes_on_and_what_is_in_both_stays(self) -> None:
        """A change is one of the stages only: flows, counters and sets of others are as they were."""
        flows = [self.through(family, inwards=inwards) for family in FAMILIES for inwards in (True, False)]
        some = f"prefixes: [{CLIENT}, '{ipv6.CLIENT}']"
        self.stage(f"{{preemptive: {{black_list: {{{some}}}}}}}")
        self.assertFalse(self.arrives(4, "stage_black_list"))
        admitted = self.packets("admitted")
        self.stage(f"{{preemptive: {{black_list: {{{some}}}}}, marking: true, services: {{others: {{wan: drop}}}}}}")
        for client, other in flows:
            for end in (client, other):
                end.sendall(b"still here")
                self.assertTrue(until(partial(all_arrived, end)))
        self.assertEqual(self.packets("stage_black_list"), 1)
        self.assertEqual(self.packets("admitted"), admitted)
        self.assertGreater(admitted, 0)
        self.assert_stands()

    def test_long_lists_change_in_short_transactions(self) -> None:
        """Nothing else is touched, and all is as a start places it; where one is refused, all is placed anew."""

        def listed(odd: int) -> str:
            every = [f"10.{at >> 7}.{(at & 127) << 1 | odd}.0/24" for at in range(2 * relisting.AT_ONCE)]
            prefixes = f"[{CLIENT}, {', '.join(every)}, '2001:db8:{odd + 1}::/48']"
            return f"{{preemptive: {{black_list: {{prefixes: {prefixes}}}}}}}"

        self.stage(listed(0))
        self.assertFalse(self.arrives(4, "stage_black_list"))
        before = self.testbed.call("gwa", self.kernel._reader.generation)
        self.stage(listed(1))
        self.assertEqual(self.testbed.call("gwa", self.kernel._reader.generation) - before, 5)
        self.assertEqual(self.packets("stage_black_list"), 1)
        self.assertFalse(self.arrives(4, "stage_black_list"))
        self.assert_stands()
        changed = self.nft("list", "set", "inet", "realmgw", "stage_black_ip")
        self.nft("delete", "element", "inet", "realmgw", "stage_black_ip", "{ 10.7.1.0/24 }")
        self.stage(listed(0))
        self.assertEqual(self.packets("stage_black_list"), 0, "it was placed anew")
        self.assertFalse(self.arrives(4, "stage_black_list"))
        self.stage(listed(1))
        self.assertEqual(self.nft("list", "set", "inet", "realmgw", "stage_black_ip"), changed)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(self.nft("list", "set", "inet", "realmgw", "stage_black_ip"), changed)

    def test_a_start_has_what_changes_lead_to_and_others_changes_are_undone(self) -> None:
        """All of it, and nothing of what was."""
        bare = self.tables()
        self.stage(ALL)
        changed = sorted(line for table in self.tables() for line in table.splitlines())
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        self.assertEqual(sorted(line for table in self.tables() for line in table.splitlines()), changed)
        self.assertIn("stage_for_others", self.nft("list", "table", "inet", "realmgw"))
        self.nft("flush", "chain", "inet", "realmgw", "stage_preemptive")
        found = self.testbed.call("gwa", self.kernel.look, Noticed(lost=True), lambda: self.hosts)
        self.assertTrue(found.repaired)
        self.assertEqual(sorted(line for table in self.tables() for line in table.splitlines()), changed)
        self.stage("{}")
        left = sorted(line for table in self.tables() for line in table.splitlines())
        self.assertEqual(left, sorted(line for table in bare for line in table.splitlines()))


class Without(Libnftables):
    """A kernel that has no `tcp option`."""

    def run(self, commands: str, *, dry: bool = False) -> str:
        """Refuse what needs it."""
        if "tcp option maxseg size set 1360" in commands:
            raise RealmGatewayError("No such file or directory")
        return super().run(commands, dry=dry)


class MissingTests(PipelineTestCase):
    """What a kernel lacks is told at check, and at start."""

    def test_is_told_by_what_needs_it(self) -> None:
        """And nothing is touched."""
        for text, is_missing in (("{segments: [{interface: lan0, size: 1360}]}", True), (ALL, True), ("{}", False)):
            kernel = Kernel(staged(text, self.settings), open_nft=Without)
            self.addCleanup(kernel.close)
            missing = [each.name for each in self.testbed.call("gwa", kernel.probe).missing]
            self.assertEqual(missing, ["what policy.pipeline says"] if is_missing else [])
        before = self.tables()
        kernel = Kernel(staged(ALL, self.settings), open_nft=Without)
        self.addCleanup(kernel.close)
        self.assertRaises(PlatformError, self.testbed.call, "gwa", kernel.apply, self.hosts)
        self.assertEqual(self.tables(), before)


class BeforeHostsTests(PipelineTestCase):
    """Another order, and stages that are left out."""

    order = (
        PolicyStage.NAT,
        PolicyStage.ADMIN_POLICY,
        PolicyStage.GROUP_POLICY,
        PolicyStage.CUSTOMER_POLICY,
        PolicyStage.GUEST_SERVICES,
    )

    def test_what_is_not_listed_is_off_and_services_come_first(self) -> None:
        """Neither marks, refusals, checks, nor DNS; what is for the gateway is decided before rules of hosts."""
        self.stage("{marking: true, preemptive: {checks: [ports]}, services: {dns: {rate: 1}, others: {wan: drop}}}")
        listed = self.nft("list", "table", "inet", "realmgw")
        self.assertIn("hook input priority filter - 10", listed)
        for word in ("stage_marks", "stage_preemptive", "stage_dns"):
            self.assertNotIn(word, listed)
        self.assertFalse(self.arrives(6, "stage_others"))
