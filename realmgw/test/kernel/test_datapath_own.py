"""What is ours in a kernel, and what is not: other people's tables and chains, and a purge that leaves no trace."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Collection

import attrs

from realmgw.config import settings as config
from realmgw.config.settings import Network
from realmgw.datapath.apply import Kernel
from realmgw.datapath.netlink.codec import RefusedError
from realmgw.datapath.watch import own, ownership
from realmgw.datapath.watch.keeper import Noticed
from realmgw.datapath.watch.own import NOTHING
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.test.datapath.moves import change
from realmgw.test.kernel.datapath_case import TO_FIRST, DatapathTestCase, until

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import ON_LINK

FORWARDING, LOOSE = "net.ipv4.ip_forward", "net.netfilter.nf_conntrack_tcp_loose"


class OwnTestCase(DatapathTestCase):
    """A gateway's datapath, and others."""

    def fresh(self, table: str = "realmgw") -> Kernel:
        """The datapath of a gateway that was just started; without the guard, which would end with its process."""
        datapath = attrs.evolve(self.settings.datapath, table=table)
        kernel = Kernel(attrs.evolve(self.settings, datapath=datapath), open_owner=None)
        self.addCleanup(kernel.close)
        return kernel

    def apply(self, kernel: Kernel) -> None:
        """Puts it in place."""
        self.testbed.call("gwa", kernel.apply, self.hosts)

    def purge(self, kernel: Kernel | None = None) -> str:
        """Removes it; what it says, in lines."""
        return "\n".join(self.testbed.call("gwa", (kernel or self.kernel).purge))

    def everything(self) -> tuple[str, ...]:
        """All that a gateway could have touched."""
        commands = (
            "nft -a list ruleset",
            "iptables -t mangle -S",
            "iptables -t nat -S",
            "ip route show table all proto 82",
            f"sysctl {FORWARDING} {LOOSE}",
        )
        return tuple(self.testbed.run("gwa", command.split()).stdout for command in commands)

    def sysctl(self, key: str, value: int | None = None) -> int:
        """A kernel setting, after it was set if it shall be."""
        if value is not None:
            self.testbed.run("gwa", ["sysctl", "-w", f"{key}={value}"])
        return int(self.testbed.run("gwa", ["sysctl", "-n", key]).stdout)

    def assert_refused(self, kernel: Kernel, whose: str) -> None:
        """Neither a start nor a purge touches anything, and both say whose it is."""
        before = self.everything()
        for doing in (lambda: kernel.apply(self.hosts), kernel.purge):
            error = self.assertRaises(PlatformError, self.testbed.call, "gwa", doing)
            self.assertIn(f"{whose} is somebody else's: choose another datapath.table", str(error))
        self.assertEqual(self.everything(), before)


