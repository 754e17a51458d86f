"""What updates ask for: RFC 2136, with dnspython as the client."""

from __future__ import annotations

import dns.flags
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.update
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.codec import names
from realmgw.dns.codec.wire import ANY_CLASS, IN, Query, Rcode, Type
from realmgw.dns.update.contents import Contents
from realmgw.dns.update.message import Entry
from realmgw.dns.update.semantics import NONE_CLASS, Asking, transaction
from realmgw.subscribers.leases.records import Record, Transaction
from realmgw.test.dns import realm
from realmgw.test.dns.update.face import DHCP, NARROW, NOW, FaceTestCase, rcode_of, read_answer, signed, update

ADDRESS, OTHER = "192.168.0.9", "192.168.0.10"
DHCID = "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="


def raw(message: dns.update.UpdateMessage, name: str, kind: int, cls: int, ttl: int = 0, data: bytes = b"") -> None:
    """Puts a record into the update section that dnspython would not make."""
    rdata = dns.rdata.GenericRdata(dns.rdataclass.RdataClass.make(cls), dns.rdatatype.RdataType.make(kind), data)
    message.update.append(dns.rrset.from_rdata(name, ttl, rdata))


class ZoneTests(FaceTestCase):
    """The zone section."""

    def test_a_zone_that_is_not_ours(self) -> None:
        """Nor one that lies in ours, or above."""
        for zone in ("example.net.", "lan.example.org.", "org."):
            message = update(zone)
            message.add(f"new.{zone}", 300, "A", ADDRESS)
            self.assertEqual(self.ask(message), "NOTAUTH")

    def test_a_zone_section_that_is_none(self) -> None:
        """Another type, and two of them."""
        wire = bytearray(update().to_wire())
        wire[-3] = 1
        self.assertEqual(self.ask_unsigned(bytes(wire)), "FORMERR")
        wire = bytearray(update().to_wire())
        wire[5] = 2
        self.assertEqual(self.ask_unsigned(bytes(wire + wire[12:])), "FORMERR")

    def ask_unsigned(self, octets: bytes) -> str:
        """The RCODE that a message gets which need not be signed."""
        self.configure(settings.UpdateView(unsigned=True))
        (answer,) = self.send(octets)
        return rcode_of(answer)

    def test_another_class(self) -> None:
        """CHAOS is nobody's."""
        message = dns.update.UpdateMessage("example.org.", rdclass=dns.rdataclass.CH)
        self.assertEqual(self.ask(message), "NOTAUTH")

    def test_a_zone_of_aliases(self) -> None:
        """Whose names the gateway makes."""
        message = update("a.example.org.")
        message.add("new", 300, "A", ADDRESS)
        self.assertEqual(self.ask(message), "REFUSED")

    def test_a_name_in_another_zone(self) -> None:
        """Be it one of ours."""
        for name in ("new.example.net.", "new.child.example.org.", "9.0.168.192.in-addr.arpa."):
            message = update()
            message.add(name, 300, "A", ADDRESS)
            self.assertEqual(self.ask(message), "NOTZONE")
        message = update()
        message.absent("new.example.net.")
        self.assertEqual(self.ask(message), "NOTZONE")


class FormTests(FaceTestCase):
    """How messages and answers look."""

    def test_another_version_of_edns(self) -> None:
        """BADVERS, and nothing is done (RFC 6891 section 6.1.3)."""
        message = update()
        message.add("new", 300, "A", "192.168.0.9")
        message.use_edns(1)
        self.assertEqual((self.ask(message), self.said()), ("BADVERS", []))
        self.assertEqual(self.updates.counts.answers[Rcode.BADVERS], 1)

    def test_answers_are_as_long_as_the_sender_takes(self) -> None:
        """Else without the reason, and nothing is missing that it counts on."""
        for size, has_reason in ((512, False), (1232, True)):
            message = update()
            message.add(dns.name.Name((b"\1" * 60, b"\1" * 60)), 300, "MX", "0 a.example.net.")
            message.use_edns(0, payload=size)
            (octets,) = self.send(signed(message).octets)
            self.assertLessEqual(len(octets), size)
            answer = read_answer(octets, signed(message), NOW)
            self.assertEqual((dns.rcode.to_text(answer.rcode()), bool(answer.options)), ("REFUSED", has_reason))
            self.assertFalse(answer.flags & dns.flags.TC)
            self.wall += 1


