"""Tests for `realmgw.control.amending`: what is registered outlasts the process, and ends."""

from __future__ import annotations

from typing import Any

import attrs

from realmgw.config.settings import UpdateView
from realmgw.control.apply import Status
from realmgw.errors import PlatformError
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.service import AGAIN, GRACE, LeaseService
from realmgw.subscribers.leases.turns import PAUSE
from realmgw.test.control.parts import TestGateway, only
from realmgw.test.control.registering import NAMES, LeaseTestCase, adding, address


class KeptTests(LeaseTestCase):
    """What is registered outlasts the process."""

    def test_all_is_there_again_before_anybody_is_answered(self) -> None:
        """With its time and key."""
        self.change(adding(address("h", "192.168.0.9")))
        self.leases = self.again()
        self.assertEqual(self.gateway.names, [*NAMES, "h.example.org."])
        lease = self.leases.book.leases["h.example.org."]
        self.assertEqual((lease.since, lease.key), (1e9, "dhcp."))
        self.assertEqual(self.change(adding(removed=lease.records)), [""])
        self.gateway.pass_time(GRACE)
        self.assertEqual(self.gateway.names, NAMES)

    def test_a_damaged_file_is_set_aside_and_told(self) -> None:
        """The gateway goes on without."""
        self.change(adding(address("h", "192.168.0.9")))
        self.leases.stopService()
        self.gateway.pass_time()
        (self.gateway.folder / "leases.sqlite").write_bytes(b"no database" * 1000)
        self.gateway = TestGateway(self.gateway.folder)
        self.clock = self.gateway.clock
        self.leases = self.begin()
        self.assertIn("were damaged, and set aside", self.told[-1][0])
        self.assertEqual(len(list(self.gateway.folder.glob("leases.sqlite.damaged-*"))), 1)
        self.assertEqual(self.change(adding(address("h", "192.168.0.9"))), [""])

    def test_what_can_not_be_read_is_not_written_over(self) -> None:
        """Nothing is registered until somebody has looked."""

        def refused() -> Any:
            raise PlatformError("it is locked")

        gateway, journal = self.gateway, Journal(self.gateway.folder / "leases.sqlite", lambda: 0.0)
        self.patch(journal, "read", refused)
        leases = LeaseService(gateway.running, journal, self.disk, self.clock, lambda: 0.0, lambda _: None)
        leases.restore()
        leases.in_force = self.leases.in_force
        leases.startService()
        done = leases.change(adding(address("h", "192.168.0.9")))
        self.assertIn("nothing is registered until a restart: it is locked", str(self.failureResultOf(done).value))


class ExpiryTests(LeaseTestCase):
    """What nobody refreshes goes."""

    def test_each_has_the_time_that_was_said(self) -> None:
        """By itself, or in the configuration; by default it stays."""
        self.change(adding(address("h", "192.168.0.9")), life=60.0)
        self.change(adding(address("i", "192.168.0.10")))
        self.gateway.pass_time(59.0)
        self.assertIn("h.example.org.", self.gateway.names)
        self.gateway.pass_time(1.0)
        self.assertEqual(self.gateway.names, [*NAMES, "i.example.org."])
        self.gateway.pass_time(1e6)
        self.assertIn("i.example.org.", self.gateway.names)
        self.assertEqual(self.leases.counts()["expired"], 1)

    def test_refreshing_begins_it_anew(self) -> None:
        """Another reload of the configuration's time holds for those that are there."""
        path = self.gateway.path
        path.write_text(path.read_text().replace("dns: {", "dns: {update: {expire: 100}, "))
        self.change(adding(address("h", "192.168.0.9")))
        self.assertEqual(only(self.gateway.reload()).status, Status.APPLIED)
        self.gateway.pass_time(90.0)
        self.change(adding(address("h", "192.168.0.9")))
        self.gateway.pass_time(90.0)
        self.assertIn("h.example.org.", self.gateway.names)
        self.gateway.pass_time(10.0)
        self.assertEqual(self.gateway.names, NAMES)

    def test_another_time_is_reckoned_in_steps_beside_which_changes_are_taken(self) -> None:
        """There may be 100 000 registrations, and those who ask for names do not wait for all of them."""
        self.change(*(adding(address(f"h{n}", f"192.168.1.{n + 1}")) for n in range(100)))
        self.gateway.running.settings = attrs.evolve(
            self.gateway.running.settings,
            dns=attrs.evolve(self.gateway.running.settings.dns, update=UpdateView(expire=100.0)),
        )
        steps = self.leases._configuring()
        for _ in range(50):
            next(steps)
        self.gateway.pass_time(PAUSE)
        self.assertEqual(self.change(adding(removed=(address("h99", "192.168.1.100"),))), [""])
        self.assertEqual(sum(1 for _ in steps), 50)
        self.gateway.pass_time(99.0)
        self.assertEqual(len(self.gateway.names), len(NAMES) + 99)
        self.gateway.pass_time(1.0)
        self.assertEqual(self.gateway.names, NAMES)

    def test_half_of_its_time_is_left_after_a_start(self) -> None:
        """However long nobody was there who could have been told of a refresh."""
        self.change(adding(address("h", "192.168.0.9")), life=60.0)
        self.wall += 1e6
        self.leases = self.again()
        self.gateway.pass_time(29.0)
        self.assertIn("h.example.org.", self.gateway.names)
        self.gateway.pass_time(1.0)
        self.assertEqual(self.gateway.names, NAMES)

    def test_a_disk_that_refuses_is_tried_again(self) -> None:
        """Until then it stays."""
        self.change(adding(address("h", "192.168.0.9")), life=60.0)
        self.disk.refusal = PlatformError("full")
        self.gateway.pass_time(60.0)
        self.assertIn("h.example.org.", self.gateway.names)
        self.disk.refusal = None
        self.gateway.pass_time(AGAIN)
        self.assertEqual(self.gateway.names, NAMES)
