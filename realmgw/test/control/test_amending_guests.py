"""Tests for `realmgw.control.amending`: guests that are registered, which gives them a name and nothing else."""

from __future__ import annotations

from ipaddress import ip_address

import attrs

from realmgw.config.settings import UpdateView
from realmgw.subscribers.leases.service import GRACE, LeaseService
from realmgw.test.control.registering import NAMES, LeaseTestCase, adding, address

GUESTS = "guests."
"""The key of guests."""
NAME, PLACE = "g.example.org.", ip_address("192.168.0.9").packed


class GuestTests(LeaseTestCase):
    """One key for hosts, and one for guests."""

    def begin(self) -> LeaseService:
        """Which the settings tell apart."""
        running = self.gateway.running
        update = UpdateView(guests=(GUESTS,))
        running.settings = attrs.evolve(running.settings, dns=attrs.evolve(running.settings.dns, update=update))
        return super().begin()

    def guest(self) -> tuple[tuple[bytes, ...], str | None, object]:
        """The addresses at the name, the name at the address, and how many guests there are."""
        guests = self.leases.hosts.guests
        return guests.addresses(NAME), guests.at(PLACE), self.leases.counts()["guests"]

    def test_a_guest_has_a_name_and_is_no_host(self) -> None:
        """Nothing of it comes to the kernel, or to the names that everybody is told; after a start as well."""
        self.assertEqual(self.change(adding(address("g", "192.168.0.9"), key=GUESTS)), [""])
        for _ in range(2):
            self.assertEqual(self.guest(), ((PLACE,), NAME, 1))
            self.assertEqual((self.gateway.names, self.host("g"), self.calls), (NAMES, (), []))
            self.leases = self.again()
        lease = self.leases.book.leases[NAME]
        self.assertEqual(self.change(adding(removed=lease.records, key=GUESTS)), [""])
        self.assertEqual(self.guest(), ((), None, 0))

    def test_what_belongs_to_others_is_refused(self) -> None:
        """A subscriber's name or address: as a host's registration is."""
        found = self.change(
            adding(address("a", "192.168.0.9"), key=GUESTS), adding(address("g", "192.168.0.1"), key=GUESTS)
        )
        for said, part in zip(found, ("is written in", "belongs to a.example.org."), strict=True):
            self.assertIn(part, said)
        self.assertEqual(self.guest()[2], 0)

    def test_a_guest_becomes_a_host_and_a_guest_again(self) -> None:
        """By the key that the name is registered with; not if somebody else has the address by then."""
        self.change(adding(address("g", "192.168.0.9"), key=GUESTS))
        self.assertEqual(self.change(adding(address("g", "192.168.0.9"))), [""])
        self.assertEqual((self.host("g"), self.guest()), ((PLACE,), ((), None, 0)))
        self.assertEqual(self.change(adding(address("g", "192.168.0.9"), key=GUESTS)), [""])
        self.gateway.pass_time(GRACE)
        self.assertEqual((self.host("g"), self.guest()), ((), ((PLACE,), NAME, 1)))
        self.change(adding(address("h", "192.168.0.9")))
        [why] = self.change(adding(address("g", "192.168.0.9")))
        self.assertIn("belongs to h.example.org.", why)
        self.assertEqual((self.host("g"), self.guest()[2]), ((), 1))

    def test_a_guest_goes_when_its_time_is_over(self) -> None:
        """As a host does."""
        self.change(adding(address("g", "192.168.0.9"), key=GUESTS), life=60.0)
        self.gateway.pass_time(60.0)
        self.assertEqual((self.guest(), self.leases.counts()["expired"]), (((), None, 0), 1))
