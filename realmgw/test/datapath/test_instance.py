"""Tests for `realmgw.datapath.instance`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import place
from realmgw.datapath.instance import InstanceLock
from realmgw.datapath.place import Place, Tenant
from realmgw.errors import PlatformError
from realmgw.system.disk import Hold

TENANT = Tenant(f"test{os.getpid()}", "gateway", "`table`")
"""A kind of process that no other test knows of."""


class LockTests(SynchronousTestCase):
    """One process for a table and for a state."""

    def service(self, table: str, state: str = "") -> InstanceLock:
        """Of a table, with a state of its own unless one is named."""
        return InstanceLock(Place(table, TENANT), Hold(Path(state or self.mktemp()), "the state"))

    def test_second_one_is_refused_and_told_who_the_first_one_is(self) -> None:
        """Every time, until that has stopped; one with another table is not in the way, where there may be several."""
        table = f"test{os.getpid()}"
        first, second, other = (self.service(name) for name in (table, table, f"{table}b"))
        first.startService()
        other.startService()
        for _ in range(5):
            self.assertIn(f"process {os.getpid()}", str(self.assertRaises(PlatformError, second.startService)))
        first.stopService()
        second.startService()
        for each in (second, other):
            each.stopService()

    def test_second_one_with_the_same_state_is_refused(self) -> None:
        """Whatever its table; then it has not taken that either."""
        state, table = self.mktemp(), f"test{os.getpid()}"
        first, second, third = self.service(table, state), self.service(f"{table}b", state), self.service(f"{table}b")
        first.startService()
        self.assertIn("the state is in use", str(self.assertRaises(PlatformError, second.startService)))
        third.startService()
        for each in (first, third):
            each.stopService()

    def test_folder_that_can_not_be_written_stops_nobody(self) -> None:
        """Nothing can be kept there either; that is said."""
        file = Path(self.mktemp())
        file.write_text("")
        service = self.service(f"test{os.getpid()}", str(file / "held"))
        with capturedLogs() as events:
            service.startService()
        service.stopService()
        self.assertIn("nothing will be kept", events[0]["log_format"])

    def test_where_the_kernel_does_not_tell_it_starts_and_says_so(self) -> None:
        """It may lack that; so does who keeps no state."""
        self.patch(place, "sockets", raising)
        for service in (self.service(f"test{os.getpid()}"), InstanceLock(Place(f"test{os.getpid()}b", TENANT))):
            with capturedLogs() as events:
                service.startService()
            self.assertIn("it can not be seen who has the table", formatEvent(events[0]) or "")
            service.stopService()


def raising() -> None:
    """A kernel without the listing of unix sockets."""
    raise OSError(errno.ENOENT, "No such file or directory")
