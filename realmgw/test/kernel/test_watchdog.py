"""A service manager's watchdog hears of a gateway that answers a query and takes a packet from the queue."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from realmgw.test.kernel.starting_case import PATIENCE, WAN, StartingTestCase

DROPS = """
table ip in_the_way {
    chain arriving {
        type filter hook prerouting priority -300; policy accept;
        iifname "lo" RULE
    }
}
"""


class WatchdogTests(StartingTestCase):
    """A gateway, and a socket in the manager's place."""

    def setUp(self) -> None:
        """It hears."""
        super().setUp()
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        self.ear.bind(str(self.folder / "notify"))
        self.ear.settimeout(PATIENCE)

    def beat(self) -> None:
        """All is well, sooner or later."""
        self.ear.settimeout(PATIENCE)
        while self.ear.recv(4096) != b"WATCHDOG=1":
            pass

    def is_silent(self) -> bool:
        """Whether nothing more comes for as long as two looks take."""
        self.ear.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while self.ear.recv(4096):
                pass
        self.ear.settimeout(0.8)
        try:
            self.ear.recv(4096)
        except TimeoutError:
            return True
        return False

    def told(self, log: Path, text: str) -> bool:
        """Whether the log has a text, before long."""
        until = time.monotonic() + PATIENCE
        while text not in log.read_text():
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def counted(self) -> Any:
        """What operators see of queries and packets."""
        counts = self.status()["counts"]
        return counts["dns"], counts["admission"], counts["datapath"], counts["allocation"]

    def test_hears_of_what_works_and_nothing_is_counted(self) -> None:
        """Not while packets or queries do not come through, with a line that says which; then again."""
        manager = [f"NOTIFY_SOCKET={self.folder}/notify", "WATCHDOG_USEC=600000"]  # every 0.3 s, and half of it to look
        log = self.folder / "log"
        self.start("--logfile", str(log), before=["env", *manager])
        self.assertEqual(self.ear.recv(4096), b"READY=1")
        self.beat()
        before = self.counted()
        for _ in range(3):
            self.beat()
        self.assertEqual(self.counted(), before)
        for rule, why in (
            ("udp length 24 drop", "no packet comes through the packet queue"),
            ("meta mark set 0", "packets go past the packet queue"),
            ("udp dport 53 drop", f"DNS at {WAN} port 53 is not answered"),
        ):
            subprocess.run(["nft", "-f", "-"], input=DROPS.replace("RULE", rule), text=True, check=True)
            self.assertTrue(self.told(log, f"watchdog is not told that all is well: {why}"), rule)
            self.assertTrue(self.is_silent(), rule)
            subprocess.run(["nft", "delete", "table", "ip", "in_the_way"], check=True)
            self.beat()
