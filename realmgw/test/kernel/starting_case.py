"""What tests of starting and stopping share: real processes, in a network namespace that has two interfaces."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.query
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.client import ask
from realmgw.test.checkout import CHECKOUT
from realmgw.test.kernel import requirements
from realmgw.test.kernel.namespace import fresh_namespace

PATIENCE = 30.0  # seconds
"""How long anything may take."""
WAN, LAN = "192.0.2.1", "192.168.0.1"
"""The gateway's addresses."""
SETTINGS: dict[str, Any] = {
    "name": "gw.example.org",
    "zones": {"example.org": {"name_servers": {"ns.example.org": WAN}, "contact": "admin.example.org"}},
    "interfaces": {"wan": "wan0", "lan": ["lan0"]},
    "pools": {"circular": [{"addresses": "192.0.2.3-192.0.2.6", "attachment": "on-link"}]},
    "dns": {"wan": {"listen": [WAN]}, "lan": {"listen": [LAN]}},
    "subscribers": ["subscribers.d"],
    "state": "state",
    "control": {"socket": "control.sock"},
}
"""A main file."""
LINKS = f"""
ip link add wan0 type veth peer name wan1
ip link add lan0 type veth peer name lan1
ip address add {WAN}/24 dev wan0
ip address add {LAN}/24 dev lan0
for link in wan0 wan1 lan0 lan1; do ip link set $link up; done
"""


@attrs.frozen
class Ended:
    """A process that has ended."""

    status: int
    """Its exit status; negative: the signal that ended it."""
    told: str
    """What it wrote to its output and error output."""


class StartingTestCase(SynchronousTestCase):
    """One namespace and one folder for each test.

    Attributes:
        folder: Where the configuration is.
        main: The main file.
    """

    skip = requirements.missing_for_gateway()

    def setUp(self) -> None:
        """Two interfaces, and a configuration for them."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        stack.enter_context(fresh_namespace())
        subprocess.run(["sh", "-ec", LINKS], check=True, stdin=subprocess.DEVNULL)
        self.folder = Path(tempfile.mkdtemp(prefix="realmgw-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.main = self.folder / "realmgw.yaml"
        (self.folder / "subscribers.d").mkdir()
        self.subscriber("camera.example.org", "192.168.0.10")
        self.write()

    def write(self, settings: Mapping[str, Any] | None = None) -> None:
        """The main file, with whole sections put in or over those of the others."""
        self.main.write_text(json.dumps({**SETTINGS, **(settings or {})}))

    def subscriber(self, name: str, address: str) -> None:
        """A file with a host."""
        (self.folder / "subscribers.d" / f"{name}.yaml").write_text(f"{name}: {{address: {address}}}\n")

    def spawn(self, *command: str, before: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        """A program of ours, with its output in a pipe; it is killed when the test is over.

        Args:
            command: `twistd` or `realmgw`, and its arguments.
            before: What it is started by.
            options: Further ones of Popen.
        """
        programs = {
            "twistd": [str(Path(sys.executable).with_name("twistd"))],
            "realmgw": [
                sys.executable,
                "-m",
                "realmgw.control.command.cli",
            ],  # it has no program where it is not installed
        }
        process = subprocess.Popen(
            [*before, *programs[command[0]], *command[1:]],
            cwd=options.pop("cwd", self.folder),
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self.addCleanup(_end, process)
        return process

    def start(self, *options: str, **others: Any) -> subprocess.Popen[str]:
        """A gateway in the foreground that serves."""
        process = self.twistd(*options, **others)
        self.serving(process)
        return process

    def twistd(self, *options: str, **others: Any) -> subprocess.Popen[str]:
        """A gateway that begins in the foreground."""
        return self.spawn("twistd", "--nodaemon", *options, "realmgw", "--config", str(self.main), **others)

    def serving(self, process: subprocess.Popen[str]) -> None:
        """Waits until a gateway answers; DNS is the last that starts."""
        end = time.monotonic() + PATIENCE
        question = dns.message.make_query("example.org", "SOA", flags=dns.flags.Flag(0))
        while time.monotonic() < end:
            with contextlib.suppress(dns.exception.DNSException, OSError):
                dns.query.udp(question, WAN, timeout=0.2)
                return
            if process.poll() is not None:
                self.fail(f"it ended with {process.returncode}: {process.communicate()[0]}")
        self.fail("it does not serve")

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        status: dict[str, Any] = ask(self.folder / "control.sock", "status")
        return status

    def reload(self) -> dict[str, Any]:
        """What becomes of a reload."""
        outcome: dict[str, Any] = ask(self.folder / "control.sock", "reload")
        return outcome

    def run_program(self, *command: str, **options: Any) -> Ended:
        """Runs a program of ours to its end."""
        return self.ended(self.spawn(*command, **options))

    def ended(self, process: subprocess.Popen[str]) -> Ended:
        """Waits for the end of a process."""
        told, _ = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, told)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
