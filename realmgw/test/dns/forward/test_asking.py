"""Tests for `realmgw.dns.forward.asking`."""

from __future__ import annotations

import gc
import weakref

import attrs
import dns.edns
import dns.flags
import dns.message
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.addresses import resolver
from realmgw.config.settings import Resolver
from realmgw.dns.codec.names import to_wire
from realmgw.dns.forward.answers import Reply
from realmgw.dns.forward.asking import MOST_WRONG, PADDED, STREAM_TIME, Asking, Question
from realmgw.dns.forward.events import Event
from realmgw.test.dns.forward.resolvers import ONE, RECORD, TWO, Elsewhere, MemoryTransport, Sent

TLS = resolver("203.0.113.54#dns.example.net")
QUESTION = Question(to_wire("www.example.net.") + b"\0\1\0\1", True, True)
SCHEDULE = (0.25, 0.25, 0.25)


class AskingTestCase(SynchronousTestCase):
    """A question, and two resolvers."""

    def begin(self, *resolvers: Resolver, question: Question = QUESTION) -> None:
        """Asks them."""
        self.elsewhere = Elsewhere(*(resolvers or (ONE, TWO)))
        self.said: list[tuple[Reply | None, str]] = []
        done = lambda reply, why: self.said.append((reply, why))  # noqa: E731 - shorter
        Asking(question, SCHEDULE, self.elsewhere.means, done).begin()

    @property
    def sent(self) -> list[Sent]:
        """All that was sent."""
        return self.elsewhere.transport.sent

    def wait(self, *seconds: float) -> None:
        """Time goes by."""
        self.elsewhere.clock.pump(seconds)

    def assert_answered(self) -> None:
        """There was one answer, and nothing is waited for any more."""
        [(reply, _)] = self.said
        assert reply is not None
        self.assertEqual([len(record.rdata) for record in reply.answers], [4])
        self.assertTrue(all(each.cancelled for each in self.sent))
        self.assertEqual(self.elsewhere.clock.getDelayedCalls(), [])

    def assert_failed(self, why: str) -> None:
        """There was none, for that reason."""
        [(reply, said)] = self.said
        self.assertIsNone(reply)
        self.assertIn(why, said)
        self.assertEqual(self.elsewhere.clock.getDelayedCalls(), [])