class PrerequisiteTests(FaceTestCase):
    """All five forms, of names that were registered, and of others."""

    def setUp(self) -> None:
        """One host with two records is registered."""
        super().setUp()
        message = update()
        message.add("here", 300, "A", ADDRESS)
        message.add("here", 300, "A", OTHER)
        message.add("here", 300, "DHCID", DHCID)
        self.assertEqual(self.ask(message), "NOERROR")

    def test_a_name_is_in_use(self) -> None:
        """Registered, a subscriber's, the zone's own; not a name that only stands above others."""
        for name, said in (
            ("here", "NOERROR"), ("HERE", "NOERROR"), ("one", "NOERROR"), ("www.two", "NOERROR"), ("@", "NOERROR"),
            ("ns1", "NOERROR"), ("nobody", "NXDOMAIN"), ("empty.nodes", "NXDOMAIN"),
        ):  # fmt: skip
            message = update()
            message.present(name)
            self.assertEqual((name, self.ask(message)), (name, said))

    def test_a_name_is_not_in_use(self) -> None:
        """The opposite."""
        for name, said in (
            ("here", "YXDOMAIN"), ("one", "YXDOMAIN"), ("@", "YXDOMAIN"), ("nobody", "NOERROR"),
            ("empty.nodes", "NOERROR"),
        ):  # fmt: skip
            message = update()
            message.absent(name)
            self.assertEqual((name, self.ask(message)), (name, said))

    def test_there_are_records_of_a_type(self) -> None:
        """Whatever they say."""
        for name, kind, said in (
            ("here", "A", "NOERROR"), ("here", "AAAA", "NXRRSET"), ("one", "A", "NOERROR"), ("six", "AAAA", "NOERROR"),
            ("@", "SOA", "NOERROR"), ("nobody", "A", "NXRRSET"),
        ):  # fmt: skip
            message = update()
            message.present(name, kind)
            self.assertEqual((name, kind, self.ask(message)), (name, kind, said))

    def test_there_are_no_records_of_a_type(self) -> None:
        """The opposite."""
        for name, kind, said in (
            ("here", "A", "YXRRSET"), ("here", "DHCID", "YXRRSET"), ("here", "AAAA", "NOERROR"),
            ("one", "A", "YXRRSET"), ("nobody", "A", "NOERROR"),
        ):  # fmt: skip
            message = update()
            message.absent(name, kind)
            self.assertEqual((name, kind, self.ask(message)), (name, kind, said))

    def test_there_are_just_these_records(self) -> None:
        """Not fewer or others; TTLs do not matter, nor the case of names."""
        for name, kind, values, said in (
            ("here", "A", (ADDRESS, OTHER), "NOERROR"), ("here", "A", (ADDRESS,), "NXRRSET"),
            ("here", "A", (ADDRESS, OTHER, "192.168.0.11"), "NXRRSET"), ("here", "DHCID", (DHCID,), "NOERROR"),
            ("one", "A", ("192.168.0.1",), "NOERROR"), ("@", "NS", ("NS1.example.ORG.",), "NOERROR"),
            ("nobody", "A", (ADDRESS,), "NXRRSET"),
        ):  # fmt: skip
            message = update()
            for value in values:
                message.present(name, kind, value)
            self.assertEqual((name, values, self.ask(message)), (name, values, said))

    def test_reverse_names_of_subscribers(self) -> None:
        """With the host's name, whatever its address came by."""
        message = update("168.192.in-addr.arpa.")
        message.present("1.0", "PTR", "one.example.org.")
        self.assertEqual(self.ask(message), "NOERROR")

    def test_nothing_is_done_when_one_does_not_hold(self) -> None:
        """Though others do."""
        before = self.said()
        message = update()
        message.present("here")
        message.absent("one")
        message.delete("here")
        self.assertEqual(self.ask(message), "YXDOMAIN")
        self.assertEqual(self.said(), before)

    def test_prerequisites_that_are_none(self) -> None:
        """With a TTL, with data where none may be, of a type that no record has, of another class."""
        for cls, kind, ttl, data in (
            (255, 1, 5, b""), (254, 1, 5, b""), (1, 1, 5, bytes(4)), (255, 1, 0, bytes(4)), (254, 1, 0, bytes(4)),
            (1, 255, 0, b""), (3, 1, 0, bytes(4)), (255, 252, 0, b""), (254, 251, 0, b""),
        ):  # fmt: skip
            message = update()
            raw(message, "here.example.org.", kind, cls, ttl, data)
            message.sections[1], message.sections[2] = message.sections[2], message.sections[1]
            self.assertEqual(((cls, kind, ttl, data), self.ask(message)), ((cls, kind, ttl, data), "FORMERR"))