class ForeignTests(OwnTestCase):
    """What has our name and is not ours."""

    def test_table_of_somebody_else_is_left_alone(self) -> None:
        """Debian's own configuration has a table inet filter; a start would have replaced it, a purge removed it."""
        self.nft("add", "table", "inet", "filter")
        self.nft("add", "chain", "inet", "filter", "theirs")
        self.assert_refused(self.fresh("filter"), "table inet filter")

    def test_table_of_a_comment_that_is_not_ours_is_left_alone(self) -> None:
        """Our comment is more than our name."""
        self.nft("add", "table", "inet", "filter", '{ comment "realmgw: mine"; }')
        self.assert_refused(self.fresh("filter"), "table inet filter")

    def test_table_beside_it_is_left_alone(self) -> None:
        """It has the name of one that earlier versions made, and that would be removed."""
        self.nft("add", "table", "ip", "other_mark")
        self.assert_refused(self.fresh("other"), "table ip other_mark")

    def test_chain_of_iptables_is_left_alone(self) -> None:
        """A chain has no comment: its rules tell whose it is, and who jumps to it."""
        for table, rules in (
            ("mangle", ("-A other -j ACCEPT",)),
            ("nat", ("-A other -j RETURN",)),
            ("mangle", ("-A other -j NFQUEUE --queue-num 7 --queue-bypass", "-A OUTPUT -j other")),
        ):
            self.testbed.run("gwa", ["iptables", "-t", table, "-N", "other"])
            for rule in rules:
                self.testbed.run("gwa", ["iptables", "-t", table, *rule.split()])
            self.assert_refused(self.fresh("other"), f"the iptables chain other in {table}")
            self.testbed.run("gwa", ["iptables", "-t", table, "-F", "OUTPUT"])
            self.testbed.run("gwa", ["iptables", "-t", table, "-F", "other"])
            self.testbed.run("gwa", ["iptables", "-t", table, "-X", "other"])
        self.apply(self.fresh("other"))

    def test_chain_that_would_be_tried_is_left_alone(self) -> None:
        """What the machine can do is found out by a chain of a name of its own."""
        self.testbed.run("gwa", ["iptables", "-t", "mangle", "-N", "realmgw_probe"])
        self.testbed.run("gwa", ["iptables", "-t", "mangle", "-A", "realmgw_probe", "-j", "ACCEPT"])
        self.assertRaises(PlatformError, self.testbed.call, "gwa", self.kernel.apply, self.hosts)
        self.assertIn("-A realmgw_probe -j ACCEPT", self.testbed.run("gwa", ["iptables-save"]).stdout)

    def test_table_that_was_put_in_the_place_of_ours_is_left_alone(self) -> None:
        """By a repair, by a reload that replaces the table, and by a purge."""
        self.nft("delete", "table", "inet", "realmgw")
        self.nft("add", "table", "inet", "realmgw")
        self.assert_refused(self.kernel, "table inet realmgw")
        other = attrs.evolve(self.settings, admission=config.Admission(stray_rate=6))
        error = self.assertRaises(
            PlatformError, self.testbed.call, "gwa", self.kernel.change, other, change(self.hosts, self.hosts)
        )
        self.assertIn("somebody else's", str(error))

    def test_table_that_comes_between_looking_and_changing_is_left_alone(self) -> None:
        """The transaction names what was seen by the kernel's own numbers: it fails as a whole."""
        tables = self.testbed.call("gwa", self.kernel._own._tables)
        self.nft("delete", "table", "inet", "realmgw")
        self.nft("add", "table", "inet", "realmgw", '{ comment "theirs"; }')
        commands = tables.precondition() + "table inet realmgw\ndelete table inet realmgw\n"
        self.assertRaises(RealmGatewayError, self.testbed.call, "gwa", self.kernel.nft.run, commands)
        nothing = attrs.evolve(tables, main=None, mark=None)
        commands = nothing.precondition() + "table inet realmgw\ndelete table inet realmgw\n"
        self.assertRaises(RealmGatewayError, self.testbed.call, "gwa", self.kernel.nft.run, commands)
        self.assertIn('comment "theirs"', self.nft("list", "table", "inet", "realmgw"))


class OursTests(OwnTestCase):
    """What is ours, whoever of us has made it."""

    def test_tables_tell_whose_they_are(self) -> None:
        """With the gateway's name, for whoever lists them."""
        said = f'comment "{ownership.comment("gwa")}"'
        self.assertIn(said, self.nft("list", "table", "inet", "realmgw"))

    def test_table_of_an_earlier_version_is_ours(self) -> None:
        """Its comment was another, and the table beside it had none."""
        first = "realmgw: replaced as a whole at every start; do not edit"
        self.nft("delete", "table", "inet", "realmgw")
        self.nft("add", "table", "inet", "realmgw", f'{{ comment "{first}"; }}')
        self.nft("add", "table", "ip", "realmgw_mark")
        self.apply(self.kernel)
        self.assertNotIn(first, self.nft("list", "ruleset"))
        self.assertNotIn("realmgw_mark", self.nft("list", "ruleset"))

    def test_table_beside_it_of_an_earlier_version_goes(self) -> None:
        """Whatever is removed or replaced: it translated by addresses in the mark, where there are indices now."""
        made = (
            f'table ip realmgw_mark {{ comment "{ownership.comment("gwa")}"; chain by_mark {{ }}; chain to_host {{ '
            "type nat hook prerouting priority dstnat; meta mark & 0xf0000000 == 0x20000000 goto by_mark; }; }"
        )
        for doing in (lambda: self.apply(self.kernel), self.purge):
            self.nft(made)
            self.assertIn("realmgw_mark", self.nft("list", "ruleset"))
            doing()
            self.assertNotIn("realmgw_mark", self.nft("list", "ruleset"))

    def test_gateway_of_another_name_takes_over(self) -> None:
        """The name stands there for people: whoever renames his gateway can start it."""
        renamed = Kernel(attrs.evolve(self.settings, name="a-name-that-is-long." * 12))
        self.addCleanup(renamed.close)
        self.apply(renamed)
        self.assertIn(f'comment "{ownership.comment("a-name-that-is-long." * 12)}"', self.nft("list", "ruleset"))
        self.apply(self.kernel)


