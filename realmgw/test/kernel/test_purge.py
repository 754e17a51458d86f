"""A whole gateway is purged, or does not come to run: what is left of it in the kernel, and what it says."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from realmgw.control.command.client import ask
from realmgw.control.commands import ExitStatus
from realmgw.test.kernel.datapath_case import DECIDE
from realmgw.test.kernel.realm_case import FIRST, SECOND, RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client, host
    from testbed.realm.topology import GATEWAY, ON_LINK, PATIENCE, ROUTED, TestbedError, environment

PLACED = (
    "nft -s list ruleset",
    "iptables -t mangle -S",
    "iptables -t nat -S",
    "ip route show table all proto 82",
    "sysctl net.ipv4.ip_forward net.netfilter.nf_conntrack_tcp_loose",
)
"""What tells all that a gateway places."""


class PurgeTestCase(RealmTestCase):
    """A gateway that may be purged, and the `realmgw` command beside it."""

    def setUp(self) -> None:
        """Each test begins with a gateway that runs."""
        super().setUp()
        if self.gateway.process is None:
            self.gateway.start()

    def tearDown(self) -> None:
        """The next one begins with a machine that no gateway has touched."""
        if self.gateway.process is not None:
            self.gateway.stop()
        self.realmgw("purge", "--offline", "--yes")

    def realmgw(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command in the gateway's namespace, without a terminal."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *arguments, "--config", str(self.gateway.config)]
        return self.testbed.run("gwa", argv)

    def purge(self) -> None:
        """The gateway that runs, without a question."""
        done = self.realmgw("purge", "--yes")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("nftables table inet realmgw removed", done.stdout)

    def typed(self, text: str, *arguments: str) -> tuple[int, str]:
        """The same at a terminal, where somebody types; its exit status and what it says there."""
        mine, theirs = pty.openpty()
        self.addCleanup(os.close, mine)
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *arguments, "--config", str(self.gateway.config)]
        with self.testbed.inside("gwa"):
            process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
        os.close(theirs)
        os.write(mine, text.encode())
        said = b""
        with contextlib.suppress(OSError):  # at the end
            while part := os.read(mine, 4096):
                said += part
        return process.wait(20.0), said.decode()

    def placed(self) -> list[str]:
        """All that stands and outlives the process; tables in any order."""
        ruleset, *others = [self.testbed.run("gwa", command.split()).stdout for command in PLACED]
        tables = [each for each in ruleset.split("\n}\n") if not each.startswith("table inet realmgw_guard ")]
        return ["\n}\n".join(sorted(tables)), *others]

    def status(self) -> Any:
        """What the gateway says of itself."""
        return ask(self.gateway.control, "status")

    def answer(self, name: str) -> str:
        """The code that a public client is answered, with the addresses."""
        answer = self.public(client.resolve(name))
        return " ".join([answer.rcode, *answer.addresses])


class OnlineTests(PurgeTestCase):
    """`realmgw purge` of a gateway that runs."""

    def test_name_must_be_typed(self) -> None:
        """Or --yes written: without either, or with another name, nothing is done, and the exit status is 2."""
        before = self.placed()
        unseen = self.realmgw("purge")
        typed = [self.typed(text, "purge") for text in ("other.demo\n", "\n", "\x04")]
        for status, said in ((unseen.returncode, unseen.stderr), *typed):
            self.assertEqual(status, ExitStatus.USAGE, said)
            self.assertIn("nothing was done", said)
        self.assertEqual(self.placed(), before)
        self.assertEqual(self.status()["state"], "healthy")
        name = self.status()["name"].removesuffix(".")
        status, said = self.typed(f"{name}\n", "purge")
        self.assertEqual(status, ExitStatus.OK, said)
        self.assertIn("nftables table inet realmgw removed", said)
        self.assertNotEqual(self.placed(), before)

    def test_purge_is_said_and_nothing_is_lent(self) -> None:
        """In `status`, and by every answer; claims that stood count against nobody."""
        name = self.status()["name"]
        with ThreadPoolExecutor(1) as pool:
            flow = self.download(pool, "two.gwa.demo", 4_000_000)
            self.ask("one.gwa.demo")
            ask(self.gateway.control, "purge", {"name": name})
            self.assertEqual(self.answer("one.gwa.demo"), "SERVFAIL")
            status = self.status()
            self.assertEqual(status["state"], "degraded")
            [trouble] = [each for each in status["troubles"] if each["part"] == "purge"]
            self.assertIn("`realmgw reload`, or a restart, puts everything in place again", trouble["text"])
            allocation = status["counts"]["allocation"]
            self.assertEqual((allocation.get("voided", 0), allocation.get("lapsed", 0)), (1, 0))
            self.assertIsNotNone(flow.exception(30.0))

    def test_purge_leaves_the_machine_as_it_was(self) -> None:
        """As before the gateway was started for the first time."""
        self.gateway.stop()
        self.realmgw("purge", "--offline", "--yes")
        self.testbed.run("gwa", ["sysctl", "-w", "net.netfilter.nf_conntrack_tcp_loose=1"])
        self.testbed.run("gwa", ["sysctl", "-w", "net.ipv4.ip_forward=0"])
        before = self.placed()
        self.gateway.start()
        self.gateway.kill()
        self.gateway.start()
        self.assertNotEqual(self.placed(), before)
        self.assertEqual(self.realmgw("purge", "--yes").returncode, 0)
        self.assertEqual(self.placed(), before)

    def test_reload_of_an_operator_puts_everything_in_place_again(self) -> None:
        """By the command and by the signal; it serves as ever."""
        before = self.placed()
        for reload in (lambda: self.realmgw("reload"), lambda: os.kill(self.gateway.pid, signal.SIGHUP)):
            self.purge()
            self.assertNotEqual(self.placed(), before)
            reload()
            deadline = 300
            while self.status()["state"] != "healthy" and deadline:
                deadline -= 1
                self.testbed.run("gwa", ["sleep", "0.1"])
            self.assertEqual(self.placed(), before)
            self.assertEqual(FIRST, self.public(client.fetch(self.ask("one.gwa.demo"))))

    def test_restart_puts_everything_in_place_again(self) -> None:
        """As any start does."""
        self.purge()
        self.gateway.stop()
        self.gateway.start()
        self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))

    def test_private_hosts_are_not_reached_by_a_route_afterwards(self) -> None:
        """Whoever is on the WAN and sends to the private network meets a machine that routes nothing."""
        self.testbed.run("router", ["ip", "route", "replace", "192.168.0.0/24", "via", GATEWAY])
        self.addCleanup(self.testbed.run, "router", ["ip", "route", "delete", "192.168.0.0/24"])
        self.purge()
        self.assertRaises(OSError, self.public, client.fetch(FIRST, timeout=0.5))

    def test_stop_with_purge_does_the_same(self) -> None:
        """Nothing is left, and settings are as they were."""
        self.gateway.stop()
        self.realmgw("purge", "--offline", "--yes")
        before = self.placed()
        self.gateway.start("--purge")
        self.gateway.stop()
        self.assertEqual(self.placed(), before)


class OfflineTests(PurgeTestCase):
    """`realmgw purge --offline`."""

    def test_refuses_where_a_gateway_runs(self) -> None:
        """And touches nothing."""
        before = self.placed()
        for more in ((), ("--table", "realmgw")):
            done = self.realmgw("purge", "--offline", "--yes", *more)
            self.assertEqual(done.returncode, ExitStatus.FAILED)
            self.assertIn("a gateway runs with the table realmgw", done.stderr)
        self.assertEqual(self.placed(), before)

    def test_refuses_where_a_gateway_with_another_table_runs(self) -> None:
        """The routes and the settings are that one's as well."""
        before = self.placed()
        done = self.realmgw("purge", "--offline", "--yes", "--table", "former")
        self.assertEqual(done.returncode, ExitStatus.FAILED)
        self.assertIn("another gateway runs here, with the table realmgw", done.stderr)
        self.assertEqual(self.placed(), before)

    def test_removes_what_a_killed_gateway_has_left(self) -> None:
        """By the configuration, or by the name of the table; a second one finds nothing."""
        for more in ((), ("--table", "realmgw")):
            if self.gateway.process is None:
                self.gateway.start()
            self.gateway.kill()
            done = self.realmgw("purge", "--offline", "--yes", *more)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("nftables table inet realmgw removed", done.stdout)
            self.assertIn("net.ipv4.ip_forward set to 0 (was 1)", done.stdout)
            ruleset, *_, routes, settings = self.placed()
            self.assertEqual((ruleset, routes, settings.splitlines()[0]), ("", "", "net.ipv4.ip_forward = 0"))
            again = self.realmgw("purge", "--offline", "--yes", *more)
            self.assertEqual((again.returncode, again.stdout), (0, "nothing of ours stands here\n"))

    def test_asks_for_the_name(self) -> None:
        """Of the gateway, or of the table where that is said; as JSON where that is wanted."""
        self.gateway.kill()
        before = self.placed()
        self.assertEqual(self.realmgw("purge", "--offline").returncode, ExitStatus.USAGE)
        self.assertEqual(self.typed("realmgw2\n", "purge", "--offline", "--table", "realmgw")[0], ExitStatus.USAGE)
        self.assertEqual(self.placed(), before)
        status, said = self.typed("realmgw\n", "purge", "--offline", "--table", "realmgw", "--json")
        self.assertEqual(status, 0, said)
        self.assertIn("done", json.loads(said[said.index("{") :]))

    def test_configuration_that_can_not_be_read_is_an_error(self) -> None:
        """Another gateway's is not taken in its place, nor the default table."""
        self.gateway.kill()
        before = self.placed()
        argv = [sys.executable, "-m", "realmgw.control.command.cli", "purge", "--offline", "--yes"]
        done = self.testbed.run("gwa", [*argv, "--config", "/nonexistent/realmgw.yaml"])
        self.assertEqual(done.returncode, ExitStatus.PROBLEMS)
        self.assertIn("/nonexistent/realmgw.yaml", done.stderr)
        done = self.realmgw("purge", "--yes", "--table", "realmgw")
        self.assertEqual((done.returncode, "--offline" in done.stderr), (ExitStatus.USAGE, True))
        done = self.realmgw("purge", "--offline", "--yes", "--table", "counter")
        self.assertEqual((done.returncode, "nft's own" in done.stderr), (ExitStatus.USAGE, True))
        self.assertEqual(self.placed(), before)

    def test_broken_configuration_does_not_keep_anything(self) -> None:
        """The last good one says what there is to remove; it is kept as soon as everything runs."""
        end = time.monotonic() + PATIENCE
        while not list(self.testbed.folder.glob("last-good-*.yaml")):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)
        self.gateway.kill()
        text = self.gateway.config.read_text()
        self.gateway.config.write_text(text + "\nnonsense: 1\n")
        try:
            self.assertEqual(self.realmgw("purge", "--offline", "--yes").returncode, 0)
        finally:
            self.gateway.config.write_text(text)
        self.assertEqual(self.placed()[0], "")

    def test_what_is_somebody_elses_is_left_alone(self) -> None:
        """A table of that name, and no comment of ours."""
        self.gateway.kill()
        self.testbed.run("gwa", ["nft", "add", "table", "inet", "theirs"])
        self.addCleanup(self.testbed.run, "gwa", ["nft", "delete", "table", "inet", "theirs"])
        before = self.placed()
        done = self.realmgw("purge", "--offline", "--yes", "--table", "theirs")
        self.assertEqual(done.returncode, ExitStatus.FAILED)
        self.assertIn("table inet theirs is somebody else's", done.stderr)
        self.assertEqual(self.placed(), before)


