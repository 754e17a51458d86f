"""What the tests of the watch share: a running gateway, and somebody else with a shell on its machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client

SOON = 1.0 * float(os.environ.get("TESTBED_PATIENCE", "1"))  # seconds
"""Within this time what was removed is back, on a machine that is busy with other tests, too."""
LOOKED = 2.5 * float(os.environ.get("TESTBED_PATIENCE", "1"))  # seconds
"""The same for what the kernel does not tell of."""


class WatchTestCase(RealmTestCase):
    """A gateway, and somebody with a shell on its machine."""

    def status(self) -> Any:
        """What the gateway says."""
        return ask(self.gateway.control, "status")

    def repairs(self) -> int:
        """How often something was put back."""
        return int(self.status()["counts"]["datapath"]["repairs"])

    def shell(self, commands: str) -> None:
        """Somebody types that."""
        done = self.testbed.run("gwa", ["sh", "-ec", commands])
        self.assertEqual(done.returncode, 0, done.stderr)

    def log(self) -> str:
        """What the gateway has logged so far."""
        return self.gateway.log.read_text()

    def fetch(self, name: str = "one.gwa.demo") -> str:
        """Which private host answers a client who asks for a name."""
        return self.public(client.fetch(self.ask(name)))

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Until it is so, and no longer than that."""
        begin = time.monotonic()
        while not condition():
            self.assertLess(time.monotonic() - begin, seconds, f"{what}\n{self.log()[-3000:]}")
            time.sleep(0.005)

    def unused(self) -> int:
        """How many outcomes of all resolvers speak against them."""
        every = ask(self.gateway.control, "reputation/list", {"clients": "1"})["reputations"]
        return sum(each["nok"] for each in every)