class SettingsTests(OwnTestCase):
    """Kernel settings."""

    def setUp(self) -> None:
        """The testbed's own first start is undone."""
        super().setUp()
        self.purge()

    def test_purge_leaves_the_machine_as_it_was(self) -> None:
        """Whatever it was, and however often the gateway was started in between."""
        for forwarding, loose in ((0, 1), (0, 0), (1, 1), (1, 0)):
            self.sysctl(FORWARDING, forwarding)
            self.sysctl(LOOSE, loose)
            before = self.everything()
            for _ in range(3):
                self.apply(self.fresh())
                self.assertEqual((self.sysctl(FORWARDING), self.sysctl(LOOSE)), (1, 0))
            said = self.purge(self.fresh())
            self.assertEqual(self.everything(), before)
            self.assertEqual("ip_forward stays 1, as it was before" in said, forwarding == 1)

    def test_purge_leaves_every_setting_as_it_was(self) -> None:
        """Those as well that the kernel changes by itself when forwarding is switched on and off."""
        self.sysctl(FORWARDING, 0)
        for redirects, lan in ((0, 0), (1, 1), (0, 1)):
            self.sysctl("net.ipv4.conf.all.accept_redirects", redirects)
            self.sysctl("net.ipv4.conf.lan0.forwarding", lan)
            before = self.network_settings()
            for _ in range(2):
                self.apply(self.fresh())
                self.assertNotEqual(self.network_settings(), before)
            self.purge(self.fresh())
            self.assertEqual(self.network_settings(), before)

    def test_purge_leaves_interfaces_that_did_not_forward_as_they_were(self) -> None:
        """On a machine that routes by others."""
        self.sysctl(FORWARDING, 1)
        keys = [f"net.ipv4.conf.{name}.forwarding" for name in ("wan0", "lan0")]
        for values in ((0, 1), (1, 0), (0, 0)):
            for key, value in zip(keys, values, strict=True):
                self.sysctl(key, value)
            before = self.network_settings()
            for _ in range(2):
                kernel = self.fresh()
                self.apply(kernel)
                self.testbed.call("gwa", kernel.look, Noticed(), lambda: self.hosts)
                self.assertEqual([self.sysctl(key) for key in keys], [1, 1])
            self.purge(self.fresh())
            self.assertEqual(self.network_settings(), before)

    def network_settings(self) -> list[str]:
        """Every setting of the network, without what is counted there."""
        lines = self.testbed.run("gwa", ["sysctl", "-a"]).stdout.splitlines()
        return [line for line in lines if line.startswith("net.") and "nf_conntrack_count" not in line]

    def test_what_somebody_else_has_set_since_stays(self) -> None:
        """It is no more what the gateway has set."""
        self.sysctl(LOOSE, 1)
        self.sysctl(FORWARDING, 1)
        self.apply(self.kernel)
        self.sysctl(FORWARDING, 0)
        said = self.purge()
        self.assertEqual((self.sysctl(FORWARDING), self.sysctl(LOOSE)), (0, 1))
        self.assertIn("net.ipv4.ip_forward stays 0: somebody else has set it since", said)

    def test_machine_is_closed_where_nothing_is_remembered(self) -> None:
        """The state folder is lost: no host may be reached by a route that nothing limits any more."""
        self.apply(self.kernel)
        [path] = self.testbed.folder.glob("sysctls-*")
        for content in (None, b"damaged"):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            said = self.purge()
            self.assertEqual(self.sysctl(FORWARDING), 0)
            self.assertIn("net.ipv4.ip_forward is 0 now: what it was before the gateway is not known", said)
            self.apply(self.kernel)

    def test_what_an_earlier_start_did_not_remember_is_not_invented(self) -> None:
        """The table stands and the setting is as we want it: it may have been anything before."""
        self.apply(self.kernel)
        [path] = self.testbed.folder.glob("sysctls-*")
        path.unlink()
        self.apply(self.fresh())
        self.assertIn("what it was before the gateway is not known", self.purge())
        self.assertEqual(self.sysctl(FORWARDING), 0)

    def test_second_purge_touches_nothing(self) -> None:
        """Where nothing of ours stands and nothing is remembered, settings are other people's."""
        self.sysctl(FORWARDING, 1)
        before = self.everything()
        self.assertEqual(self.purge(), NOTHING)
        self.assertEqual(self.everything(), before)

    def test_disk_that_can_not_be_written_is_warned_of(self) -> None:
        """The gateway starts all the same: a disk must not keep flows away."""
        state = self.testbed.folder / "file"
        state.write_text("")
        kernel = Kernel(attrs.evolve(self.settings, state=state))
        self.addCleanup(kernel.close)
        warnings = self.testbed.call("gwa", kernel.apply, self.hosts).warnings
        self.assertTrue(any("is not remembered" in warning for warning in warnings), warnings)

    def test_hosts_are_not_reached_by_a_route_after_a_purge(self) -> None:
        """The machine did not forward before: it does not afterwards, nor at any moment in between."""
        self.sysctl(FORWARDING, 0)
        self.apply(self.kernel)
        self.testbed.run("router", ["ip", "route", "replace", "192.168.0.0/24", "via", "100.64.1.130"])
        server = self.udp("test_gwa", self.testbed.hosts[0], 53)
        server.settimeout(0.3)
        client = self.udp("router")
        self.purge()
        client.sendto(b"", (self.testbed.hosts[0], 53))
        self.assertRaises(TimeoutError, server.recv, 99)


