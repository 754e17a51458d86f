"""Signatures: who is believed, and what the others are told, by UDP and by TCP."""

from __future__ import annotations

import attrs
import dns.message
import dns.rcode
import dns.update

from realmgw.config.updates import Algorithm, Grant, UpdateKey
from realmgw.dns.update.counts import Event
from realmgw.test.dns import transports
from realmgw.test.dns.transports import framed
from realmgw.test.dns.update.face import (
    DHCP,
    KEYS,
    NOW,
    SECRET,
    FaceTestCase,
    Sent,
    read_answer,
    record_of,
    signed,
    update,
)

ADDRESS = "192.168.0.9"


def registering(name: str = "new") -> dns.update.UpdateMessage:
    """An update that registers a host."""
    message = update()
    message.add(name, 300, "A", ADDRESS)
    return message


class TsigTests(FaceTestCase):
    """One sender, and whatever he may sign with."""

    def error(self, sent: Sent) -> tuple[str, int, bool]:
        """RCODE, TSIG error, and whether the answer is signed."""
        answer = self.answer(sent)
        record = record_of(answer)
        return dns.rcode.to_text(answer.rcode()), int(record.error), bool(record.mac)

    def test_every_algorithm(self) -> None:
        """Is believed with its own key, and answered so that dnspython believes it."""
        for number, algorithm in enumerate(Algorithm):
            key = UpdateKey("each.example.org.", Grant(SECRET, algorithm))
            self.configure(self.rules, (key,))
            answer = self.answer(signed(registering(f"new{number}"), key))
            self.assertEqual((answer.rcode(), len(record_of(answer).mac) > 19), (0, True))

    def test_a_key_that_there_is_not(self) -> None:
        """By its name, or by its algorithm; the answer is not signed."""
        for key in (attrs.evolve(DHCP, name="other."), attrs.evolve(DHCP, grant=Grant(SECRET, Algorithm.SHA512))):
            self.assertEqual(self.error(signed(registering(), key)), ("NOTAUTH", 17, False))
        self.assertEqual(self.events[Event.BAD_KEY], 2)

    def test_a_signature_that_is_not_right(self) -> None:
        """Of another secret, and of another message: each single octet is signed."""
        forged = attrs.evolve(DHCP, grant=Grant(bytes(32)))
        self.assertEqual(self.error(signed(registering(), forged)), ("NOTAUTH", 16, False))
        sent = signed(registering())
        end = len(registering().to_wire())
        for at in range(12, end):
            octets = bytearray(sent.octets)
            octets[at] ^= 1
            (answer,) = self.send(bytes(octets))
            self.assertIn(answer[3] & 0xF, (1, 9))
        self.assertEqual(self.book.done, [])

    def test_the_case_of_names_does_not_matter(self) -> None:
        """Of the key's, for example."""
        self.assertEqual(self.ask(signed(registering(), name="dhcp.example.org.".upper())), "NOERROR")

    def test_another_time(self) -> None:
        """The answer is signed, and says what time it is; five minutes are no other time."""
        for at in (NOW - 301, NOW + 301):
            answer = self.answer(signed(registering(), at=at))
            record = record_of(answer)
            self.assertEqual((answer.rcode(), int(record.error), record.time_signed), (dns.rcode.NOTAUTH, 18, at))
            self.assertEqual(int.from_bytes(record.other, "big"), NOW)
            self.assertTrue(record.mac)
        self.assertEqual(self.events[Event.BAD_TIME], 2)
        self.assertEqual(self.ask(signed(registering(), at=NOW + 300)), "NOERROR")
        self.assertEqual(self.error(signed(registering(), at=NOW - 9, fudge=8)), ("NOTAUTH", 18, True))
        self.assertEqual(self.error(signed(registering(), at=NOW - 301, fudge=3600)), ("NOTAUTH", 18, True))

    def test_a_part_of_a_signature(self) -> None:
        """Half of it does; less, or more than there is, is FORMERR."""
        self.assertEqual(self.ask(signed(registering("a1"), size=16)), "NOERROR")
        self.assertEqual(self.ask(signed(registering("b"), size=20)), "NOERROR")
        for size in (0, 1, 9, 15):
            self.assertEqual(self.ask(signed(registering("c"), size=size)), "FORMERR")
        self.assertEqual({each.name for each in self.book.there}, {"a1.example.org.", "b.example.org."})

    def test_a_part_of_a_signature_is_no_other_update(self) -> None:
        """Whoever has seen one can cut it; it is the same one."""
        message = registering()
        self.assertEqual(self.ask(signed(message)), "NOERROR")
        self.assertEqual(self.ask(signed(message, size=16)), "NOERROR")
        self.assertEqual((len(self.book.done), self.events[Event.REPEATED]), (1, 1))

    def test_updates_without_a_signature(self) -> None:
        """Are refused, by whatever they come, unless it is allowed."""
        plain = Sent(registering().to_wire())
        self.assertEqual(self.ask(plain), "REFUSED")
        self.assertEqual(self.by_tcp(plain), "REFUSED")
        self.assertEqual((self.events[Event.UNSIGNED], self.book.done), (2, []))
        self.configure(attrs.evolve(self.rules, unsigned=True))
        self.assertEqual(self.ask(plain), "NOERROR")
        self.assertEqual(self.book.done[0].key, "")

    def test_tcp_is_the_same(self) -> None:
        """Each kind of fault."""
        self.assertEqual(self.by_tcp(signed(registering())), "NOERROR")
        for sent in (
            signed(registering(), attrs.evolve(DHCP, name="other.")),
            signed(registering(), attrs.evolve(DHCP, grant=Grant(bytes(32)))),
            signed(registering(), at=NOW - 999),
        ):
            self.assertEqual(self.by_tcp(sent), "NOTAUTH")

    def by_tcp(self, sent: Sent) -> str:
        """The RCODE that a message gets by TCP."""
        connected = transports.connect(self.server)
        assert connected is not None
        stream, connection = connected
        stream.dataReceived(framed(sent.octets))
        octets = connection.value()
        self.assertEqual(int.from_bytes(octets[:2], "big"), len(octets) - 2)
        return dns.rcode.to_text(read_answer(octets[2:], sent, NOW).rcode())

    def test_keys_that_are_taken_away(self) -> None:
        """Are there no more, from the next message on."""
        self.configure(self.rules, KEYS[1:])
        self.assertEqual(self.error(signed(registering())), ("NOTAUTH", 17, False))

    def test_queries(self) -> None:
        """SOA is answered, with a signature where the query had one; all else is refused."""
        query = dns.message.make_query("new.example.org.", "SOA")
        answer = self.answer(Sent(query.to_wire()))
        self.assertEqual((answer.rcode(), answer.authority[0].name.to_text()), (3, "example.org."))
        answer = self.answer(signed(dns.message.make_query("example.org.", "SOA")))
        self.assertEqual((answer.rcode(), answer.answer[0].name.to_text()), (0, "example.org."))
        self.assertTrue(record_of(answer).mac)
        for message in (
            dns.message.make_query("one.example.org.", "A"),
            dns.message.make_query("example.org.", "AXFR"),
        ):
            self.assertEqual(self.ask(Sent(message.to_wire())), "REFUSED")
        forged = attrs.evolve(DHCP, grant=Grant(bytes(32)))
        self.assertEqual(self.error(signed(query, forged)), ("NOTAUTH", 16, False))

    def test_what_is_neither(self) -> None:
        """Other opcodes are NOTIMP; responses get nothing."""
        message = bytearray(registering().to_wire())
        message[2] = 4 << 3
        self.assertEqual(self.ask(Sent(bytes(message))), "NOTIMP")
        message[2] = 0xA8
        self.assertEqual(self.send(bytes(message)), [])
        self.assertEqual(self.events[Event.UNREADABLE], 1)
