"""What a real gateway says: its log from start to stop, its status, and what its operator is told when it is silent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import Gateway, Subscriber

PATIENCE = 30.0  # seconds


def operator(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of an operator."""
    return subprocess.run(
        [sys.executable, "-m", "realmgw.control.command.cli", "--config", str(gateway.config), *words],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip


class LogTests(RealmTestCase):
    """A gateway with two hosts."""

    def restart(self) -> list[str]:
        """Stops and starts the gateway; returns what it has written since."""
        self.gateway.stop()
        self.gateway.log.write_text("")
        self.gateway.start()
        return self.lines()

    def lines(self) -> list[str]:
        """What the gateway has written."""
        return self.gateway.log.read_text().splitlines()

    def line(self, words: str) -> str:
        """The only line with these words."""
        [line] = [line for line in self.lines() if words in line]
        return line

    def test_the_start_is_one_line_with_all_that_matters(self) -> None:
        """And nothing of sockets and factories stands beside it."""
        lines = self.restart()
        line = self.line(" serves gateway.gwa.demo.")
        for words in (
            "DNS for the WAN at 100.64.1.130, 2001:db8:1::130, for LANs at 192.168.0.1, fd00::1",
            "interfaces wan0 (WAN), lan0 (LAN)",
            "pool of 19 addresses (100.64.1.131/32 on-link",
            "dnat by map",
            "2 hosts, 2 services",
        ):
            self.assertIn(words, line)
        for chatter in ("starting on", "Starting factory", "reactor class", "twistd"):
            self.assertFalse([line for line in lines if chatter in line], chatter)

    def test_the_stop_sums_up_and_says_what_stays(self) -> None:
        """With the traffic since the last minute."""
        self.restart()
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))
        self.gateway.stop()
        summary = self.line("addresses lent")
        self.gateway.start()
        self.assertIn("1 addresses lent, 1 flows admitted; refused 0 packets", summary)
        self.assertIn("in the kernel stay the table realmgw", self.line("realmgw stopped after"))

    def test_status_has_the_kernels_counters(self) -> None:
        """Beside those of the parts; the exit status is 0 while all is well."""
        self.restart()
        self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))
        told = operator(self.gateway, "status", "--json")
        counts = json.loads(told.stdout)["counts"]
        self.assertEqual((told.returncode, counts["kernel"]["presented"]["packets"]), (0, 1))
        self.assertEqual((counts["admission"]["admitted"], counts["dns"]["wan"]["reserved"]), (1, 1))
        self.assertEqual(counts["queue"]["waiting"], 0)
        screen = operator(self.gateway, "status").stdout.splitlines()
        self.assertEqual(screen[0], "healthy")
        self.assertTrue([line for line in screen if line.startswith("kernel ") and "presented 1" in line])

    def test_one_that_is_stopped_is_named(self) -> None:
        """Within a few seconds, whatever it is asked for."""
        os.kill(self.gateway.pid, signal.SIGSTOP)
        try:
            for words in (["status"], ["reload"]):
                told = operator(self.gateway, *words)
                self.assertEqual(told.returncode, 3)
                self.assertIn(f"does not answer within 5 s: process {self.gateway.pid} is stopped or busy", told.stderr)
        finally:
            os.kill(self.gateway.pid, signal.SIGCONT)
        self.assertEqual(operator(self.gateway, "health").stdout, "healthy\n")

    def test_levels_and_the_format_change_by_a_reload(self) -> None:
        """From the next line on."""
        before = self.gateway.config.read_text()
        try:
            self.gateway.config.write_text(before + "logging: {format: json, levels: {control: warn}}\n")
            self.assertEqual(operator(self.gateway, "reload").returncode, 0)
            self.gateway.log.write_text("")
            self.gateway.config.write_text(before + "logging: {format: json}\n")
            self.assertEqual(operator(self.gateway, "reload").returncode, 0)
            found = [json.loads(line) for line in self.lines()]
            self.assertEqual([each["values"]["status"] for each in found], ["applied"])
        finally:
            self.gateway.config.write_text(before)
            operator(self.gateway, "reload")


class FiledGateway(Gateway):
    """A gateway that writes a log file."""

    @property
    def command(self) -> list[str]:
        """With the file."""
        twistd, *options = super().command
        return [twistd, "--logfile", str(self.file), *options]

    @property
    def file(self) -> Path:
        """The file."""
        return self.config.with_name("realmgw.log")


class LogFileTests(RealmTestCase):
    """`twistd --logfile`."""

    def test_a_moved_file_is_begun_anew(self) -> None:
        """With the next line, and the moved one stays as it is; what has no effect is told at the start."""
        self.gateway.stop()
        filed = FiledGateway(
            self.testbed, self.subscribers(), settings={"datapath": {"network_api": "http://203.0.113.9/"}}
        )
        filed.start()
        try:
            begun = filed.file.read_text()
            self.assertIn("without effect in this version: datapath.network_api.", begun)
            aside = filed.file.with_name("aside.log")
            filed.file.rename(aside)
            os.kill(filed.pid, signal.SIGHUP)
            until = time.monotonic() + PATIENCE
            while not filed.file.exists() and time.monotonic() < until:
                time.sleep(0.02)
            self.assertIn("reload asked for by SIGHUP", filed.file.read_text())
            self.assertEqual(aside.read_text(), begun)
        finally:
            filed.stop()
            self.gateway = Gateway(self.testbed, self.subscribers())
            self.gateway.start()
            RealmTestCase.running = (type(self), self.testbed, self.gateway)

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """One is enough."""
        return [Subscriber("one.gwa.demo.", FIRST)]