class FlowsTests(OwnTestCase):
    """Flows through the pool."""

    def test_purge_ends_every_flow_of_the_pool_and_no_other(self) -> None:
        """Those that came in, and those that went out; what does not touch the pool goes on."""
        queue = self.decide()
        server = self.udp("test_gwa", self.testbed.hosts[0], 53)
        client = self.udp()
        client.sendto(b"", (TO_FIRST, 53))
        self.assertEqual(server.recvfrom(99)[0], b"")
        outside = self.udp("public", self.testbed.clients[0], 5353)
        self.udp("test_gwa", self.testbed.hosts[1]).sendto(b"", (self.testbed.clients[0], 5353))
        self.assertIn(outside.recvfrom(99)[1][0], ON_LINK)
        own = self.udp("gwa", "100.64.1.130", 4444)
        self.udp("public", self.testbed.clients[1]).sendto(b"", ("100.64.1.130", 4444))
        self.assertEqual(own.recvfrom(99)[0], b"")
        queue.kill()
        self.assertIn("2 flows ended", self.purge())
        left = self.testbed.run("gwa", ["cat", "/proc/net/nf_conntrack"]).stdout
        self.assertNotIn(self.testbed.hosts[0], left)
        self.assertNotIn(self.testbed.hosts[1], left)

    def test_a_flow_that_the_table_keeps_is_ended_when_that_has_gone(self) -> None:
        """As a flowtable does on older kernels: nothing of the purge is left undone for it."""
        stands = list[bool]()

        def refused(networks: Collection[Network]) -> int:
            stands.append("table inet realmgw\n" in self.nft("list", "tables"))
            if stands[-1]:
                raise RefusedError("the end of flows", errno.EBUSY)
            return len(networks)

        self.patch(own, "end_flows_to", refused)
        self.assertIn("flows ended", str(self.purge()))
        self.assertEqual(stands, [True, False])
        self.assertEqual(self.testbed.run("gwa", ["ip", "route", "show", "table", "all", "proto", "82"]).stdout, "")


class FromInsideTests(OwnTestCase):
    """LAN hosts, and the gateway itself, at an address of the pool."""

    def refused(self, namespace: str, kind: int, address: str) -> bool:
        """Whether a flow to the address is refused by a message, at once."""
        probe = self.make(namespace, kind)
        probe.settimeout(1.0)
        try:
            probe.connect((address, 80))
            probe.send(b"hello")
            probe.recv(99)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            pass
        return False

    def test_knock_is_refused_at_once(self) -> None:
        """By reset or by an ICMP message, on-link and routed, from a LAN and from the gateway; each is counted."""
        knocks = [("test_gwa", ON_LINK[0]), ("test_gwa", TO_FIRST), ("gwa", ON_LINK[0])]
        for number, (namespace, address) in enumerate(knocks):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                self.assertTrue(self.refused(namespace, kind, address), (namespace, address, kind))
            self.assertEqual(self.packets("pool_from_inside"), 2 * number + 2)
        self.assertEqual((self.packets("refused_tcp"), self.packets("refused_udp")), (3, 3))
        self.assertEqual(self.packets("presented"), 0)


class FromInsideFloodTests(OwnTestCase):
    """The same within the rate of refusals."""

    reject_rate = 5

    def test_refusals_are_kept_to_their_rate(self) -> None:
        """What is beyond it is dropped, and counted."""
        sender = self.udp("test_gwa")
        for _ in range(50):
            sender.sendto(b"", (TO_FIRST, 53))
        self.assertTrue(until(lambda: self.packets("pool_from_inside") == 50))
        self.assertGreaterEqual(self.packets("refused_silently"), 40)