class ChangeTests(FaceTestCase):
    """What is registered."""

    def test_all_that_may_be_registered(self) -> None:
        """In the zones that it belongs in."""
        message = update()
        for kind, value in (("A", ADDRESS), ("AAAA", "fd00::9"), ("DHCID", DHCID), ("TXT", '"31abcdef"')):
            message.add("New", 300, kind, value)
        self.assertEqual(self.ask(message), "NOERROR")
        (done,) = self.book.done
        self.assertEqual({each.name for each in done.added}, {"new.example.org."})
        self.assertEqual([each.type for each in done.added], [1, 28, 49, 16])
        self.assertEqual(done.key, "dhcp.example.org.")
        message = update("168.192.in-addr.arpa.")
        message.add("9.0", 300, "PTR", "New.Example.org.")
        message.add("9.0", 300, "DHCID", DHCID)
        self.assertEqual(self.ask(message), "NOERROR")
        self.assertEqual(self.book.done[-1].added[0].data, names.to_wire("new.example.org."))

    def test_what_is_registered_again_is_refreshed(self) -> None:
        """With its new TTL, and nothing goes."""
        for ttl in (300, 600):
            message = update()
            message.add("new", ttl, "A", ADDRESS)
            self.assertEqual(self.ask(message), "NOERROR")
        again = Record("new.example.org.", 1, 600, bytes((192, 168, 0, 9)))
        self.assertEqual(self.book.done[1], Transaction("dhcp.example.org.", (), (again,)))

    def test_all_ways_to_take_away(self) -> None:
        """One record, all of a type, all of a name, and a TTL of 0."""
        there = [("A", ADDRESS), ("A", OTHER), ("AAAA", "fd00::9"), ("DHCID", DHCID)]
        for how, left in (
            (lambda each: each.delete("new", "A", ADDRESS), 3), (lambda each: each.delete("new", "A"), 2),
            (lambda each: each.delete("new"), 0), (lambda each: each.add("new", 0, "A", ADDRESS), 3),
            (lambda each: each.delete("new", "A", "192.168.0.77"), 4), (lambda each: each.delete("other"), 4),
        ):  # fmt: skip
            self.book.there = []
            message = update()
            for kind, value in there:
                message.add("new", 300, kind, value)
            self.assertEqual(self.ask(message), "NOERROR")
            message = update()
            how(message)
            self.assertEqual(self.ask(message), "NOERROR")
            self.assertEqual(len(self.book.there), left)

    def test_one_after_the_other(self) -> None:
        """What is taken away and put back was not away; what is put there and taken away was never there."""
        message = update()
        message.add("new", 300, "A", ADDRESS)
        self.ask(message)
        message = update()
        message.delete("new", "A")
        message.add("new", 300, "A", ADDRESS)
        message.add("late", 300, "A", OTHER)
        message.delete("late", "A", OTHER)
        self.assertEqual(self.ask(message), "NOERROR")
        self.assertEqual(self.book.done[-1].removed, ())
        self.assertEqual([each.name for each in self.book.done[-1].added], ["new.example.org."])

    def test_updates_that_are_none(self) -> None:
        """Deletes with TTL or data, types that no record has, data that is none of its type, other classes."""
        for cls, kind, ttl, data in (
            (255, 1, 5, b""), (255, 1, 0, bytes(4)), (255, 252, 0, b""), (254, 1, 5, bytes(4)), (254, 255, 0, b""),
            (1, 255, 5, b""), (1, 252, 5, b""), (1, 1, 5, bytes(3)), (1, 1, 5, b""), (1, 28, 5, bytes(4)),
            (1, 16, 5, b"\5a"), (1, 16, 5, b""), (1, 49, 5, b"\0"), (1, 12, 5, b""), (3, 1, 5, bytes(4)),
            (1, 1, 2**31, bytes(4)), (1, 249, 5, bytes(4)),
        ):  # fmt: skip
            message = update()
            raw(message, "new.example.org.", kind, cls, ttl, data)
            self.assertEqual(((cls, kind, ttl, data), self.ask(message)), ((cls, kind, ttl, data), "FORMERR"))
        self.assertEqual(self.book.done, [])

    def test_what_may_not_be_changed(self) -> None:
        """The apex, the zone's own names, subscribers, types that are not registered, names that no host has."""
        for name, kind, value in (
            ("@", "A", ADDRESS), ("@", "SOA", ". . 2 1 1 1 1"), ("@", "NS", "new"), ("ns1", "A", ADDRESS),
            ("one", "A", ADDRESS), ("one", "TXT", "x"), ("www.two", "A", ADDRESS), ("new", "NS", "ns.example.net."),
            ("new", "CNAME", "one"), ("new", "MX", "1 one"), ("new", "PTR", "one"), ("*", "A", ADDRESS),
            ("a b".replace(" ", "\\032"), "A", ADDRESS), ("new", "TYPE65400", r"\# 1 00"),
        ):  # fmt: skip
            message = update()
            message.add(name, 300, kind, value)
            message.add("other", 300, "A", OTHER)
            self.assertEqual((name, kind, self.ask(message)), (name, kind, "REFUSED"))
        for name in ("@", "one", "ns1"):
            message = update()
            message.delete(name)
            self.assertEqual(self.ask(message), "REFUSED")
        message = update("168.192.in-addr.arpa.")
        message.add("9.0", 300, "A", ADDRESS)
        self.assertEqual(self.ask(message), "REFUSED")
        self.assertEqual(self.book.done, [])

    def test_a_host_that_is_leaving(self) -> None:
        """There is nothing at its name and address: Kea's renewal, which has removed it, registers it again."""
        for leaving, said in ((set[str](), "YXDOMAIN"), ({"one.example.org."}, "NOERROR")):
            self.book.leaving = leaving
            message = update()
            message.absent("one")
            message.add("one", 300, "A", ADDRESS)
            self.assertEqual(self.ask(message), said)

    def test_what_the_book_refuses(self) -> None:
        """Is refused, with its reason for who has EDNS."""
        self.book.refused = "192.168.0.9 is a subscriber's"
        message = update()
        message.use_edns(0)
        message.add("new", 300, "A", ADDRESS)
        answer = self.answer(message)
        self.assertEqual(dns.rcode.to_text(answer.rcode()), "REFUSED")
        self.assertEqual(answer.options[0].text, "192.168.0.9 is a subscriber's")


