"""What one SYN proxy is told: in step, behind, and again; peers that answer badly, or not at all."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Settings
from realmgw.subscribers.model import Terms
from realmgw.synproxy import link as module
from realmgw.synproxy.codec import ANY_ADDRESS, Key, TcpOptions, decode
from realmgw.synproxy.link import AGAIN, FIRST_PAUSE, LONGEST_PAUSE, MOST_OUTSTANDING, PATIENCE, STEADY, Link, State
from realmgw.synproxy.table import DEFAULT, Table, is6, key_of
from realmgw.test.synproxy.peer import MemoryProxy
from realmgw.test.synproxy.test_table import FRESH, FULL, HTTP, POOL, lasting, settings

FIRST = ["flush 0.0.0.0 any any", "mod 0.0.0.0 any any"]
LASTING = ["mod 198.51.100.0 any any", "mod 198.51.100.1 any any", "mod 192.0.2.80 any any"]
OWN = Terms(tcp_mss=1380)


def address(number: int) -> bytes:
    """One of very many."""
    return ip_address(0x0A000000 + number).packed


class LinkTestCase(SynchronousTestCase):
    """A proxy, a link to it, and what is on its way between them."""

    def setUp(self) -> None:
        """They are not connected."""
        self.now = 0.0
        self.proxy = MemoryProxy()
        self.table = Table(self.configured())
        self.link = Link(self.table, "203.0.113.9:12345", now=0.0)
        self.wire = b""

    def configured(self) -> Settings:
        """What the gateway is like."""
        return settings()

    def send(self, octets: bytes) -> None:
        """On its way to the proxy."""
        self.wire += octets

    def connect(self) -> None:
        """A connection."""
        self.wire = b""
        self.proxy = MemoryProxy(self.proxy.takes6, self.proxy.table)
        self.link.connected(self.send, now=self.now)

    def work(self) -> None:
        """Have all sent that may be."""
        while self.link.work(now=self.now):
            pass

    def answers(self) -> bytes:
        """What the proxy says to all that is on its way."""
        self.work()
        wire, self.wire = self.wire, b""
        return self.proxy.receive(wire)

    def settle(self) -> list[str]:
        """Until nobody has to say anything any more; what the proxy was asked."""
        while answers := self.answers():
            self.assertEqual(self.link.received(answers, now=self.now), "")
        return self.proxy.said()

    def change(self, packed: bytes, key: int, terms: Terms | None) -> None:
        """Something is reserved, or ends."""
        self.link.change(self.table.note({(packed, key): terms}), now=self.now)

    def after(self, seconds: float) -> str:
        """Time passes."""
        self.now += seconds
        return self.link.tick(now=self.now)

    def assert_in_step(self) -> None:
        """The proxy has what it shall have."""
        self.assertIs(self.link.state, State.IN_STEP)
        wanted = {each.key: each.options for each in lasting(self.table)}
        reserved = dict.fromkeys(self.table.reserved())
        requests = [decode(request) for request, _ in self.table.requests(reserved.items())]
        wanted |= {request.key: request.options for request in requests}
        found = {key: options for key, options in self.proxy.table.items() if any(key.address)}
        self.assertEqual(found, wanted)
        self.assertEqual(
            self.link.entries, len([each for each in requests if self.link.takes6 or not is6(each.key.address)])
        )


class InStepTests(LinkTestCase):
    """A proxy that does what it is told."""

    def setUp(self) -> None:
        """In step."""
        super().setUp()
        self.connect()
        self.first = self.settle()

    def test_is_told_everything_at_first(self) -> None:
        """Flush, default, then each address of the pool and of services; then it is in step."""
        self.assertEqual(self.first, FIRST + LASTING)
        self.assertEqual(self.proxy.table[Key(ANY_ADDRESS)], DEFAULT)
        self.assert_in_step()

    def test_a_reservation_is_an_entry_as_long_as_it_stands(self) -> None:
        """With the options of its service."""
        self.change(POOL, HTTP, OWN)
        self.assertEqual(self.settle(), ["mod 198.51.100.1 tcp 80"])
        self.assertEqual(self.proxy.shown()["198.51.100.1 tcp 80"], TcpOptions(1380, True, 7))
        self.assertEqual(self.link.entries, 1)
        self.change(POOL, HTTP, None)
        self.assertEqual(self.settle(), ["del 198.51.100.1 tcp 80"])
        self.assert_in_step()

    def test_one_of_everything_goes_back_to_what_lasts(self) -> None:
        """It has the key of the address; while both are the same there is nothing to be said."""
        self.change(POOL, 0, OWN)
        self.assertEqual(self.settle(), ["mod 198.51.100.1 any any"])
        self.change(POOL, 0, None)
        self.assertEqual(self.settle(), ["mod 198.51.100.1 any any"])
        self.assertEqual(self.proxy.shown()["198.51.100.1 any any"], FULL)
        self.change(POOL, 0, Terms())
        self.assertEqual(self.settle(), [])
        self.assert_in_step()

    def test_what_was_not_sent_yet_is_sent_once(self) -> None:
        """As it is at last; what has come and gone is not mentioned."""
        for _ in range(10):
            for terms in (Terms(), None, OWN):
                self.change(POOL, HTTP, terms)
            self.change(POOL, HTTP + 1, OWN)
            self.change(POOL, HTTP + 1, None)
        self.assertEqual(self.settle(), ["mod 198.51.100.1 tcp 80"])
        self.assert_in_step()

    def test_nothing_is_sent_while_the_connection_has_enough(self) -> None:
        """It is, once it has not."""
        self.link.paused = True
        self.change(POOL, HTTP, OWN)
        self.assertEqual(self.settle(), [])
        self.link.paused = False
        self.assertEqual(len(self.settle()), 1)

    def test_what_may_be_unanswered_has_a_bound(self) -> None:
        """The rest waits, and is sent as answers come, coalesced or split."""
        for number in range(MOST_OUTSTANDING + 100):
            self.change(address(number), HTTP, Terms())
        self.work()
        self.assertEqual((self.link.outstanding, self.link.waiting), (MOST_OUTSTANDING, 100))
        for octet in self.answers():
            self.assertEqual(self.link.received(bytes((octet,)), now=0.0), "")
        self.assertEqual(len(self.settle()), MOST_OUTSTANDING + 100)
        self.assert_in_step()

    def test_what_may_wait_has_a_bound(self) -> None:
        """Beyond it, the proxy is behind, and is told everything a while later."""
        self.patch(module, "MOST_CHANGED", 50)
        self.link.paused = True
        for number in range(51):
            self.change(address(number), HTTP, Terms())
            self.change(address(number), HTTP, None)
        self.assertIs(self.link.state, State.BEHIND)
        self.assertEqual((self.link.waiting, self.link.counts.overflowed), (0, 1))
        self.assertEqual(self.link.error, "51 entries waited to be told")
        self.link.paused = False
        self.change(POOL, HTTP, OWN)
        self.assertEqual(self.settle(), [])
        self.after(FIRST_PAUSE)
        self.assertEqual(self.settle(), [*FIRST, *LASTING, "mod 198.51.100.1 tcp 80"])
        self.assert_in_step()
        self.assertEqual(self.link.error, "")

    def test_another_configuration_is_told_at_once(self) -> None:
        """Everything, since what lasts is different."""
        self.change(POOL, HTTP, Terms())
        self.settle()
        self.table.configure(settings(", mss: 1400"))
        self.link.renew(now=0.0)
        self.assertEqual(self.settle(), [*FIRST, *LASTING, "mod 198.51.100.1 tcp 80"])
        self.assert_in_step()

    def test_what_is_reserved_while_it_is_told_everything_is_told_as_well(self) -> None:
        """Whether it was told already that nothing is, or not yet."""
        for portion in range(1, 8):
            self.patch(module, "PORTION", portion)
            self.link.renew(now=0.0)
            while self.link.work(now=0.0):
                there = self.table.reserved()
                self.change(POOL, HTTP, None if (POOL, HTTP) in there else OWN)
                self.change(POOL, 0, None if (POOL, 0) in there else OWN)
            self.settle()
            self.assert_in_step()

    @given(st.data())
    def test_has_what_it_shall_have_whatever_happens(self, data: st.DataObject) -> None:
        """Reservations, answers in pieces, refusals, and connections that end, in any order."""
        self.setUp()
        for _ in range(data.draw(st.integers(0, 40))):
            event = data.draw(st.sampled_from(("begin", "end", "work", "answer", "lost", "wait", "stray")))
            place = data.draw(st.sampled_from((POOL, address(1), FRESH))), data.draw(st.sampled_from((0, HTTP, 80)))
            if event in ("begin", "end"):
                self.change(*place, None if event == "end" else data.draw(st.sampled_from((OWN, Terms()))))
            elif event == "work":
                self.link.work(now=self.now)
            elif event == "answer":
                self.link.received(self.answers(), now=self.now)
            elif event == "lost" or (event == "wait" and self.after(0.5)):
                self.link.lost("gone", now=self.now)
                self.connect()
            elif event == "stray":  # somebody else has had an entry removed
                self.proxy.table.pop(key_of(place), None)
        for _ in range(8):
            self.settle()
            self.after(LONGEST_PAUSE)
        self.link.renew(now=self.now)
        self.settle()
        self.table.note(dict.fromkeys([(FRESH, 0), (FRESH, HTTP), (FRESH, 80)]))
        self.assert_in_step()


class TroubleTests(LinkTestCase):
    """Proxies that do not."""

    def setUp(self) -> None:
        """In step."""
        super().setUp()
        self.connect()
        self.settle()

    def test_a_refusal_has_everything_told_anew(self) -> None:
        """A while later, and later each time, until it was in step for long."""
        pauses = list[float]()
        for _ in range(8):
            self.proxy.table.clear()
            self.change(POOL, HTTP, OWN)
            self.settle()
            self.proxy.table.clear()
            self.change(POOL, HTTP, None)
            self.settle()
            self.assertIs(self.link.state, State.BEHIND)
            self.assertEqual(self.link.error, "it refused del 198.51.100.1 tcp 80")
            begun = self.now
            while self.link.state is State.BEHIND:
                self.after(0.25)
            pauses.append(self.now - begun)
            self.settle()
            self.assert_in_step()
        self.assertEqual(pauses, [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE])
        self.assertEqual(self.link.counts.refused, 8)
        self.after(STEADY)
        self.link.received(self._refuse(), now=self.now)
        self.after(FIRST_PAUSE)
        self.assertIs(self.link.state, State.SYNCING)

    def _refuse(self) -> bytes:
        self.change(POOL, HTTP, OWN)
        self.work()
        return b"0\n"

    def test_several_refusals_are_one_reason(self) -> None:
        """The first one is told."""
        self.change(POOL, HTTP, OWN)
        self.change(POOL, 80, OWN)
        self.work()
        self.link.received(b"0\n0\n", now=0.0)
        self.assertEqual(self.link.error, "it refused mod 198.51.100.1 tcp 80")
        self.assertEqual((self.link.counts.refused, self.link.outstanding), (2, 0))

    def test_who_does_not_answer_is_left(self) -> None:
        """As long as something comes, it is not."""
        self.change(POOL, HTTP, OWN)
        self.change(POOL, 80, OWN)
        self.work()
        self.assertEqual(self.after(PATIENCE - 0.1), "")
        self.link.received(b"1\n", now=self.now)
        self.assertEqual(self.after(PATIENCE - 0.1), "")
        self.assertEqual(self.after(0.2), "it answers nothing: 1 requests for 5 s")
        self.assertEqual(self.link.counts.unanswered, 1)

    def test_who_is_not_asked_may_be_silent(self) -> None:
        """For however long, and then has as much time as ever."""
        self.assertEqual(self.after(1000.0), "")
        self.change(POOL, HTTP, OWN)
        self.work()
        self.assertEqual(self.after(1.0), "")

    def test_an_answer_to_nothing_is_the_end(self) -> None:
        """Nobody knows what further ones would be answers to."""
        self.assertEqual(self.link.received(b"1\n", now=0.0), "an answer that nobody asked for")
        self.assertEqual(self.link.received(b"HTTP/1.1 400 Bad Request\r\n", now=0.0), module_sentence())
        self.assertEqual(self.link.counts.malformed, 2)

    def test_who_left_requests_unread_is_told_everything_once_more(self) -> None:
        """It may read those of the connection before after it has read the new ones."""
        self.change(POOL, HTTP, OWN)
        self.work()
        old, self.wire = self.wire, b""
        self.link.lost("gone", now=0.0)
        self.assertEqual((self.link.state, self.link.error, self.link.outstanding), (State.DOWN, "gone", 0))
        self.connect()
        self.settle()
        self.assert_in_step()
        MemoryProxy(table=self.proxy.table).receive(old)
        self.after(AGAIN)
        self.assertEqual(self.settle()[0], FIRST[0])
        self.after(AGAIN)
        self.assertEqual(self.settle(), [])
        self.assert_in_step()

    def test_is_told_nothing_while_there_is_no_connection(self) -> None:
        """Then everything."""
        self.link.lost("gone", now=0.0)
        self.change(POOL, HTTP, OWN)
        self.assertEqual((self.link.work(now=0.0), self.link.waiting, self.after(100.0)), (False, 0, ""))
        self.link.lost("refused", now=0.0)
        self.assertEqual(self.link.error, "refused")
        self.connect()
        self.assertEqual(self.settle(), [*FIRST, *LASTING, "mod 198.51.100.1 tcp 80"])


class Ipv6Tests(LinkTestCase):
    """Where there is IPv6."""

    def configured(self) -> Settings:
        return settings(pool="2001:db8:1::/64", service="2001:db8::80")

    def test_is_told_of_both_families(self) -> None:
        """A prefix has no entries of its own: those of claims, and the default for the rest."""
        self.connect()
        self.assertEqual(self.settle(), [*FIRST, "mod :: any any", "mod 2001:db8::80 any any"])
        self.change(FRESH, 0, Terms())
        self.assertEqual(self.settle(), ["mod 2001:db8:1::1 any any"])
        self.change(FRESH, 0, None)
        self.assertEqual(self.settle(), ["del 2001:db8:1::1 any any"])
        self.assert_in_step()

    def test_one_that_takes_none_is_told_of_none(self) -> None:
        """It refuses the default, and that is all; with the next connection it is asked again."""
        self.proxy.takes6 = False
        self.table.note({(FRESH, 80): Terms()})
        self.connect()
        self.change(FRESH, HTTP, Terms())
        self.change(POOL, HTTP, Terms())
        self.link.work(now=0.0)
        self.settle()
        self.assertFalse(self.link.takes6)
        self.assertEqual(self.link.entries, 1)
        self.assertIn("198.51.100.1 tcp 80", self.proxy.shown())
        self.assertIs(self.link.state, State.IN_STEP)
        self.change(FRESH, HTTP, None)
        self.assertEqual(self.settle(), [])
        self.proxy.takes6 = True
        self.link.lost("gone", now=0.0)
        self.connect()
        self.settle()
        self.assertTrue(self.link.takes6)


def module_sentence() -> str:
    """What is said of what is no answer."""
    return "an answer is neither 1 nor 0 with a line feed behind it"
