"""The SYN proxy node with the kernel's own SYN proxy: what clients and servers see."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from statistics import median

from twisted.trial.unittest import SynchronousTestCase

from realmgw.synproxy.codec import Operation, Request, TcpOptions
from realmgw.test import programs
from realmgw.test.kernel import requirements
from realmgw.test.kernel.synproxy_case import (
    PORT,
    SERVER,
    SERVER6,
    SynproxyTestCase,
    key,
    mod,
    tcp_of,
)  # fmt: skip

with contextlib.suppress(ImportError):  # installed without the testbed: then that test skips, and says so
    from testbed.load import generator
    from testbed.programs import synproxied

MSS, WINDOW_SCALE, SACK, TIMESTAMPS = 2, 3, 4, 8
"""Kinds of TCP options."""
FORGED = 2000
"""So many SYNs with forged sources."""
AT_ONCE = 0.7  # seconds
"""A SYN-ACK that a server had to repeat comes after a second."""
LOOSE = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_loose")
MANY = 10_000


def told(options: dict[int, bytes]) -> TcpOptions:
    """What a SYN-ACK promises."""
    return TcpOptions(int.from_bytes(options[MSS], "big"), SACK in options, options[WINDOW_SCALE][0])


class AnswerTests(SynproxyTestCase):
    """What SYNs are answered."""

    def until_offered(self, address: str, port: int, options: TcpOptions) -> None:
        """Waits for what the kernel has been told."""
        self.until(lambda: told(self.offered(address, port)) == options)

    def test_options_are_those_that_a_gateway_says_the_most_specific_ones(self) -> None:
        """Of both families: by address and port, by address, by port, and by the default of the family."""
        self.node()
        self.assertEqual(told(self.offered(SERVER, 80)), TcpOptions(536, False, 1))
        wanted: dict[tuple[str, int], TcpOptions] = {}
        for address, anyone, more in ((SERVER, "0.0.0.0", 0), (SERVER6, "::", 1)):
            for asked, port, mss in ((anyone, 0, 600), (anyone, 25, 700), (address, 0, 800), (address, 443, 900)):
                options = TcpOptions(mss + more, port > 0, 5 + more)
                self.assertEqual(self.say(mod(asked, port, options)), [True])
                wanted[asked, port] = options
            tcp = TcpOptions(1400 + more, True, 14)
            other = TcpOptions(1, False, 0)
            self.assertEqual(self.say(mod(address, 443, tcp, 6), mod(address, 443, other, 17)), [True, True])
            elsewhere = SERVER.replace("5", "6") if address == SERVER else SERVER6.replace("::5", "::6")
            self.until_offered(address, 443, tcp)
            self.assertEqual(told(self.offered(address, 25)), wanted[address, 0])
            self.assertEqual(told(self.offered(elsewhere, 25)), wanted[anyone, 25])
            self.assertEqual(told(self.offered(elsewhere, 443)), wanted[anyone, 0])
            self.assertIn(TIMESTAMPS, self.offered(elsewhere, 443))
            self.say(Request(Operation.DEL, key(address, 443, 6)))
            self.until_offered(address, 443, wanted[address, 443])

    def test_two_gateways_share_a_node_and_take_nothing_of_each_others_away(self) -> None:
        """Each begins with a flush of everything, of what is its own; who is gone leaves his entries."""
        self.node()
        one, two = TcpOptions(1400, True, 7), TcpOptions(1300, True, 8)
        other = SERVER.replace("5", "6")
        flush = Request(Operation.FLUSH, key("0.0.0.0"))
        self.say(flush, mod("0.0.0.0", 0, one), mod(SERVER, 80, one))
        self.say(flush, mod("0.0.0.0", 0, two), mod(other, 80, two), gateway="127.0.0.2")
        self.until_offered(other, 80, two)
        self.assertEqual(told(self.offered(SERVER, 80)), one)
        self.say(flush, gateway="127.0.0.2")
        self.until_offered(other, 80, one)
        self.assertEqual(told(self.offered(SERVER, 80)), one)

    def test_who_forges_his_address_gets_to_no_server_and_who_does_not_is_connected_at_once(self) -> None:
        """Of both families; conntrack has no entry of the former."""
        self.node()
        full = TcpOptions(1400, True, 7)
        self.say(mod(SERVER, 80, full), mod(SERVER6, 80, full))
        for address, source in ((SERVER, "192.0.2.{}"), (SERVER6, "2001:db8:9::{}")):
            listening = self.listening(address, 80)
            heard = self.sniffer(self.server, "s0", address)
            sources = [(source.format(number % 200 + 1), 1024 + number) for number in range(FORGED)]
            self.send_syns(sources, address, 80)
            times, ports = list[float](), set[int]()
            for _ in range(3):  # one SYN may get lost among the forged ones; what is repeated each time is no accident
                begin = time.monotonic()
                near, far = self.connected(listening)
                times.append(time.monotonic() - begin)
                ports.add(near.getsockname()[1])
                self.assert_flows(near, far)
            self.assertLess(median(times), AT_ONCE)
            self.assertLess(int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text()), 100)
            heard.settimeout(0.0)
            self.assertEqual(_syns(heard), ports)


def _syns(heard: socket.socket) -> set[int]:
    """The source ports of all SYNs that were heard."""
    found: set[int] = set()
    while True:
        try:
            segment = tcp_of(heard.recv(2000))
        except BlockingIOError:
            return found
        if segment[13] & 0x3F == 0x02:
            found.add(int.from_bytes(segment[:2], "big"))


class KeptTests(SynproxyTestCase):
    """What holds, whatever becomes of the node."""

    def test_flows_and_entries_outlive_a_node_that_is_killed(self) -> None:
        """SYNs are answered while none runs; the next one takes up what it finds, and a purge leaves nothing."""
        full = TcpOptions(1400, True, 7)
        node = self.node()
        self.assertEqual(LOOSE.read_text(), "0\n")
        self.say(mod(SERVER, 80, full), mod(SERVER6, 80, full))
        self.until(lambda: told(self.offered(SERVER6, 80)) == full)
        flows = [self.connected(self.listening(address, 80)) for address in (SERVER, SERVER6)]
        node.kill()
        node.wait()
        listening = self.listening(SERVER, 8080)
        flows.append(self.connected(listening))
        self.assertEqual(told(self.offered(SERVER, 80)), full)
        node = self.node("--purge")
        self.assertEqual(told(self.offered(SERVER, 80)), full)
        flows.append(self.connected(listening))
        self.assertEqual(self.say(Request(Operation.DEL, key(SERVER, 80))), [True])
        for near, far in flows:
            self.assert_flows(near, far)
        node.send_signal(signal.SIGTERM)
        said, _ = node.communicate(timeout=20)
        self.assertEqual((node.returncode, LOOSE.read_text()), (0, "1\n"), said)
        self.assertNotIn("realmgw_synproxy", _nft("list ruleset"))

    def test_a_start_that_fails_late_leaves_what_it_has_found(self) -> None:
        """Nothing, or the table of a node before it: it is the last services that can not be had."""
        settings = json.loads(self.main.read_text())
        taken = socket.create_server(("127.0.0.1", PORT + 1))
        self.addCleanup(taken.close)
        for late in ({"listen": [f"127.0.0.1:{PORT + 1}"]}, {"metrics": {"listen": [f"127.0.0.1:{PORT + 1}"]}}):
            for is_there in (False, True):
                if is_there:
                    self.main.write_text(json.dumps(settings))
                    node = self.node()
                    node.kill()
                    node.wait()
                self.main.write_text(json.dumps({**settings, **late}))
                process = self.begin()
                said, _ = process.communicate(timeout=20)
                self.assertEqual((process.returncode, "another program has it" in said), (1, True), said)
                self.assertEqual("realmgw_synproxy" in _nft("list ruleset"), is_there, said)
                self.assertEqual(LOOSE.read_text(), "0\n" if is_there else "1\n")
            self.assertEqual(self.command("purge")[0], 0)

    def test_what_somebody_else_removes_is_put_back_and_told(self) -> None:
        """The whole ruleset, an element, the setting; a flow that exists goes on."""
        full = TcpOptions(1400, True, 7)
        self.node()
        self.say(mod(SERVER, 80, full))
        self.until(lambda: told(self.offered(SERVER, 80)) == full)
        near, far = self.connected(self.listening(SERVER, 80))
        _nft("flush ruleset")
        self.until(lambda: "services4" in _nft("list ruleset"))
        self.assertEqual(told(self.offered(SERVER, 80)), full)
        self.assert_flows(near, far)
        _nft(f"delete element inet realmgw_synproxy services4 {{ {SERVER} . 80 }}")
        self.until(lambda: told(self.offered(SERVER, 80)) == full)
        LOOSE.write_text("1")
        self.until(lambda: LOOSE.read_text() == "0\n")
        self.until(lambda: "table.repairs: 3" in self.command("status")[1])  # counted when all of it was put back
        status, said = self.command("status")
        self.assertEqual(status, 0, said)
        subprocess.run(["ip", "link", "set", "r0", "down"], check=True, stdin=subprocess.DEVNULL)
        self.until(lambda: self.command("status")[0] == 1)


class OthersTests(SynproxyTestCase):
    """Two nodes with one table."""

    def test_second_node_is_refused_whatever_its_socket_is(self) -> None:
        """Before it touches anything, and by a check; its purge takes nothing from the first one, which is stopped."""
        settings = json.loads(self.main.read_text())
        first = self.node()
        self.say(mod(SERVER, 80, TcpOptions(1400, True, 7)))
        stands = _nft("list ruleset")
        self.main.write_text(
            json.dumps({**settings, "control": {"socket": "other.sock"}, "listen": [f"127.0.0.1:{PORT + 1}"]})
        )
        told = f"another SYN proxy node has the table realmgw_synproxy here already (process {first.pid})"
        second = self.begin()
        said, _ = second.communicate(timeout=20)
        self.assertEqual((second.returncode, told in said), (1, True), said)
        status, said = self.command("check")
        self.assertEqual((status, told in said), (1, True), said)
        first.send_signal(signal.SIGSTOP)
        for main in (settings, json.loads(self.main.read_text())):
            self.main.write_text(json.dumps(main))
            status, said = self.command("purge")
            self.assertEqual((status, "a node runs, and would put it back" in said), (1, True), said)
        self.assertEqual(_nft("list ruleset").count("synproxy"), stands.count("synproxy"))
        first.send_signal(signal.SIGCONT)
        self.main.write_text(json.dumps(settings))
        status, said = self.command("check")
        self.assertEqual((status, said), (0, "nothing speaks against a start\n"))


class ManyTests(SynproxyTestCase):
    """Bursts."""

    def test_ten_thousand_changes_are_a_few_transactions(self) -> None:
        """All answered in their order, and in the kernel a moment later; a table that is told anew is told once."""
        self.node()
        addresses = [f"203.0.113.{number % 250}" for number in range(MANY)]
        requests = [
            mod(address, 1000 + number // 250, TcpOptions(1400, True, 7)) for number, address in enumerate(addresses)
        ]
        flush = Request(Operation.FLUSH, key("0.0.0.0"))
        self.assertEqual(set(self.say(flush, *requests, flush, *requests)), {True})
        self.until(lambda: _nft("list map inet realmgw_synproxy services4").count("m1400w7s") == MANY)
        status, said = self.command("counters")
        self.assertEqual((status, f"requests.mod: {2 * MANY}" in said), (0, True), said)
        [transactions] = [int(line.split()[1]) for line in said.splitlines() if line.startswith("table.transactions")]
        self.assertLess(transactions, 100)

    def test_what_a_start_refuses_is_told_by_a_check(self) -> None:
        """With status 1 and a line, and nothing is touched."""
        _nft("add table inet realmgw_synproxy")
        self.main.write_text(self.main.read_text().replace("203.0.113.0/24", "198.51.100.254/32"))
        status, said = self.command("check")
        self.assertEqual((status, len(said.splitlines())), (1, 2), said)
        self.assertIn("198.51.100.254/32 is this machine's own", said)
        self.assertIn("table inet realmgw_synproxy is somebody else's", said)
        process = self.begin()
        refused, _ = process.communicate(timeout=20)
        self.assertEqual((process.returncode, "Traceback" in refused), (1, False), refused)
        for line in said.splitlines():
            self.assertIn(line, refused)


def _nft(commands: str) -> str:
    done = subprocess.run(["nft", commands], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout


class FloodTests(SynchronousTestCase):
    """The program that measures it, for a moment, with the whole gateway behind the node."""

    skip = requirements.missing_for_gateway() or programs.missing("cc", "make")

    def test_honest_clients_come_through_a_flood(self) -> None:
        """The node has answered all of it, as the gateway tells it; and the gateway has no entry of it."""
        generator.build()
        flood = synproxied.run(synproxied.CASES[-1], 1.0, 3000.0, prefix="synproxied-")
        self.assertGreater(flood.outcome.started, 50)
        self.assertEqual(flood.outcome.ok, flood.outcome.started, flood.outcome.lost)
        self.assertGreater(flood.answered, 6000)
        self.assertLess(flood.entries, 1000)
        self.assertGreater(flood.told, 64)
