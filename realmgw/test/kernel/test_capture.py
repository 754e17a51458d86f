"""Packets of a name on both sides of the translation: the whole gateway, `realmgw capture`, and tshark."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, ClassVar

from realmgw.control.commands import ExitStatus
from realmgw.datapath.capture.frames import lets_through
from realmgw.datapath.capture.port import Interface
from realmgw.test import programs
from realmgw.test.kernel.datapath_case import PATIENCE, until
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.topology import CLIENT, ON_LINK


class CaptureTestCase(RealmTestCase):
    """`realmgw capture`."""

    def spawn(
        self, *words: str, namespace: str = "gwa", before: Sequence[str] = (), **how: Any
    ) -> subprocess.Popen[bytes]:
        """The command; it ends with the test."""
        argv = [*before, sys.executable, "-m", "realmgw.control.command.cli", "capture", *words]
        argv += ["--socket", str(self.gateway.control)]
        process = self.testbed.spawn(namespace, argv, stderr=subprocess.PIPE, **how)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def begin(self, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
        """The command, when it captures into a file."""
        path = self.testbed.folder / f"{self.id()}.pcapng"
        process = self.spawn(*words, "-w", str(path))
        self.assertTrue(until(lambda: path.exists() or process.poll() is not None))
        return process, path

    def end(self, process: subprocess.Popen[bytes]) -> str:
        """Ctrl-C; what was said."""
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[1].decode()
        self.assertEqual(process.returncode, 0, said)
        return said

    def tshark(self, *words: str, stdin: IO[bytes] | None = None) -> list[list[str]]:
        """What tshark sees: interface, source, destination, destination port, and comment of each packet."""
        fields = ("frame.interface_name", "ip.src", "ip.dst", "tcp.dstport", "frame.comment")
        argv = ["tshark", *words, "-T", "fields", *(word for each in fields for word in ("-e", each))]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, stdin=stdin)
        return [line.split("\t") for line in done.stdout.splitlines()]


class CaptureTests(CaptureTestCase):
    """With addresses for everybody."""

    def test_what_a_name_causes_is_seen_on_both_sides(self) -> None:
        """The question, the answer, and the flow with its name; nothing of another host's, which goes on meanwhile."""
        if reason := programs.missing("tshark"):
            self.skipTest(reason)
        process, path = self.begin("--name", "one.gwa.demo")
        for name in ("two.gwa.demo", "one.gwa.demo"):
            address = self.ask(name)
            self.public(client.fetch(address, 80))
        size = path.stat().st_size
        self.assertTrue(until(lambda: path.stat().st_size > size + 1000))
        said = self.end(process)
        packets = self.tshark("-r", str(path))
        self.assertEqual(said, f"{len(packets)} packets\n")
        question, answer, *others = packets
        self.assertEqual(question[4], "question for one.gwa.demo.")
        self.assertEqual(answer[4], f"answer for one.gwa.demo.: {address}")
        self.assertEqual(others[0][:4], ["wan0", CLIENT, address, "80"])
        self.assertEqual(others[1][:4], ["lan0", CLIENT, FIRST, "80"])
        sources = {(each[0], each[1]) for each in others if each[1] != CLIENT}
        self.assertEqual(sources, {("wan0", address), ("lan0", FIRST)})
        [comment] = {each[4] for each in others}
        self.assertTrue(comment.startswith(f"one.gwa.demo., by name one.gwa.demo.: admitted, tcp client {CLIENT}:"))
        self.assertRegex(comment, f" via {address}:80 to {FIRST}:80, trace id [0-9a-f]+$")

    def test_a_pipe_has_all_of_a_host_until_its_time_is_over(self) -> None:
        """Who reads it sees packets of both sides as they come, and an end."""
        if reason := programs.missing("tshark"):
            self.skipTest(reason)
        process = self.spawn("--host", "two.gwa.demo", "--for", "1s", "-w", "-", stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.assertTrue(select.select([process.stdout], [], [], PATIENCE)[0])
        self.public(client.fetch(self.ask("two.gwa.demo"), 80))
        packets = self.tshark("-r", "-", stdin=process.stdout)
        self.assertEqual(process.communicate(timeout=PATIENCE)[1].decode(), f"{len(packets)} packets\n")
        self.assertEqual({each[0] for each in packets}, {"wan0", "lan0"})
        self.assertIn(SECOND, {each[1] for each in packets})

    def test_a_flow_is_meant_by_its_host_and_without_ports(self) -> None:
        """ICMP has none, and the host's own address may stand first."""
        if reason := programs.missing("tshark"):
            self.skipTest(reason)
        process, path = self.begin("--flow", FIRST, CLIENT)
        for name in ("two.gwa.demo", "one.gwa.demo"):
            address = self.ask(name)
            self.public(client.ping(address))
        self.assertTrue(until(lambda: len(self.tshark("-r", str(path))) >= 4))
        self.end(process)
        packets = self.tshark("-r", str(path))
        there, back = [["wan0", CLIENT, address], ["lan0", CLIENT, FIRST]], [["lan0", FIRST, CLIENT]]
        self.assertEqual([each[:3] for each in packets], [*there, *back, ["wan0", address, CLIENT]])
        [comment] = {each[4] for each in packets}
        self.assertRegex(
            comment, "^one.gwa.demo., by name one.gwa.demo.: admitted, icmp client .*, trace id [0-9a-f]+$"
        )

    def test_it_is_said_where_packets_can_not_be_had(self) -> None:
        """In another network namespace, and without the right; then there is no file."""
        process = self.spawn("--name", "one.gwa.demo", "-w", "never", namespace="public")
        said = process.communicate(timeout=PATIENCE)[1].decode()
        self.assertEqual(said, "realmgw: wan0: No such device: capture in the gateway's own network namespace\n")
        self.assertEqual(process.returncode, ExitStatus.FAILED)
        process = self.spawn("--name", "one.gwa.demo", "-w", "never", before=["setpriv", "--bounding-set", "-net_raw"])
        said = process.communicate(timeout=PATIENCE)[1].decode()
        self.assertEqual(said, "realmgw: CAP_NET_RAW is missing: whoever captures packets has to be root\n")
        self.assertEqual(process.returncode, ExitStatus.FAILED)

    def test_what_finds_no_room_is_counted(self) -> None:
        """And nobody waits for who does not read."""
        with self.testbed.inside("public"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            captured = Interface(0, "lo", lets_through(()))
            self.addCleanup(captured.close)
            for _ in range(6000):
                sender.sendto(bytes(3000), sender.getsockname())
            captured.look()
            self.assertGreater(captured.received, 6000)
            self.assertGreater(captured.dropped, 0)
            self.assertGreater(captured.received - captured.dropped, 100)
            frames = list(captured.read())
        self.assertEqual({frame.length for frame in frames}, {14 + 20 + 8 + 3000})
        self.assertEqual(frames, sorted(frames, key=lambda frame: frame.time))


class SharedTests(CaptureTestCase):
    """One address for both names, and whoever has come first is the only one who may."""

    clients = 2
    settings: ClassVar[Mapping[str, Any]] = {"allocation": {"claim_sources": 1}}

    def build(self) -> Any:
        """It is one of the WAN's link."""
        type(self).circular = [{"addresses": ON_LINK[0], "attachment": "on-link"}]
        return super().build()

    def test_only_what_is_the_names_own_and_why_it_was_refused(self) -> None:
        """While a connection of the other name goes on there, which began before; and one of it that comes later."""
        if reason := programs.missing("tshark"):
            self.skipTest(reason)
        stranger = self.testbed.clients[1]
        with ThreadPoolExecutor(1) as pool:
            other = self.download(pool, "two.gwa.demo", 3_000_000)
            process, path = self.begin("--name", "one.gwa.demo")
            address = self.ask("one.gwa.demo")
            self.assertEqual(self.public(client.fetch(address)), FIRST)
            self.assertRaises(ConnectionRefusedError, self.public, client.fetch(address, source=stranger))
            self.assertEqual(self.ask("two.gwa.demo"), address)
            self.assertEqual(self.public(client.fetch(address)), SECOND)
            self.assertEqual(other.result(PATIENCE).host, SECOND)
        self.end(process)
        _question, _answer, *packets = self.tshark("-r", str(path))
        self.assertEqual({each[4].split(":")[0] for each in packets}, {
            "one.gwa.demo., by name one.gwa.demo.", "by name one.gwa.demo."})  # fmt: skip
        refused = [each[4] for each in packets if stranger in each[1:3]]
        self.assertEqual(len(refused), 2)  # what he sent, and what he was told
        self.assertRegex(refused[0], r"^by name one\.gwa\.demo\.: refused: (late|no_claim), by allocation\.\w+ \(")
        self.assertEqual(refused[1], refused[0])
