"""Updates on their way: in their order, once, in time, and not too many."""

from __future__ import annotations

from typing import Any

import attrs
import dns.rcode
import dns.update
from twisted.internet.defer import Deferred

from realmgw.dns.update import updater
from realmgw.dns.update.counts import MOST, Event, Spent
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.leases.records import Transaction
from realmgw.test.dns import transports
from realmgw.test.dns.update.face import (
    NOW,
    SENDER,
    FaceTestCase,
    MemoryBook,
    Sent,
    rcode_of,
    record_of,
    signed,
    update,
)

OTHER = ("192.168.0.54", 5353)


def registering(name: str = "new", number: int = 9) -> dns.update.UpdateMessage:
    """An update that registers a host whose name was free."""
    message = update()
    message.absent(name)
    message.add(name, 300, "A", f"192.168.0.{number}")
    return message


class RaisingBook(MemoryBook):
    """A book with a fault."""

    def change(self, transaction: Transaction) -> Deferred[None]:
        """Nothing is done."""
        raise ZeroDivisionError(transaction)


class SlowTests(FaceTestCase):
    """With a book that takes its time."""

    def setUp(self) -> None:
        """Nothing ends by itself."""
        super().setUp()
        self.late: list[tuple[Transaction, Deferred[None]]] = []
        self.book.late = self.late

    def end(self, number: int = 0, why: str = "") -> None:
        """One of those under way ends."""
        transaction, waiting = self.late.pop(number)
        if why:
            waiting.errback(RealmGatewayError(why))
        else:
            self.book.finish(transaction)
            waiting.callback(None)

    def sent(self) -> list[tuple[int, str]]:
        """All answers, by ID and RCODE."""
        return [(int.from_bytes(each[:2], "big"), rcode_of(each)) for each, _ in self.port.sent]

    def start(self, message: dns.update.UpdateMessage, sender: tuple[Any, ...] = SENDER) -> Sent:
        """An update comes, that is not answered at once."""
        sent = signed(message)
        self.assertEqual(self.send(sent.octets, sender), [])
        return sent

    def test_answered_when_it_is_in_force(self) -> None:
        """Not before."""
        message = registering()
        self.start(message)
        self.end()
        self.assertEqual(self.sent(), [(message.id, "NOERROR")])
        self.assertEqual(self.updates.told()["under_way"], 0)

    def test_those_about_the_same_wait_for_each_other(self) -> None:
        """What is required is looked at when the one before has ended; all others go on."""
        first, second, third = registering(), registering(), registering("other", 10)
        for message in (first, second, third):
            self.start(message)
        self.assertEqual(len(self.late), 2)
        self.end()
        self.assertEqual(self.sent(), [(first.id, "NOERROR"), (second.id, "YXDOMAIN")])
        self.end()
        self.assertEqual(self.sent()[2], (third.id, "NOERROR"))

    def test_one_address_for_two_names_is_about_the_same(self) -> None:
        """Whoever comes first has it."""
        self.start(registering("one-name"))
        self.start(registering("another-name"))
        self.assertEqual(len(self.late), 1)
        self.end()
        self.assertEqual(len(self.late), 1)

    def test_a_thousand_that_wait_for_one(self) -> None:
        """All of them end, in the order in which they came."""
        messages = [registering() for _ in range(500)]
        for number, message in enumerate(messages):
            message.id = number
            self.start(message)
        self.end()
        self.assertEqual(self.sent(), [(number, "YXDOMAIN" if number else "NOERROR") for number in range(500)])

    def test_retransmissions_are_joined(self) -> None:
        """All who have sent it get the answer, and it is done once."""
        message = registering()
        sent = self.start(message)
        self.assertEqual(self.send(sent.octets), [])
        self.assertEqual(self.send(sent.octets, OTHER), [])
        self.assertEqual((len(self.late), self.events[Event.JOINED]), (1, 2))
        self.end()
        self.assertEqual([where for _, where in self.port.sent], [SENDER, SENDER, OTHER])
        self.assertEqual(len(self.send(sent.octets)), 1)
        self.assertEqual((len(self.book.done), self.events[Event.REPEATED]), (1, 1))

    def test_one_that_fails_changes_nothing(self) -> None:
        """And says so; what waits for it goes on."""
        first, second = registering(), registering()
        self.start(first)
        self.start(second)
        self.end(why="the disk is full")
        self.assertEqual(self.sent(), [(first.id, "SERVFAIL")])
        self.end()
        self.assertEqual(self.sent()[1], (second.id, "NOERROR"))
        self.assertEqual((self.events[Event.FAILED], self.events[Event.FAULT]), (1, 0))

    def test_records_are_counted_when_they_are_in_force(self) -> None:
        """And not if they never are."""
        self.start(registering())
        self.assertEqual(self.events[Event.RECORDS_ADDED], 0)
        self.end(why="the disk is full")
        self.assertEqual(self.events[Event.RECORDS_ADDED], 0)
        self.start(registering())
        self.end()
        removal = update()
        removal.delete("new", "A")
        self.start(removal)
        self.end()
        self.assertEqual((self.events[Event.RECORDS_ADDED], self.events[Event.RECORDS_REMOVED]), (1, 1))

    def test_one_that_comes_again_and_again_is_not_kept_each_time(self) -> None:
        """Whoever has seen it could send it from everywhere; a few are answered."""
        sent = self.start(registering())
        for number in range(2 * updater.MOST_ASKERS):
            self.assertEqual(self.send(sent.octets, (f"192.168.1.{number}", 53)), [])
        self.end()
        self.assertEqual(len(self.port.sent), updater.MOST_ASKERS)
        self.assertEqual(self.events[Event.LIMITED], updater.MOST_ASKERS + 1)

    def test_one_that_does_not_end_in_time(self) -> None:
        """Is answered nevertheless, as is what waits for it, which is not done any more."""
        first, second = registering(), registering()
        sent = self.start(first)
        self.start(second)
        self.clock.advance(updater.PATIENCE)
        self.assertEqual(self.sent(), [(first.id, "SERVFAIL"), (second.id, "SERVFAIL")])
        self.assertEqual(len(self.send(sent.octets)), 1)
        self.end()
        self.assertEqual((len(self.book.done), self.late, self.updates.told()["under_way"]), (1, [], 0))
        (answer,) = self.send(sent.octets)
        self.assertEqual(answer[3] & 0xF, 0)

    def test_too_many(self) -> None:
        """Are refused for the moment."""
        self.patch(updater, "OUTSTANDING", 2)
        self.start(registering("a1", 1))
        self.start(registering("b1", 2))
        self.assertEqual(self.ask(registering("c1", 3)), "SERVFAIL")
        self.assertEqual(self.events[Event.FULL], 1)

    def test_those_by_tcp_are_answered_each_when_it_can_be(self) -> None:
        """On one connection, in another order than they came in."""
        connected = transports.connect(self.server)
        assert connected is not None
        stream, connection = connected
        first, second = registering("a1", 1), registering("b1", 2)
        stream.dataReceived(transports.framed(signed(first).octets, signed(second).octets))
        self.assertEqual(stream.outstanding, 2)
        self.end(1)
        self.end(0)
        octets = connection.value()
        self.assertEqual(octets[2:4], second.id.to_bytes(2, "big"))
        self.assertEqual(stream.outstanding, 0)


