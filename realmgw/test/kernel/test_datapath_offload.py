"""Established flows by a flowtable, in a kernel that has these; the guest of `testbed/kmod-check` does."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import attrs

from realmgw.config import settings as config
from realmgw.datapath import offload
from realmgw.datapath.netlink.nftables import INET
from realmgw.datapath.watch.keeper import Findings, Noticed
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.test.kernel import requirements
from realmgw.test.kernel.datapath_case import TO_FIRST, TO_SECOND, DatapathTestCase, must, until

WATCH = """
table inet watch {
    counter seen { }
    chain c { type filter hook forward priority -200; ct state established counter name "seen"; }
}
"""
"""Somebody else's chain, which all packets meet that are not carried."""
VETH = ("type", "veth", "peer", "name", "lan1p")
TIMES, SAID = 40, b"x" * 1000
"""So many messages each way of a flow that is carried, and each."""


class OffloadTestCase(DatapathTestCase):
    """A gateway whose flows are carried."""

    def make_settings(self) -> config.Settings:
        """With the option, and a further LAN that can come and go."""
        must(self.testbed, "gwa", ["sysctl", "-qw", "net.netfilter.nf_conntrack_acct=1"])
        self.lan("add")
        made = super().make_settings()
        return attrs.evolve(
            made,
            interfaces=attrs.evolve(made.interfaces, lan=("lan0", "lan1")),
            datapath=attrs.evolve(made.datapath, offload=config.Offload.SOFTWARE),
        )

    def lan(self, verb: str) -> None:
        """The further LAN's interface comes, or goes."""
        must(self.testbed, "gwa", ["ip", "link", verb, "lan1", *(VETH if verb == "add" else ())])
        if verb == "add":
            must(self.testbed, "gwa", ["ip", "link", "set", "lan1", "up"])

    def entries(self, words: str) -> list[str]:
        """What conntrack has of flows, of those with these words."""
        done = self.testbed.run("gwa", ["conntrack", "-L"])
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line for line in done.stdout.splitlines() if words in line]

    def devices(self) -> set[str]:
        """The flowtable's interfaces."""

        def read() -> frozenset[str]:
            reader = RulesetReader()
            try:
                return reader.devices((INET, "realmgw"), offload.NAME)
            finally:
                reader.close()

        return set(self.testbed.call("gwa", read))

    def look(self) -> Findings:
        """What a look at all that was placed finds."""
        return self.testbed.call("gwa", self.kernel.look, Noticed(), lambda: self.hosts)

    def seen(self) -> int:
        """How many packets of established flows have met a chain."""
        [packets] = re.findall(r"packets (\d+)", self.nft("list", "counter", "inet", "watch", "seen"))
        return int(packets)


class CarriedTests(OffloadTestCase):
    """Real packets of flows that the whole pipeline has let through."""

    skip = requirements.missing_for_flowtables()

    def setUp(self) -> None:
        super().setUp()
        self.decide()

    def talk(self, one: socket.socket, other: socket.socket) -> None:
        """Some messages, each way."""
        for _ in range(TIMES):
            for sender, receiver in ((one, other), (other, one)):
                sender.sendall(SAID)
                left = len(SAID)
                while left:
                    got = len(receiver.recv(left))
                    self.assertTrue(got)
                    left -= got

    def carried(self, one: socket.socket, other: socket.socket, words: str) -> str:
        """The flow comes to be carried, and then its packets meet no chain; its entry of conntrack."""
        self.talk(one, other)
        self.assertTrue(until(lambda: any("[OFFLOAD]" in each for each in self.entries(words))), self.entries(""))
        watch = Path(self.testbed.folder, "watch.nft")
        watch.write_text(WATCH)
        self.nft("-f", str(watch))
        before = self.octets(words)
        self.talk(one, other)
        self.assertEqual(self.seen(), 0)
        least = TIMES * len(SAID)
        for was, now in zip(before, self.octets(words), strict=True):
            self.assertGreaterEqual(now - was, least)  # what records of flows are told
            self.assertLess(now - was, 2 * least)
        [entry] = self.entries(words)
        return entry

    def octets(self, words: str) -> list[int]:
        """Of a flow, each way."""
        [entry] = self.entries(words)
        return [int(each) for each in re.findall(r"bytes=(\d+)", entry)]

    def test_tcp_is_carried_and_ends_when_it_is_ended(self) -> None:
        """From the Internet to a host; counted as before; once it is ended, none of its packets gets through."""
        client, connection = self.connected(TO_FIRST, self.testbed.hosts[0])
        self.assertIn(f"src={self.testbed.hosts[0]} ", self.carried(client, connection, f"dst={TO_FIRST} "))
        ended = self.testbed.call("gwa", self.kernel.end_flows, [self.hosts[0].address])
        self.assertEqual((ended, self.entries(f"dst={TO_FIRST} ")), (1, []))
        connection.settimeout(1.0)
        client.sendall(b"late")
        self.assertRaises(TimeoutError, connection.recv, 9)
        self.counted("pool_invalid")

    def test_udp_is_carried(self) -> None:
        """As soon as it was answered."""
        server, client = self.udp("test_gwa", self.testbed.hosts[1], 53), self.udp()
        client.connect((TO_SECOND, 53))
        client.send(b"question")
        server.connect(server.recvfrom(99)[1])
        self.carried(client, server, f"dst={TO_SECOND} ")

    def test_a_connection_that_is_closed_ends_as_ever(self) -> None:
        """Its last packets go by the chains, and conntrack knows that it is over."""
        client, connection = self.connected(TO_FIRST, self.testbed.hosts[0])
        self.carried(client, connection, f"dst={TO_FIRST} ")
        client.close()
        self.assertEqual(connection.recv(9), b"")
        connection.close()
        self.assertTrue(until(lambda: "TIME_WAIT" in "".join(self.entries(f"dst={TO_FIRST} "))), self.entries(""))


class InterfaceTests(OffloadTestCase):
    """Interfaces that come and go."""

    skip = requirements.missing_for_flowtables()

    def test_an_interface_that_comes_back_is_put_back(self) -> None:
        """While it is gone the table can be placed, too; nothing is put back of what is not there."""
        self.assertEqual(self.devices(), {"wan0", "lan0", "lan1"})
        self.assertEqual(self.look().repaired, ())
        self.lan("del")
        self.assertEqual((self.devices(), self.look().repaired), ({"wan0", "lan0"}, ()))
        self.testbed.call("gwa", self.kernel.place, self.hosts)
        self.lan("add")
        self.assertIn("flowtable's interface lan1 is gone", self.look().repaired)
        self.assertEqual(self.devices(), {"wan0", "lan0", "lan1"})
        self.assertEqual(self.look().repaired, ())


class OtherwiseTests(OffloadTestCase):
    """A kernel without flowtables."""

    skip = requirements.missing_for_testbed() or requirements.has_flowtables()

    def test_flows_stay_with_the_chains(self) -> None:
        """It is found out by trying, and keeps nobody from starting."""
        self.assertFalse(self.applied.found.flowtables)
        self.assertNotIn("flow add", self.nft("list", "table", "inet", "realmgw"))
        self.assert_stands()
