"""What the demo types: commands as a person types them in the checkout."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from testbed.programs.narration import Narration
from testbed.realm import host
from testbed.realm.gateway import Gateway
from testbed.realm.topology import CHECKOUT, Testbed

PACE = 1_000_000  # octets per second
"""Of downloads."""


def inside(namespace: str) -> list[str]:
    """The beginning of a command within a namespace.

    Args:
        namespace: Its name.
    """
    return ["ip", "netns", "exec", namespace]


def program(name: str) -> str:
    """A program of the running environment, as one types it in the checkout.

    Args:
        name: Of the program.
    """
    path = Path(sys.executable).with_name(name)
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)


def python_client(*arguments: str) -> list[str]:
    """The command of a client that opens one flow.

    Args:
        arguments: Of `testbed.realm.client`.
    """
    return [*inside("public"), program("python"), "-m", "testbed.realm.client", *arguments]


def gateway_command(gateway: Gateway, *options: str) -> str:
    """The command that starts the gateway by hand.

    Args:
        gateway: Which.
        options: Its own.
    """
    twistd = [program("twistd"), *gateway.command[1:], *options]
    return " ".join([*inside("gwa"), "env", "PYTHONPATH=.", *twistd])


def operator(gateway: Gateway, *words: str) -> str:
    """A command of an operator, as one types it in a checkout that nothing is installed in.

    Args:
        gateway: Whose.
        words: What.
    """
    python = [program("python"), "-m", "realmgw.control.command.cli"]
    return " ".join(["env", "PYTHONPATH=.", *python, "--config", str(gateway.config), *words])


def dig(tell: Narration, namespace: str, server: str, name: str, kind: str = "A") -> str:
    """Asks a name server by dig; returns the answer section.

    Args:
        tell: Where it is shown.
        namespace: Where it is asked from.
        server: Who is asked.
        name: For which name.
        kind: The record type.
    """
    kinds = [] if kind == "A" else [kind]
    return tell.type(*inside(namespace), "dig", "+noall", "+answer", f"@{server}", name, *kinds).stdout.strip()


@attrs.frozen
class Download:
    """What a client loads from a host while something happens."""

    testbed: Testbed
    """Where."""
    tell: Narration
    """Where to say it."""
    host: str
    """The host's own address, by which the octets are known to be its."""
    what: str
    """What it is called; of several at once, each in another way."""

    @property
    def file(self) -> Path:
        """Where it goes to."""
        return self.testbed.folder / self.what.replace(" ", "-")

    @contextlib.contextmanager
    def running(self, address: str, size: int) -> Iterator[subprocess.Popen[bytes]]:
        """Is under way: its first octets have come.

        Args:
            address: That the client was told.
            size: In octets.
        """
        self.file.unlink(missing_ok=True)
        place = f"[{address}]" if ":" in address else address
        url = f"http://{place}/download?bytes={size}&rate={PACE}"
        argv = [*inside("public"), "curl", "--silent", "--no-buffer", "--output", str(self.file), url]
        self.tell.command(shlex.join(argv) + " &")
        with self.testbed.spawn("public", argv, log=f"{self.file.name}.log") as download:
            until = time.monotonic() + 5.0
            while not (self.file.exists() and self.file.stat().st_size) and time.monotonic() < until:
                time.sleep(0.02)
            try:
                yield download
            finally:
                download.kill()

    def finish(self, download: subprocess.Popen[bytes], size: int) -> None:
        """It comes to its end, and is what it should be.

        Args:
            download: What is under way.
            size: In octets.
        """
        self.tell.command("wait")
        status = download.wait(size / PACE + 10.0)
        got = self.tell.type("sha256sum", str(self.file)).stdout.partition(" ")[0]
        right = status == 0 and got == host.checksum(self.host, size)
        self.tell.claim(f"{self.what} finishes, its checksum is right", right, f"exit status {status}")