class QueryTests(AskingTestCase):
    """What is sent."""

    def test_says_what_the_asker_said(self) -> None:
        """DO and CD; AD, so that the answer has it; a cookie of ours."""
        self.begin()
        query = self.sent[0].query
        self.assertEqual(query.flags, dns.flags.RD | dns.flags.AD | dns.flags.CD)
        self.assertEqual((query.edns, query.ednsflags & dns.flags.DO, query.payload), (0, dns.flags.DO, 1232))
        self.assertEqual([option.otype for option in query.options], [dns.edns.OptionType.COOKIE])

    def test_each_query_is_another(self) -> None:
        """By ID and by the case of its letters."""
        self.begin()
        self.wait(0.25, 0.25)
        ids, names = {each.message[:2] for each in self.sent}, {each.message[12:29] for each in self.sent}
        self.assertEqual((len(ids), len(names), len({name.lower() for name in names})), (3, 3, 1))

    def test_every_letter_is_by_chance_and_nothing_else(self) -> None:
        """Lengths, digits and other octets stay; in a hundred queries each letter is seen in both cases."""
        name = to_wire("aAz-9_" + "x" * 57 + r".\064\091\123\096\200.com.")
        question, seen = Question(name + b"\0\1\0\1", True, True), [set[int]() for _ in name]
        self.begin()
        for _ in range(100):
            Asking(question, SCHEDULE, self.elsewhere.means, lambda _reply, _why: None).begin()
            for octets, octet in zip(seen, self.sent[-1].message[12 : 12 + len(name)], strict=True):
                octets.add(octet)
        for octets, octet in zip(seen, name, strict=True):
            is_letter = ord("a") <= octet <= ord("z")
            self.assertEqual(octets, {octet, octet - 0x20} if is_letter else {octet})

    def test_resolvers_have_cookies_of_their_own(self) -> None:
        """And what a server said is told it the next time."""
        self.begin(ONE)
        [option] = self.sent[0].query.options
        cookie = option.to_wire()[:8] + b"serverside"
        answer = dns.message.from_wire(self.sent[0].answer(*RECORD))
        answer.use_edns(0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie)])
        self.sent[0].heard(answer.to_wire())
        self.assert_answered()
        Asking(QUESTION, SCHEDULE, self.elsewhere.means, lambda _reply, _why: None).begin()
        self.assertEqual(self.sent[-1].query.options[0].to_wire(), cookie)
        self.sent[-1].say(*RECORD)
        self.assertEqual(self.elsewhere.events[Event.WRONG], 1, "who knows cookies and shows none is somebody else")

    def test_what_one_question_says_no_other_one_does(self) -> None:
        """Of the OPT record that is the same of most questions; a cookie that a resolver gave meanwhile is in it."""
        subnet = dns.edns.ECSOption("198.51.100.0", 24)
        self.begin(ONE)
        [upstream] = self.elsewhere.means.upstreams.all
        also = attrs.evolve(QUESTION, options=((int(subnet.otype), bytes(subnet.to_wire() or b"")),))
        other = attrs.evolve(QUESTION, do=not QUESTION.do)
        for server in (b"serverside", b"otherside!"):
            upstream.learn(upstream.client_cookie + server)
            for question in (also, QUESTION, other, also, other, QUESTION):
                Asking(question, SCHEDULE, self.elsewhere.means, lambda _reply, _why: None).begin()
                query = self.sent[-1].query
                self.assertEqual([*query.options[:-1]], [subnet] if question is also else [])
                self.assertEqual(query.options[-1].to_wire(), upstream.client_cookie + server)
                self.assertEqual(bool(query.ednsflags & dns.flags.DO), question.do)

    def test_a_resolver_that_knows_cookies_no_more(self) -> None:
        """By TCP, where nobody can forge that, it is found out; from then on it is believed by UDP again."""
        self.begin(ONE)
        [upstream] = self.elsewhere.means.upstreams.all
        upstream.learn(upstream.client_cookie + b"serverside")
        self.sent[0].say(*RECORD)
        self.assertEqual(self.said, [])
        self.wait(0.25)
        self.assertEqual(self.sent[1].query.options[0].to_wire(), upstream.cookie)
        self.sent[1].say(*RECORD)
        self.assert_answered()
        Asking(QUESTION, SCHEDULE, self.elsewhere.means, lambda reply, why: self.said.append((reply, why))).begin()
        self.sent[2].say(*RECORD)
        self.assertEqual(([each.by_stream for each in self.sent], len(self.said)), ([False, True, False], 2))

    def test_by_tls_it_is_padded(self) -> None:
        """RFC 8467; there is no cookie in it."""
        self.begin(TLS)
        self.assertTrue(self.sent[0].by_stream)
        self.assertEqual(len(self.sent[0].message) % PADDED, 0)
        self.assertEqual([option.otype for option in self.sent[0].query.options], [dns.edns.OptionType.PADDING])