class ReplayTests(FaceTestCase):
    """Who has seen updates sends them again."""

    def test_an_older_one_undoes_no_newer_one(self) -> None:
        """It gets the answer that it got."""
        removing = update()
        removing.delete("new")
        first, second = signed(registering()), signed(removing)
        self.assertEqual(self.ask(first), "NOERROR")
        self.assertEqual(self.ask(second), "NOERROR")
        self.assertEqual(self.ask(signed(registering(number=10))), "NOERROR")
        before = self.said()
        for sent in (first, second):
            self.assertEqual(self.ask(sent), "NOERROR")
        self.assertEqual(self.said(), before)

    def test_one_that_did_not_hold_does_not_hold_later(self) -> None:
        """It was answered, and that is its answer."""
        message = update()
        message.present("new")
        message.delete("new")
        sent = signed(message)
        self.assertEqual(self.ask(sent), "NXDOMAIN")
        self.assertEqual(self.ask(registering()), "NOERROR")
        self.assertEqual(self.ask(sent), "NXDOMAIN")
        self.assertEqual(len(self.book.there), 1)

    def test_nothing_from_before_the_start(self) -> None:
        """Though its time would do; the answer says what time it is."""
        answer = self.answer(signed(registering(), at=NOW - 1))
        self.assertEqual((answer.rcode(), int(record_of(answer).error)), (dns.rcode.NOTAUTH, 18))
        self.assertEqual((self.events[Event.REPLAYED], self.book.done), (1, []))

    def test_several_in_one_second(self) -> None:
        """Are all done."""
        for number in range(1, 9):
            self.assertEqual(self.ask(registering(f"new{number}", number)), "NOERROR")
        self.assertEqual(len(self.book.done), 8)


class BoundTests(FaceTestCase):
    """How much somebody may have, and what is wrong on our side."""

    def test_messages_of_one_sender(self) -> None:
        """Beyond what he may have in a second there is silence; others have theirs."""
        self.configure(attrs.evolve(self.rules, rate=3, unsigned=True))
        octets = [registering(f"n{number}", number).to_wire() for number in range(1, 6)]
        self.assertEqual([len(self.send(each)) for each in octets], [1, 1, 1, 0, 0])
        self.assertEqual(len(self.send(octets[3], OTHER)), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.send(octets[4])), 1)
        self.assertEqual(self.events[Event.LIMITED], 2)

    def test_updates_with_one_key(self) -> None:
        """From however many senders."""
        self.configure(attrs.evolve(self.rules, rate=3))
        answers = [
            len(self.send(signed(registering(f"n{number}", number)).octets, (f"192.168.0.{number}", 53)))
            for number in range(1, 6)
        ]
        self.assertEqual(answers, [1, 1, 1, 0, 0])
        self.assertEqual(self.events[Event.LIMITED], 2)

    def test_senders_are_counted_up_to_a_bound(self) -> None:
        """Who is one too many has to wait for the next second."""
        spent = Spent()
        self.assertTrue(all(spent.take(str(number), 1, 5.0) for number in range(MOST)))
        self.assertFalse(spent.take("one more", 1, 5.9))
        self.assertTrue(spent.take("one more", 1, 6.0))

    def test_a_fault_of_ours(self) -> None:
        """Is SERVFAIL, counted and logged; the next one is done."""
        self.updates.book = RaisingBook()
        self.assertEqual(self.ask(registering()), "SERVFAIL")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.events[Event.FAULT], 1)
        self.updates.book = self.book
        self.assertEqual(self.ask(registering()), "NOERROR")

    def test_where_nothing_can_be_registered(self) -> None:
        """SERVFAIL."""
        self.updates.book = None
        self.assertEqual(self.ask(registering()), "SERVFAIL")

    def test_one_that_asks_for_nothing(self) -> None:
        """Is done already."""
        self.assertEqual(self.ask(update()), "NOERROR")
        self.assertEqual(self.book.done, [])