class KeyTests(FaceTestCase):
    """What a key is good for."""

    def check(self, zone: str, name: str, kind: str, value: str) -> str:
        """What becomes of a registration by the key with limits."""
        message = update(zone)
        message.add(name, 300, kind, value)
        return self.ask(signed(message, NARROW))

    def test_its_names_types_and_addresses(self) -> None:
        """All of them must be, of reverse names as well."""
        zone, back = "example.org.", "168.192.in-addr.arpa."
        for where, name, kind, value, said in (
            (zone, "new.lan", "A", "192.168.1.9", "NOERROR"), (zone, "lan", "A", "192.168.1.8", "NOERROR"),
            (zone, "new", "A", "192.168.1.9", "REFUSED"), (zone, "newlan", "A", "192.168.1.9", "REFUSED"),
            (zone, "new.lan", "A", "192.168.2.9", "REFUSED"), (zone, "new.lan", "AAAA", "fd00::9", "REFUSED"),
            (zone, "new.lan", "TXT", "x", "REFUSED"), (back, "9.1", "PTR", "new.lan.example.org.", "NOERROR"),
            (back, "9.1", "PTR", "new.example.org.", "REFUSED"), (back, "9.2", "PTR", "x.lan.example.org.", "REFUSED"),
            (back, "1", "PTR", "new.lan.example.org.", "REFUSED"),
        ):  # fmt: skip
            self.assertEqual((name, kind, value, self.check(where, name, kind, value)), (name, kind, value, said))

    def test_it_takes_nothing_away_that_it_could_not_register(self) -> None:
        """Of a name that it may change: a type, an address."""
        message = update()
        message.add("a.lan", 300, "AAAA", "fd00::9")
        message.add("b.lan", 300, "A", "192.168.2.9")
        self.assertEqual(self.ask(message), "NOERROR")
        for name, kind in (("a.lan", "ANY"), ("b.lan", "ANY"), ("b.lan", "A")):
            message = update()
            message.delete(name, kind)
            self.assertEqual(self.ask(signed(message, NARROW)), "REFUSED")
        self.assertEqual(len(self.book.there), 2)


