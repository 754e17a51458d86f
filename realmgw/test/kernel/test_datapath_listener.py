"""What is heard of a kernel's events, and what is not."""

from __future__ import annotations

from typing import Any

from realmgw.datapath.elements import STRAYS
from realmgw.datapath.watch.keeper import Noticed
from realmgw.datapath.watch.port import KernelListener
from realmgw.test.kernel.datapath_case import REFUSED, TO_FIRST, DatapathTestCase


class RecordingReactor:
    """Reads when a test says so."""

    def __init__(self) -> None:
        """Knows no readers."""
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """See `IReactorFDSet`."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """See `IReactorFDSet`."""
        self.readers.remove(reader)


class KernelListenerTests(DatapathTestCase):
    """`KernelListener`, with the kernel's own events."""

    def setUp(self) -> None:
        """A listener that knows of the datapath's own transactions."""
        super().setUp()
        self.reactor, self.heard = RecordingReactor(), list[Noticed]()
        self.listener = KernelListener(self.reactor, free=STRAYS)
        self.testbed.call("gwa", self.listener.open, self.heard.append)
        self.addCleanup(self.listener.close)
        self.listener.ignore(self.testbed.call("gwa", self.kernel.own_ports))

    def listen(self) -> list[Noticed]:
        """What was heard since the last time."""
        self.heard.clear()
        for reader in tuple(self.reactor.readers):
            reader.doRead()
        return self.heard

    def test_own_transactions_wake_nobody_up(self) -> None:
        """Thousands of stray senders and a whole table: the kernel delivers not one message."""
        self.listen()
        strays = [(0x0A000000 + number).to_bytes(4, "big") for number in range(4096)]
        self.testbed.call("gwa", self.kernel.add_strays, strays)
        self.testbed.call("gwa", self.kernel.shut)
        self.assertEqual([each for each in self.listen() if each.transactions or each.lost], [])

    def test_packets_wake_nobody_up(self) -> None:
        """Neither admitted flows nor refused ones; nor senders that the kernel itself keeps to their rate."""
        self.listen()
        self.decide()
        out = self.udp()
        for number in range(200):
            for address in (TO_FIRST, REFUSED):
                out.sendto(b"", (address, 1000 + number))
        self.counted("admitted")
        self.assertEqual([each for each in self.listen() if each.transactions], [])

    def test_transactions_of_others_are_heard(self) -> None:
        """With the program, and what it has changed."""
        self.listen()
        self.nft("flush", "chain", "inet", "realmgw", "settle")
        [noticed] = self.listen()
        [transaction] = noticed.transactions
        self.assertEqual((transaction.program, transaction.tables), ("nft", {(1, "realmgw")}))

    def test_nobody_is_blamed_for_what_the_gateway_puts_back_by_a_program(self) -> None:
        """What `iptables` does for the gateway is heard, and known for its own when somebody else does damage."""
        if self.kernel.queue_step.is_native:
            return
        self.listen()
        self.testbed.call("gwa", self.kernel.queue_step.place)
        heard = tuple(each for noticed in self.listen() for each in noticed.transactions)
        self.assertLessEqual({each.program for each in heard}, {"iptables-restor"})  # none: iptables-legacy
        self.testbed.run("gwa", ["iptables", "-t", "mangle", "-F"])
        found = self.testbed.call("gwa", self.kernel.look, Noticed(heard), lambda: self.hosts)
        self.assertEqual(found.repaired, ("iptables chain of the queue step realmgw is changed",))

    def test_changes_of_links_addresses_routes_and_switches_are_heard(self) -> None:
        """Of routes, those that concern us."""
        for command, heard in (
            ("ip link set lan0 mtu 1400", True),
            ("ip addr add 203.0.113.1/32 dev lan0", True),
            ("ip route add 203.0.113.64/26 via 192.168.0.100", False),
            ("ip route flush table all proto 82", True),
            ("ip route del default", True),
            ("sysctl -qw net.ipv4.ip_forward=0", True),
        ):
            self.listen()
            self.testbed.run("gwa", command.split())
            self.assertEqual(any(each.links for each in self.listen()), heard, command)

    def test_what_was_too_much_is_told_as_lost(self) -> None:
        """And then it goes on."""
        elements = ", ".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(60_000))
        path = self.testbed.folder / "many.nft"
        path.write_text(f"table ip many {{\nset s {{ type ipv4_addr; elements = {{ {elements} }}; }}\n}}\n")
        self.nft("-f", str(path))
        heard = [each for _ in range(200) for each in self.listen()]  # turn by turn, until nothing is left
        self.assertTrue(any(each.lost for each in heard))
        self.nft("add", "table", "inet", "theirs")
        [noticed] = self.listen()
        self.assertIn((1, "theirs"), noticed.transactions[0].tables)

    def test_routes_that_were_too_many_say_nothing_of_the_table(self) -> None:
        """Of ours: links and routes are looked at, and what stands in the table stays. A daemon's wake nobody up."""
        many = self.testbed.folder / "routes"
        for protocol, concerns_us in ((186, False), (82, True)):
            networks = (f"10.{n >> 8}.{n & 255}.0/24" for n in range(20_000))
            done = "".join(
                f"route replace {each} via 192.168.0.100 proto {protocol} metric {protocol}\n" for each in networks
            )
            many.write_text(done)
            self.listen()
            self.assertEqual(self.testbed.run("gwa", ["ip", "-batch", str(many)]).returncode, 0)
            heard = [each for _ in range(200) for each in self.listen()]
            self.assertEqual([each for each in heard if each.lost or each.transactions], [])
            self.assertEqual(any(each.links for each in heard), concerns_us)