class AnswerTests(AskingTestCase):
    """What is done with what comes."""

    def test_the_first_answer_counts(self) -> None:
        """And nothing after it."""
        self.begin()
        self.sent[0].say(*RECORD)
        self.sent[0].say(*RECORD)
        self.assert_answered()

    def test_a_late_one_as_well(self) -> None:
        """While another resolver has its time."""
        self.begin()
        self.wait(0.25)
        self.assertEqual([each.resolver for each in self.sent], [ONE, TWO])
        self.sent[0].say(*RECORD)
        self.assert_answered()

    def test_what_is_no_answer_is_waited_on(self) -> None:
        """Another ID, another name, letters of another case; then the resolver is asked by TCP."""
        self.begin(ONE)
        right = self.sent[0].answer(*RECORD)
        swapped = right[:12] + right[12:29].swapcase() + right[29:]
        for wrong in (bytes((right[0] ^ 1,)) + right[1:], swapped, right[:12] + b"\0" + right[13:], b"", right[:20]):
            self.sent[0].heard(wrong)
        self.assertEqual((self.said, self.elsewhere.events[Event.WRONG]), ([], 5))
        self.wait(0.25)
        self.assertEqual([each.by_stream for each in self.sent], [False, True])
        self.sent[0].heard(right)
        self.assert_answered()

    def test_a_resolver_that_changes_letters_is_believed_by_tcp(self) -> None:
        """Some answer in lower case."""
        self.begin(ONE)
        for number in range(2):
            right = self.sent[number].answer(*RECORD)
            self.sent[number].heard(right[:12] + right[12:29].lower() + right[29:])
            self.wait(0.25 * (not number))
        self.assertEqual([each.by_stream for each in self.sent], [False, True])
        self.assert_answered()

    def test_a_flood_of_them_sends_us_to_tcp(self) -> None:
        """At once; whatever comes by UDP then is nothing."""
        self.begin(ONE)
        for number in range(MOST_WRONG):
            self.sent[0].heard(number.to_bytes(2, "big"))
        self.assertEqual((self.sent[0].cancelled, self.sent[1].by_stream), (True, True))
        self.sent[0].say(*RECORD)
        self.assertEqual(self.said, [])
        self.sent[1].say(*RECORD)
        self.assert_answered()

    def test_tc_leads_to_tcp(self) -> None:
        """Whatever stands in that answer."""
        self.begin(ONE)
        self.sent[0].say(*RECORD, flags=dns.flags.TC)
        self.assertTrue(self.sent[1].by_stream)
        self.wait(0.25, 0.25, 0.25)
        self.assertEqual((len(self.sent), self.said), (2, []))
        self.sent[1].say(*RECORD)
        self.assert_answered()

    def test_tc_leads_to_tcp_wherever_the_answer_was_cut(self) -> None:
        """Records that are counted and not there, in the middle of one, or octets after the last one."""
        for cut in (-16, -5, -1):
            self.begin(ONE)
            octets = self.sent[0].answer(*RECORD, flags=dns.flags.TC)
            self.sent[0].heard(octets[:cut])
            self.assertTrue(self.sent[1].by_stream)
        self.begin(ONE)
        self.sent[0].heard(self.sent[0].answer(*RECORD, flags=dns.flags.TC) + b"\0")
        self.assertTrue(self.sent[1].by_stream)
        self.assertEqual(self.elsewhere.events[Event.MALFORMED], 0)

    def test_tc_by_tcp_is_no_answer(self) -> None:
        """Somebody else is asked."""
        self.begin(ONE, TWO)
        self.sent[0].say(flags=dns.flags.TC)
        self.sent[1].say(flags=dns.flags.TC)
        self.assertEqual(self.sent[2].resolver, TWO)

    def test_who_knows_no_edns_is_asked_without(self) -> None:
        """Once, and at once."""
        self.begin(ONE)
        self.sent[0].say(rcode="FORMERR")
        self.assertEqual(self.sent[1].query.edns, -1)
        self.sent[1].say(*RECORD)
        self.assert_answered()

    def test_a_bare_header_says_the_same_by_tcp_only(self) -> None:
        """By UDP anybody might send it who has found the ID; by TCP it is believed once, and nothing but FORMERR."""
        formerr, refused = b"\x81\x81" + bytes(8), b"\x81\x85" + bytes(8)
        self.begin(ONE)
        self.sent[0].heard(self.sent[0].message[:2] + formerr)
        self.assertEqual(self.elsewhere.events[Event.WRONG], 1)
        self.wait(0.25)
        self.assertTrue(self.sent[1].by_stream)
        self.sent[1].heard(self.sent[1].message[:2] + formerr)
        self.assertEqual((self.sent[2].by_stream, self.sent[2].query.edns), (True, -1))
        self.sent[2].say(*RECORD)
        self.assert_answered()
        for said in (formerr + b"\0", refused):
            self.begin(ONE)
            self.sent[0].say(flags=dns.flags.TC)
            self.sent[1].heard(self.sent[1].message[:2] + said)
            self.assertEqual(self.elsewhere.events[Event.WRONG], 1)
            self.assertEqual(self.sent[-1].query.edns, 0)

    def test_malformed_answers_and_failures_lead_to_the_next(self) -> None:
        """At once, until there is none left; then it is told what they said."""
        self.begin()
        self.sent[0].say("www.example.net. 5 IN CNAME www.example.net.")
        self.sent[1].say(rcode="REFUSED")
        self.assertEqual([each.resolver for each in self.sent], [ONE, TWO, ONE])
        self.sent[2].say(rcode="SERVFAIL")
        [(reply, _)] = self.said
        assert reply is not None
        self.assertEqual(reply.rcode, 2)
        self.assertEqual(self.elsewhere.clock.getDelayedCalls(), [])

    def test_who_refuses_what_others_have_has_failed(self) -> None:
        """It is asked last the next time, and after some times not at all; SERVFAIL may be the name's fault."""
        for rcode, is_first in (("REFUSED", False), ("NOTIMP", False), ("SERVFAIL", True)):
            self.begin()
            one, two = self.elsewhere.means.upstreams.all
            one.latency, two.latency = 0.001, 0.300
            self.sent[0].say(rcode=rcode)
            if rcode == "NOTIMP":
                self.sent[1].say(rcode=rcode)  # without EDNS neither
            self.sent[-1].say(*RECORD)
            self.assert_answered()
            self.assertIs(self.elsewhere.means.upstreams.order(0.0)[0], one if is_first else two)
            self.assertEqual((one.failures, one.denials, two.answers), (int(not is_first), 1, 1))

    def test_nobody_is_to_blame_for_what_whoever_runs_a_zone_says(self) -> None:
        """Aliases in a circle, too many of them, whatever in records: both are asked, and are thought of as before."""
        many = [f"n{each}.example.net. 5 IN CNAME n{each + 1}.example.net." for each in range(20)]
        for records in (
            ("www.example.net. 5 IN CNAME www.example.net.",),
            ("www.example.net. 5 IN CNAME n0.example.net.", *many),
            ("www.example.net. 5 IN TYPE65280 \\# 1 00",),
        ):
            self.begin()
            for each in (0, 1, 2):
                said = self.sent[each].answer(*records)
                self.sent[each].heard(said.replace(b"\xff\0\0\1", b"\0\x24\0\1"))  # KX, which has a name
            [(reply, why)] = self.said
            assert reply is not None
            self.assertEqual((reply.rcode, self.elsewhere.events[Event.MALFORMED]), (2, 3), why)
            self.assertEqual([each.failures for each in self.elsewhere.means.upstreams.all], [0, 0])


