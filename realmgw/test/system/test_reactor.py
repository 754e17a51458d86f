"""Tests for `realmgw.system.reactor`."""

from __future__ import annotations

import subprocess
import sys

from realmgw.test.source import PRODUCT, SourceTestCase

PUT_BACK = """
import time

real, behind = time.time, [0.0]
time.time = lambda: real() - behind[0]

from twisted.internet import reactor
from twisted.internet.task import LoopingCall

from realmgw.system.reactor import the_reactor

ours = the_reactor()
assert ours is reactor

def put_back():
    behind[0] = 3600.0
    ours.callLater(0.02, said.append, "set after it")
    ours.callLater(0.1, ours.stop)

said = []
loop = LoopingCall(said.append, "again")
loop.start(0.02)
ours.callLater(0.02, said.append, "set before it")
ours.callLater(0.01, put_back)
ours.run()
loop.stop()
print(*sorted(set(said)), sep=",")
assert said.count("again") > 2
"""


class ReactorTests(SourceTestCase):
    """`the_reactor`."""

    def test_timers_go_on_when_the_wall_clock_is_put_back(self) -> None:
        """By an hour: those that were set before, those that are set afterwards, and those that come again."""
        ran = subprocess.run(
            [sys.executable, "-c", PUT_BACK], capture_output=True, text=True, timeout=30.0, check=False
        )
        self.assertEqual((ran.stdout, ran.returncode), ("again,set after it,set before it\n", 0), ran.stderr)

    def test_nothing_of_ours_has_the_reactor_otherwise(self) -> None:
        """Its timers would go by the wall clock in that process."""
        self.assert_none(
            f"{module.place}:{line}: has the reactor from Twisted, and not from realmgw.system.reactor"
            for module in PRODUCT
            if module.name != "realmgw.system.reactor"
            for line, name in module.imports()
            if name.startswith("twisted.internet.reactor")
        )