class FailedStartTests(PurgeTestCase):
    """A start that does not come to its end."""

    @contextlib.contextmanager
    def queue_taken(self) -> Iterator[None]:
        """Another program has our packet queue, which is found out when the rules stand."""
        process = self.testbed.spawn("gwa", [sys.executable, "-c", DECIDE], stdout=subprocess.PIPE)
        assert process.stdout is not None
        self.assertEqual(process.stdout.readline(), b"bound\n")
        try:
            yield
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    @contextlib.contextmanager
    def route_taken(self) -> Iterator[None]:
        """The operator has a route of his own for a prefix of the pool, which is found out in the midst of placing."""
        route = ["unreachable", ROUTED, "proto", "static"]
        self.testbed.run("gwa", ["ip", "route", "add", *route])
        try:
            yield
        finally:
            self.testbed.run("gwa", ["ip", "route", "delete", *route])

    def test_undoes_what_it_placed(self) -> None:
        """Where nothing of ours stood before: whatever comes next finds the machine as this start did."""
        self.gateway.stop()
        self.realmgw("purge", "--offline", "--yes")
        before = self.placed()
        for taken, said in ((self.queue_taken, "queue"), (self.route_taken, "route")):
            with taken():
                error = str(self.assertRaises(TestbedError, self.gateway.start))
            self.assertIn(said, error)
            self.assertEqual(self.placed(), before, said)

    def test_leaves_what_stood_before(self) -> None:
        """Established flows go on, and nothing new gets in; the next start serves."""
        before = self.placed()
        with ThreadPoolExecutor(1) as pool:
            flow = self.download(pool, "one.gwa.demo", 2_000_000)
            self.gateway.kill()
            with self.queue_taken():
                self.assertRaises(TestbedError, self.gateway.start)
            self.assertEqual(self.placed(), before)
            self.assertRaises(OSError, self.public, client.fetch(ON_LINK[0], timeout=0.5))
            self.gateway.start()
            self.assertEqual(flow.result(20.0).checksum, host.checksum(FIRST, 2_000_000))
        self.assertEqual(SECOND, self.public(client.fetch(self.ask("two.gwa.demo"))))

    def test_second_gateway_undoes_nothing(self) -> None:
        """It has placed nothing."""
        before = self.placed()
        second = self.testbed.run("gwa", [sys.executable, *self.gateway.command], timeout=20.0)
        self.assertEqual(second.returncode, 1)
        self.assertEqual(self.placed(), before)

    def test_table_of_somebody_else_ends_the_start(self) -> None:
        """With one line that says whose it is, and what to do."""
        self.gateway.stop()
        self.realmgw("purge", "--offline", "--yes")
        self.testbed.run("gwa", ["nft", "add", "table", "inet", "realmgw"])
        self.addCleanup(self.testbed.run, "gwa", ["nft", "delete", "table", "inet", "realmgw"])
        before = self.placed()
        error = str(self.assertRaises(TestbedError, self.gateway.start))
        self.assertIn("table inet realmgw is somebody else's: choose another datapath.table", error)
        self.assertEqual(self.placed(), before)