class MemoryTests(AskingTestCase):
    """What a question leaves behind."""

    def begun(self, *resolvers: Resolver) -> weakref.ref[Asking]:
        """A question that nobody holds but who waits for its end."""
        self.elsewhere = Elsewhere(*resolvers)
        asking = Asking(QUESTION, SCHEDULE, self.elsewhere.means, lambda _reply, _why: None)
        asking.begin()
        return weakref.ref(asking)

    def test_nothing_is_left_to_the_garbage_collector(self) -> None:
        """Which nearly never runs: it goes with its answer, also a late one, and when there was none."""
        self.addCleanup(gc.enable)
        gc.disable()
        for late in (False, True):
            asking = self.begun(ONE, TWO)
            self.wait(0.25 * late)
            first = self.sent[0]
            first.say(*RECORD)
            first.forget()
            self.sent[-1].forget()
            self.assertIsNone(asking())
        asking = self.begun(ONE)
        self.wait(*SCHEDULE)
        for each in self.sent:
            each.forget()
        self.assertIsNone(asking())


class TimeTests(AskingTestCase):
    """There is an end."""

    def test_nobody_answers(self) -> None:
        """It is told after the schedule, with the resolver that was waited for last."""
        self.begin()
        self.wait(0.25, 0.25)
        self.assertEqual(self.said, [])
        self.wait(0.25)
        self.assert_failed(f"{ONE.text}: no answer in time")
        self.assertEqual([each.resolver for each in self.sent], [ONE, TWO, ONE])

    def test_nobody_is_there(self) -> None:
        """It is told at once."""
        self.begin()
        while not self.said:
            self.sent[-1].failed("connection refused")
        self.assert_failed("connection refused")
        self.assertEqual((len(self.sent), self.elsewhere.clock.seconds()), (3, 0.0))

    def test_of_more_resolvers_than_steps_each_that_may_know_is_asked(self) -> None:
        """Those before it say at once that they do not; after who is silent, only as long as there are steps."""
        others = [resolver(f"203.0.113.{number}") for number in range(1, 5)]
        self.begin(*others, ONE)
        for sent in range(4):
            self.sent[sent].failed("connection refused")
        self.assertEqual([each.resolver for each in self.sent], [*others, ONE])
        self.sent[4].say(*RECORD)
        self.assert_answered()
        self.begin(*others, ONE)
        self.wait(*SCHEDULE)
        self.assert_failed("no answer in time")
        self.assertEqual(len(self.sent), len(SCHEDULE))

    def test_connections_have_some_time_more(self) -> None:
        """But not for ever; one that was made is not asked a second time."""
        self.begin(TLS)
        self.wait(*SCHEDULE)
        self.assertEqual((len(self.sent), self.said), (1, []))
        self.wait(STREAM_TIME)
        self.assert_failed("no answer in time")

    def test_a_connection_that_fails_in_that_time(self) -> None:
        """Ends it."""
        self.begin(TLS)
        self.wait(*SCHEDULE)
        self.sent[0].failed("its certificate has expired")
        self.assert_failed(f"{TLS.text}: its certificate has expired")

    def test_what_can_not_be_sent_is_a_failure(self) -> None:
        """As if nobody were there: at once, but after `begin` has returned."""
        self.patch(MemoryTransport, "by_datagram", self.unreachable)
        self.begin()
        self.assertEqual(self.said, [])
        self.wait(0.0)
        self.assert_failed("Network is unreachable")

    def unreachable(self, *_: object) -> Sent:
        """There is no way."""
        raise OSError(101, "Network is unreachable")