_OWNERS = ("a.example.org.", "b.example.org.")
_VALUES = ((1, bytes((192, 168, 0, 9))), (1, bytes((192, 168, 0, 10))), (16, b"\1x"))
_steps = st.lists(
    st.tuples(st.sampled_from(_OWNERS), st.sampled_from(_VALUES), st.sampled_from(("add", "one", "type", "all")))
)


class ModelTests(SynchronousTestCase):
    """Any updates in any order come to what a plain model says."""

    @given(_steps, _steps)
    def test_same_as_the_model(
        self, before: list[tuple[str, tuple[int, bytes], str]], steps: list[tuple[str, tuple[int, bytes], str]]
    ) -> None:
        """A set of records, changed step by step."""
        there = {(owner, *value) for owner, value, _ in before}
        book = [Record(owner, kind, 60, data) for owner, kind, data in sorted(there)]
        contents = Contents(
            realm.table(), lambda name: tuple(each for each in book if each.name == name), lambda _: False
        )
        entries = []
        for owner, (kind, data), what in steps:
            wire = names.to_wire(owner)
            entries.append({
                "add": Entry(wire, kind, IN, 300, data),
                "one": Entry(wire, kind, NONE_CLASS, 0, data),
                "type": Entry(wire, kind, ANY_CLASS, 0, b""),
                "all": Entry(wire, Type.ANY, ANY_CLASS, 0, b""),
            }[what])  # fmt: skip
            gone = {"add": set(), "one": {(owner, kind, data)}}.get(what)
            if gone is None:
                gone = {each for each in there if each[0] == owner and (what == "all" or each[1] == kind)}
            there = (there - gone) | ({(owner, kind, data)} if what == "add" else set())
        asking = Asking(Query(b"12", 0x2800, name=names.to_wire("example.org.")), (), tuple(entries), DHCP)
        found = transaction(asking, contents)
        left = {(each.name, each.type, each.data) for each in book} - {
            (each.name, each.type, each.data) for each in found.removed
        }
        self.assertEqual(left | {(each.name, each.type, each.data) for each in found.added}, there)
