"""Debian's ulogd2 beside a gateway: what rules tell of, as the documents have it; flows, as the recorder does."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from realmgw.control.command.client import ask
from realmgw.test import programs
from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel.datapath_case import PATIENCE, until
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase
from realmgw.test.kernel.test_groups import GroupsTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.topology import CLIENT

if TYPE_CHECKING:
    from testbed.realm.topology import Testbed

PAGE = CHECKOUT / "docs" / "operations.md"
SHIPPED = Path("/etc/ulogd.conf")
"""What Debian's package brings."""
WRITTEN = re.compile(r"```ini\n(stack=.*?)```", re.DOTALL)
PLACE = re.compile(r'(file=")[^"]*(")')
FLOWS = """stack=flows:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,kept1:LOGEMU

[flows]
event_mask=0x00000004

[kept1]
file="-"
sync=1
"""
"""Ends of flows, a line for each."""


def configuration(text: str, kept: Path) -> str:
    """Debian's, with this in its section `[global]` and below it, and nothing else that does anything."""
    silent = re.sub("^(stack=|logfile=)", "#\\1", SHIPPED.read_text(), flags=re.MULTILINE)
    return silent.replace("[global]\n", "[global]\n" + PLACE.sub(rf"\g<1>{kept}\g<2>", text), 1)


class Ulogd:
    """Debian's, in the gateway's namespace; a context manager.

    Args:
        testbed: Where.
        text: What is written into its configuration.
    """

    def __init__(self, testbed: Testbed, text: str) -> None:
        self._testbed, self._kept = testbed, testbed.folder / "kept"
        self._file = testbed.folder / "ulogd.conf"
        self._kept.unlink(missing_ok=True)
        self._file.write_text(configuration(text, self._kept))

    def __enter__(self) -> Callable[[], list[str]]:
        """Starts it; what is returned reads the lines that it has written."""
        argv = ["ulogd", "--configfile", str(self._file), "--pidfile", str(self._testbed.folder / "ulogd.pid")]
        self._process = self._testbed.spawn("gwa", argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return lambda: self._kept.read_text().splitlines() if self._kept.exists() else []

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)


class RulesTests(GroupsTestCase):
    """Rules with the target LOG."""

    forbidding: ClassVar[str] = "forbidden"

    def test_a_packet_is_a_line_with_its_rule(self) -> None:
        """As docs/operations.md says, whether it is let through or dropped."""
        if reason := programs.missing("ulogd"):
            self.skipTest(reason)
        found = WRITTEN.search(PAGE.read_text())
        assert found is not None
        self.say(
            "{priority: 1, direction: INGRESS, udp: {dport: 99}, target: LOG, comment: {comment: a shell is tried}},"
            "{priority: 2, direction: INGRESS, udp: {dport: 99}, target: DROP},"
            "{priority: 3, direction: EGRESS, protocol: udp, target: LOG}"
        )
        with Ulogd(self.testbed, found[1]) as lines:
            self.assertTrue(until(self.is_read))
            self.assertFalse(self.datagram(inwards=True, family=4, port=99))
            self.assertTrue(self.datagram(inwards=False, family=4, port=98))
            self.assertTrue(until(lambda: len(lines()) == 2))
            dropped, passed = lines()
        client, host, _ = self.ends(True, 4)
        ends = rf"SRC={client[1]} DST={host[1]} .* PROTO=UDP .* DPT=99 "
        self.assertRegex(dropped, rf" realmgw: user, priority 1: a shell is tried IN=wan0 OUT=lan0 MAC=\S+ {ends}")
        self.assertRegex(passed, r" realmgw: user, priority 3 IN=lan0 OUT=wan0 .* DPT=98 ")

    def is_read(self) -> bool:
        """Whether somebody reads the group."""
        path = Path("/proc/thread-self/net/netfilter/nfnetlink_log")
        rows = self.testbed.call("gwa", path.read_text).splitlines()
        return any(int(row.split()[0]) == self.settings.datapath.log.group for row in rows)


class FlowsTests(RealmTestCase):
    """A gateway that records flows, and who listens to conntrack as well."""

    settings: ClassVar[Mapping[str, Any]] = {"flow_records": {"enabled": True, "interval": 1}}

    def exchange(self, name: str) -> tuple[int, int]:
        """A client sends a datagram to a host, which comes; returns the client's port, and the host's."""
        address = self.ask(name)
        with self.testbed.inside("test_gwa"):
            host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with self.testbed.inside("public"):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with host, client:
            host.settimeout(PATIENCE)
            host.bind((FIRST, 0))
            client.bind((CLIENT, 0))
            client.sendto(b"x", (address, host.getsockname()[1]))
            host.recv(9)
            return int(client.getsockname()[1]), int(host.getsockname()[1])

    def recorded(self) -> list[tuple[int, int]]:
        """The ports of the clients and hosts of flows that have ended, by the gateway's own file."""
        lines = [line for file in self.testbed.folder.glob("flows-*.jsonl") for line in file.read_text().splitlines()]
        return [(each["client_port"], each["port"]) for each in map(json.loads, lines) if each["event"] == "ends"]

    def test_both_are_told_of_every_end(self) -> None:
        """Neither takes anything away from the other, and both have the same flows."""
        if reason := programs.missing("ulogd"):
            self.skipTest(reason)
        with Ulogd(self.testbed, FLOWS) as lines:
            self.assertTrue(until(lambda: bool(self.end_one() and lines())))
            ports = [self.exchange("one.gwa.demo") for _ in range(20)]
            ask(self.gateway.control, "flows/kill", {"host": FIRST})
            self.assertTrue(until(lambda: set(ports) <= set(self.recorded())))
            words = [f"SPT={client} DPT={host} " for client, host in ports]
            self.assertTrue(until(lambda: all(any(each in line for line in lines()) for each in words)))
            told = lines()
        self.assertEqual(self.recorded()[-20:].count(ports[0]), 1)
        for each in words:
            [line] = [line for line in told if each in line]
            self.assertIn(f"ORIG: SRC={CLIENT} ", line)
            self.assertIn(f"REPLY: SRC={FIRST} ", line)

    def end_one(self) -> bool:
        """One more flow has ended."""
        self.exchange("one.gwa.demo")
        return int(ask(self.gateway.control, "flows/kill", {"host": FIRST})["ended"]) > 0
