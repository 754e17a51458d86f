"""Tests for `realmgw.dns.guests`: what those on a LAN are told of guests, and the Internet is not."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address

import dns.rcode

from realmgw.dns.lan import lan_view
from realmgw.dns.view import View
from realmgw.dns.wan import wan_view
from realmgw.subscribers.leases.book import Lease
from realmgw.subscribers.leases.guests import Guests
from realmgw.subscribers.leases.records import Record
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator
from realmgw.test.dns.test_view import AnswersTestCase, ask, read

FOUR, SIX = ip_address("192.168.0.77"), ip_address("fd00::77")
REVERSE = "77.0.168.192.in-addr.arpa."


class GuestTests(AnswersTestCase):
    """A guest with an address of each family, one whose name is a subscriber's, one whose address is."""

    def setUp(self) -> None:
        """Both views."""
        guests = Guests()
        for name, *addresses in (
            ("laptop.room.example.org.", FOUR, SIX), ("one.example.org.", ip_address("192.168.0.78")),
            ("other.example.org.", ip_address("192.168.0.1")), ("elsewhere.example.net.", ip_address("192.168.0.79")),
        ):  # fmt: skip
            records = [Record(name, 1 if each.version == 4 else 28, 60, each.packed) for each in addresses]
            guests.put(name, Lease(name, tuple(records), "guests.", 0.0, 0.0))
        made = realm.make_settings()
        pool, defences = MemoryAllocator(realm.POOL_ADDRESS.packed), realm.defences(made)
        self.lan = lan_view(made, realm.table(), guests=guests)
        self.wan = wan_view(made, realm.table(), pool, defences, realm.no_clock, lambda: 1.0, guests=guests)

    def told(self, name: str, kind: str = "A", view: View | None = None) -> list[str]:
        """The data of the records that a view gives, the LAN's unless another one is asked."""
        answer = read(ask(view or self.lan, name, kind))
        return [str(each) for found in answer.answer for each in found]

    def test_its_addresses_and_their_name(self) -> None:
        """Of the type that is asked for; in any case of letters."""
        name = "laptop.room.example.org."
        for kind, found in (("A", [str(FOUR)]), ("AAAA", [str(SIX)]), ("ANY", ['"RFC8482" ""'])):
            self.assertEqual(self.told(name, kind), found)
        self.assertEqual(self.told(name.swapcase()), [str(FOUR)])
        self.assertEqual(self.told(REVERSE, "PTR"), [name])
        self.assert_negative(read(ask(self.lan, name, "MX")), dns.rcode.NOERROR)
        self.assert_negative(read(ask(self.lan, REVERSE)), dns.rcode.NOERROR, realm.REVERSE.name)

    def test_names_above_exist(self) -> None:
        """And others do not."""
        self.assert_negative(read(ask(self.lan, "room.example.org.")), dns.rcode.NOERROR)
        self.assert_negative(
            read(ask(self.lan, "0.168.192.in-addr.arpa.", "PTR")), dns.rcode.NOERROR, realm.REVERSE.name
        )
        self.assert_negative(read(ask(self.lan, "x.room.example.org.")), dns.rcode.NXDOMAIN)

    def test_subscribers_come_first(self) -> None:
        """Whose name it is, and whose address; what lies in no zone of ours is not answered here."""
        self.assertEqual(self.told("one.example.org."), ["192.168.0.1"])
        self.assertEqual(self.told("1.0.168.192.in-addr.arpa.", "PTR"), ["one.example.org."])
        self.assert_negative(read(ask(self.lan, "one.example.org.", "AAAA")), dns.rcode.NOERROR)
        self.assertEqual(read(ask(self.lan, "elsewhere.example.net.")).rcode(), dns.rcode.REFUSED)

    def test_the_internet_is_told_nothing(self) -> None:
        """Who asks there from a LAN is."""
        for name, kind in (("laptop.room.example.org.", "A"), (REVERSE, "PTR"), ("room.example.org.", "A")):
            self.assertEqual(read(ask(self.wan, name, kind)).rcode(), dns.rcode.NXDOMAIN, name)
        self.wan.inside.configure([IPv4Network("198.51.100.0/24")])
        self.assertEqual(self.told("laptop.room.example.org.", view=self.wan), [str(FOUR)])
