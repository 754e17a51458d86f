"""Packets that rules drop or refuse, in `realmgw log`, with file and line: the whole gateway, real packets."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from realmgw.control.command import decided
from realmgw.control.command.client import ask, follow
from realmgw.test.kernel.datapath_case import until
from realmgw.test.kernel.realm_case import FIRST, RealmTestCase

if TYPE_CHECKING:
    from collections.abc import Mapping

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm.gateway import Subscriber
    from testbed.realm.topology import CLIENT, GATEWAY

BLACK = "203.0.113.250/32"
RULES: list[dict[str, Any]] = [
    {"priority": 1, "direction": "INGRESS", "udp": {"dport": [99]}, "target": "DROP", "comment": {"comment": "no 99"}},
    {"priority": 2, "direction": "EGRESS", "tcp": {"dport": [25]}, "target": "REJECT"},
    {
        "priority": 3,
        "direction": "EGRESS",
        "tcp": {"dport": [26]},
        "target": {"REJECT": {"reject-with": ["tcp-reset"]}},
    },
]


class RefusalsTests(RealmTestCase):
    """A host's own rules, one of its group, and the black list."""

    settings: ClassVar[Mapping[str, Any]] = {
        "datapath": {"log": {"refused": 100}},
        "policy": {"pipeline": {
            "preemptive": {"black_list": {"prefixes": [BLACK]}},
            "groups": {"tidy": {"rules": [
                {"priority": 1, "direction": "EGRESS", "udp": {"dport": [53]}, "target": "DROP"},
            ]}},
        }},
    }  # fmt: skip

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """One, with rules."""
        one, two = super().subscribers()
        return [attrs.evolve(one, more={"GROUP": ["tidy"], "FIREWALL": {"FIREWALL_ADMIN": RULES}}), two]

    def run_command(self, *words: str) -> str:
        """What the `realmgw` command prints."""
        argv = [sys.executable, "-m", "realmgw.control.command.cli", *words, "--socket", str(self.gateway.control)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def send(self, namespace: str, source: str, to: tuple[str, int], kind: int = socket.SOCK_DGRAM) -> str:
        """Sends the first packet of a flow; returns where it comes from."""
        with self.testbed.inside(namespace), socket.socket(socket.AF_INET, kind) as sender:
            sender.settimeout(5.0)
            sender.bind((source, 0))
            with contextlib.suppress(ConnectionRefusedError):
                sender.connect(to)
                if kind == socket.SOCK_DGRAM:
                    sender.send(b"x")
            return f"{source}:{sender.getsockname()[1]}"

    def lines(self, client: str, **more: str) -> list[str]:
        """What `realmgw log --refused` says of a client."""
        given = {"refused": "1", "client": client, **more}
        rows = [row for row in follow(self.gateway.control, "log", given) if row]
        return [line.partition("-             ")[2] for row in rows for line in decided.line(row)]

    def told(self, client: str) -> str:
        """The last of these, once there is one."""
        self.assertTrue(until(lambda: bool(self.lines(client))), client)
        return self.lines(client)[-1]

    def line_of(self, text: str, file: str) -> int:
        """In which line of a file something is written."""
        lines = (self.testbed.folder / file).read_text().splitlines()
        return next(at for at, line in enumerate(lines, 1) if text in line)

    def test_why_a_client_was_refused_is_one_command(self) -> None:
        """With the rule and where it is written: a subscriber's file, and the main file."""
        address = self.ask("one.gwa.demo")
        client = self.send("public", CLIENT, (address, 99))
        place = f"subscribers.d/testbed.yaml:{self.line_of('FIREWALL', 'subscribers.d/testbed.yaml')}"
        said = f"one.gwa.demo.: dropped, by admin, priority 1: no 99 ({place})"
        self.assertEqual(self.told(CLIENT), f"refused  udp {client} > {FIRST}:99 {said}")
        self.assertIn(said, self.run_command("log", "--client", CLIENT, "--since", "1h", "--until", "0s"))
        self.assertEqual(self.lines(CLIENT, until="1h"), [])
        [_, row] = ask(self.gateway.control, "explain/flow", {"source": client, "destination": f"{address}:99"})[
            "decisions"
        ][-2:]
        self.assertIn(said, next(decided.line(row)))

    def test_what_a_host_and_its_group_refuse_is_told_as_well(self) -> None:
        """Each by its own line; a refused sender is told so as ever."""
        file = self.testbed.folder.name + "/realmgw.yaml"
        for to, kind, said in (
            (25, socket.SOCK_STREAM, "refused, by admin, priority 2 (subscribers.d/testbed.yaml:"),
            (26, socket.SOCK_STREAM, "refused, by admin, priority 3 (subscribers.d/testbed.yaml:"),
            (53, socket.SOCK_DGRAM, f"dropped, by group_tidy_1 ({file}:"),
        ):
            host = self.send("test_gwa", FIRST, (CLIENT, to), kind)
            self.assertIn(f"{host} > {CLIENT}:{to} ", self.told(f"{FIRST}/32"))
            self.assertIn(said, self.told(FIRST))

    def test_a_flood_is_told_of_in_part_and_keeps_no_one_else_from_being_told(self) -> None:
        """By the black list, whose line is told, of one sender so many a second; what is dropped is counted all."""
        black = BLACK.partition("/")[0]
        self.testbed.run("public", ["ip", "address", "replace", BLACK, "dev", "lo"])
        with self.testbed.inside("public"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((black, 0))
            for _ in range(300):
                sender.sendto(b"x", (GATEWAY, 4242))
        line = self.told(BLACK)
        at = self.line_of("prefixes: [203", "realmgw.yaml")
        self.assertIn(f"udp {black}:", line)
        self.assertIn("dropped, by stage_black_list (", line)
        self.assertRegex(line, rf"realmgw\.yaml:{at}\)")
        self.assertLess(len(self.lines(BLACK)), 100)
        self.assertIn(
            "300", next(each for each in self.run_command("rules").splitlines() if "stage_black_list" in each)
        )
