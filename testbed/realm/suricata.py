"""A real Suricata in `gwa`, as Debian configures it, with what docs/alerts.md has an operator change.

::

    suricata = Suricata(testbed, "wan0", RULES, home="100.64.1.128/25", socket=path)
    suricata.start()
    ...
    suricata.stop()

Only where its files are is the testbed's own: its log, its rules, the sockets.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path

from testbed.realm.topology import CHECKOUT, PATIENCE, Testbed, TestbedError

DEFAULT = Path("/etc/suricata/suricata.yaml")
"""Its configuration, as Debian has it."""
DROP_IN = CHECKOUT / "conf" / "suricata" / "realmgw-eve.inc"
"""What an operator puts beside it."""
SOCKET = "/run/realmgw/alerts.sock"
"""The gateway's, in the drop-in."""
LOOK = 0.02  # seconds
STARTED = "Engine started"
"""It says so when it looks at packets."""


class Suricata:
    """It, configured.

    Args:
        testbed: A running testbed.
        interface: Where it looks, in `gwa`.
        rules: Its rules, a line each.
        home: HOME_NET: the networks whose hosts the rules protect.
        socket: The gateway's socket, told by the drop-in; None: there is no drop-in.

    Attributes:
        eve: The file of EVE that it writes by default.
        log: The file in which it says how it is.

    Raises:
        TestbedError: Debian's configuration is not as it is expected.
    """

    def __init__(self, testbed: Testbed, interface: str, rules: str, home: str, socket: Path | None = None) -> None:
        self._testbed = testbed
        self._folder = testbed.folder / "suricata"
        self._folder.mkdir()
        (self._folder / "realmgw.rules").write_text(rules)
        self.eve, self.log = self._folder / "eve.json", self._folder / "suricata.log"
        self._process: subprocess.Popen[bytes] | None = None
        text = _put(
            DEFAULT.read_text(), "af-packet:\n  - interface: eth0\n", f"af-packet:\n  - interface: {interface}\n"
        )
        text = _put(text, '    HOME_NET: "[192.168.0.0/16,10.0.0.0/8,172.16.0.0/12]"\n', f'    HOME_NET: "[{home}]"\n')
        text = _put(text, "\n  - suricata.rules\n", f"\n  - {self._folder}/realmgw.rules\n")
        if socket is not None:
            include = self._folder / "realmgw-eve.inc"
            include.write_text(_put(DROP_IN.read_text(), f"filename: {SOCKET}\n", f"filename: {socket}\n"))
            text = _put(text, "\noutputs:\n", f"\noutputs:\n  - eve-log: !include {include}\n")
        (self._folder / "suricata.yaml").write_text(text)

    def start(self) -> None:
        """Starts it as Debian's unit does, and waits until it looks.

        Raises:
            TestbedError: It does not start; the text has its last words.
        """
        argv = [
            str(shutil.which("suricata")), "--af-packet", "-c", str(self._folder / "suricata.yaml"),
            "-l", str(self._folder), "--pidfile", str(self._folder / "pid"),
            "--set", f"unix-command.filename={self._folder}/command.sock",
        ]  # fmt: skip
        self._process = self._testbed.spawn("gwa", argv, log="suricata.out")
        deadline = time.monotonic() + PATIENCE
        while STARTED not in self.said():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise TestbedError(f"suricata did not start:\n{self.said()}")
            time.sleep(LOOK)

    def said(self) -> str:
        """What it has said so far."""
        with contextlib.suppress(OSError):
            return self.log.read_text(errors="replace")
        return ""

    def rotate(self) -> None:
        """Tells it that its files have been rotated, as Debian's logrotate does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _put(text: str, old: str, new: str) -> str:
    """A text with something else in a place that there is once."""
    if text.count(old) != 1:
        raise TestbedError(f"suricata's configuration has {text.count(old)} times {old!r}")
    return text.replace(old, new)
