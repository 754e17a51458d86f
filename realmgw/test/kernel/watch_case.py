"""What the tests of the watch share: a running gateway, and somebody else with a shell on its machine."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from realmgw.control.command.client import ask
from realmgw.test.kernel.realm_case import RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client

PATIENCE = 30.0  # seconds
"""How long it may take at most that something is put back or told: on a machine that is busy with other tests, too.

That it is looked at once when the kernel tells of something, is another test's: `datapath.watch.test_port`, with its
own clock; what the kernel tells of, `kernel.test_datapath_listener`.
"""


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

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Until it is so."""
        begin = time.monotonic()
        while not condition():
            self.assertLess(time.monotonic() - begin, PATIENCE, f"{what}\n{self.log()[-3000:]}")
            time.sleep(0.005)

    def unused(self) -> int:
        """How many outcomes of all resolvers speak against them."""
        every = ask(self.gateway.control, "reputation/list", {"clients": "1"})["reputations"]
        return sum(each["nok"] for each in every)
