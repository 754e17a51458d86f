"""The real SYN proxy node in `router`, in front of the gateway: configured, started by twistd, stopped."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from testbed.realm.gateway import LAST_WORDS, twistd
from testbed.realm.topology import GATEWAY, PATIENCE, ROUTER_WAN, Testbed, TestbedError

PORT = 12345
"""Of the control protocol."""


class SynproxyNode:
    """A node in a testbed, as a context manager: started on entry, stopped on exit.

    Attributes:
        log: The file with its output.
        process: The running process.
    """

    def __init__(
        self,
        testbed: Testbed,
        outside: Sequence[str],
        guarded: Sequence[str],
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes the configuration into the testbed's folder.

        Args:
            testbed: A running testbed.
            outside: Interfaces of the router that clients come in by.
            guarded: Prefixes of the pool.
            settings: Further keys of the configuration.
        """
        self._testbed = testbed
        self._config = testbed.folder / "synproxy.yaml"
        self.log = testbed.folder / "synproxy.log"
        self.process: subprocess.Popen[bytes] | None = None
        own = {
            "outside": list(outside), "guarded": list(guarded), "listen": [ROUTER_WAN], "clients": [GATEWAY],
            "state": str(testbed.folder / "synproxy"), "control": {"socket": str(testbed.folder / "synproxy.sock")},
        }  # fmt: skip
        self._config.write_text(json.dumps({**own, **(settings or {})}))

    def __enter__(self) -> SynproxyNode:
        """Starts it, and waits until gateways are served."""
        argv = [sys.executable, str(twistd()), "--nodaemon", "--pidfile=", "realmgw-synproxy", "--config"]
        begin = time.monotonic()
        self.process = self._testbed.spawn("router", [*argv, str(self._config), "--purge"], log=self.log.name)
        while not self._serves():
            if self.process.poll() is not None or time.monotonic() - begin > PATIENCE:
                self.process.kill()
                words = self.log.read_text(errors="replace").splitlines()[-LAST_WORDS:]
                raise TestbedError("the SYN proxy node did not start:\n" + "\n".join(words))
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it; nothing of it is left in the router."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)

    def counters(self) -> dict[str, Any]:
        """What it has counted, as `realmgw-synproxy counters` tells it."""
        argv = [sys.executable, "-m", "realmgw.synnode.command", "--config", str(self._config), "--json", "counters"]
        found: dict[str, Any] = json.loads(self._testbed.run("router", argv).stdout)
        return found

    def _serves(self) -> bool:
        with self._testbed.inside("gwa"):
            try:
                socket.create_connection((ROUTER_WAN, PORT), timeout=0.5).close()
            except OSError:
                return False
        return True
