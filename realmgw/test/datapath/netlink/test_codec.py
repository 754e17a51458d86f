"""Tests for `realmgw.datapath.netlink.codec`: all that the kernel lists or tells is read alike, whatever happens."""

from __future__ import annotations

import errno
import re
import struct
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import realmgw
from realmgw.admission.conntrack import Conntrack
from realmgw.datapath import ending, place
from realmgw.datapath.netlink import codec, counters, events, flows, nftables, routes
from realmgw.datapath.netlink.codec import ATTEMPTS, ENOENT, InterruptedDumpError, Message, RefusedError
from realmgw.datapath.watch.reader import RulesetReader
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done, only, refusal

KIND, SEQUENCE = 0x30, 1
REQUEST = codec.message(KIND, codec.REQUEST | codec.DUMP, SEQUENCE, b"")
EPERM = 1


def part(body: bytes = b"", *, flags: int = 0, sequence: int = SEQUENCE) -> bytes:
    """A message of a listing."""
    return codec.message(KIND, flags, sequence, body)


def listed(channel: AnsweringChannel) -> list[bytes]:
    """What is in a listing."""
    return [each.body for each in codec.dump(channel, REQUEST, "things")]


class DumpTests(SynchronousTestCase):
    """`dump`."""

    def test_goes_on_to_the_end(self) -> None:
        """Over as many reads as there are; what answers somebody else, and what says nothing, is passed over."""
        others = part(b"late", sequence=0) + done(0) + codec.message(codec.NOOP, 0, SEQUENCE, b"")
        channel = AnsweringChannel(others + part(b"aaaa") + part(b"bbbb"), part(b"cccc") + done(SEQUENCE))
        self.assertEqual(listed(channel), [b"aaaa", b"bbbb", b"cccc"])
        self.assertEqual(channel.sent, [REQUEST])

    def test_tells_that_it_was_interrupted_when_it_was_read_to_its_end(self) -> None:
        """Whichever message says so; so the channel is fit for the next question."""
        for reads in (
            [part(flags=codec.INTERRUPTED), part() + done(SEQUENCE)],
            [part(), part() + done(SEQUENCE, flags=codec.INTERRUPTED)],
        ):
            channel = AnsweringChannel(*reads)
            self.assertRaises(InterruptedDumpError, listed, channel)
            self.assertEqual(channel.reads, [])

    def test_leaves_out_what_is_not_wanted(self) -> None:
        """What is found twice is given once; what says how the listing goes on is heeded, wherever it stands."""
        wanted = re.compile(b"aa")
        reads = part(b"aabb") + part(b"abab") + part(b"aaaa"), part(b"bbbb") + part(b"baab") + done(SEQUENCE)
        found = codec.dump(AnsweringChannel(*reads), REQUEST, "things", wanted=wanted)
        self.assertEqual([each.body for each in found], [b"aabb", b"aaaa", b"baab"])
        channel = AnsweringChannel(part(b"bbbb") + part(b"cccc", flags=codec.INTERRUPTED) + part(b"bbbb"), reads[1])
        self.assertRaises(InterruptedDumpError, list, codec.dump(channel, REQUEST, "things", wanted=wanted))
        channel = AnsweringChannel(part(b"bbbb") + refusal(SEQUENCE, EPERM))
        self.assertRaises(RefusedError, list, codec.dump(channel, REQUEST, "things", wanted=wanted))
        cut_off = AnsweringChannel(part(b"aabb") + part(b"bbbb")[:7])
        self.assertRaises(RealmGatewayError, list, codec.dump(cut_off, REQUEST, "things", wanted=wanted))

    @given(st.lists(st.binary(max_size=9)), st.binary(min_size=1, max_size=2))
    def test_gives_whatever_something_is_found_in(self, bodies: list[bytes], sought: bytes) -> None:
        """Of messages of any length; a little more may be given."""
        wanted, received = (
            re.compile(re.escape(sought)),
            b"".join(part(each) + bytes(-len(each) % 4) for each in bodies),
        )
        found = [each.body for each in codec.messages(received, wanted) if wanted.search(each.body)]
        self.assertEqual(found, [each for each in bodies if sought in each])

    def test_tells_a_refusal_by_its_number(self) -> None:
        """At the beginning, or at the end of what was listed; what means that there is nothing is none."""
        for reads in ([refusal(SEQUENCE, EPERM)], [part(), done(SEQUENCE, EPERM)]):
            error = self.assertRaises(RefusedError, listed, AnsweringChannel(*reads))
            self.assertEqual(error.number, EPERM)
            self.assertIn("refused to tell of things (error 1)", str(error))
        nothing = codec.dump(AnsweringChannel(refusal(SEQUENCE, ENOENT)), REQUEST, "things", nothing=(ENOENT,))
        self.assertEqual(list(nothing), [])

    def test_answers_that_are_lost_or_cut_off_or_do_not_come_are_told(self) -> None:
        """By no other exception, whatever the socket says."""
        for reads in (
            [OSError(errno.ENOBUFS, "No buffer space available")],
            [part(), OSError(errno.ENOBUFS, "No buffer space available")],
            [part(), codec.message(codec.OVERRUN, 0, 0, b"")],
            [part(bytes(100))[:60]],
            [part() + part()[:7]],
            [part() + bytes(16)],
            [codec.message(codec.ERROR, 0, SEQUENCE, b"")],
            [part()],
            [],
        ):
            error = self.assertRaises(RealmGatewayError, listed, AnsweringChannel(*reads))
            self.assertNotIsInstance(error, InterruptedDumpError)

    @given(st.lists(st.binary(max_size=60), max_size=4))
    def test_garbage_raises_nothing_else(self, reads: list[bytes]) -> None:
        """And ends."""
        self.assertRaises(RealmGatewayError, listed, AnsweringChannel(*reads))


class AskTests(SynchronousTestCase):
    """`ask`."""

    def ask(self, *reads: bytes | OSError) -> Message:
        """Asks."""
        return codec.ask(AnsweringChannel(*reads), REQUEST, "a thing")

    def test_gives_the_answer_or_the_acknowledgement(self) -> None:
        """The answer to what was asked before is none."""
        self.assertEqual(self.ask(part(b"late", sequence=0), part(b"aaaa")).body, b"aaaa")
        self.assertEqual(self.ask(refusal(SEQUENCE, 0)).kind, codec.ERROR)

    def test_tells_a_refusal_and_what_does_not_come(self) -> None:
        """As `dump` does."""
        self.assertEqual(self.assertRaises(RefusedError, self.ask, refusal(SEQUENCE, EPERM)).number, EPERM)
        for reads in ([], [part(sequence=0)], [OSError(errno.ENOBUFS, "No buffer space available")], [part()[:9]]):
            self.assertRaises(RealmGatewayError, self.ask, *reads)


class AskAllTests(SynchronousTestCase):
    """`ask_all`."""

    def ask(self, *reads: bytes | OSError) -> list[bytes | None]:
        """Three things are asked for."""
        self.channel = AnsweringChannel(*reads)
        return [None if each is None else each.body for each in codec.ask_all(self.channel, [REQUEST] * 3, "things")]

    def test_each_question_has_its_answer(self) -> None:
        """Whether that comes by itself or with others; what answers somebody else is passed over."""
        none, late = refusal(SEQUENCE, ENOENT), refusal(0, ENOENT)
        for reads in (
            [none, part(b"aaaa"), none], [late, none, part(b"late", sequence=0), part(b"aaaa"), none],
            [none + part(b"aaaa") + none], [late + none + part(b"aaaa"), none], [none, part(b"aaaa") + none],
        ):  # fmt: skip
            self.assertEqual(self.ask(*reads), [None, b"aaaa", None])
            self.assertEqual((self.channel.sent, self.channel.reads), ([REQUEST * 3], []))

    def test_tells_a_refusal_and_what_does_not_come(self) -> None:
        """As of one."""
        some = part(b"aaaa")
        self.assertEqual(self.assertRaises(RefusedError, self.ask, some, refusal(SEQUENCE, EPERM)).number, EPERM)
        for fault in (OSError(errno.ENOBUFS, ""), TimeoutError(), some[:7], codec.message(codec.OVERRUN, 0, 1, b"")):
            self.assertRaises(RealmGatewayError, self.ask, some, fault)


class UndisturbedTests(SynchronousTestCase):
    """`undisturbed`."""

    def test_reads_again_what_was_interrupted(self) -> None:
        """So often, and not for ever; nothing of what was read before is taken."""
        torn, whole = part(b"torn", flags=codec.INTERRUPTED) + done(SEQUENCE), part(b"good") + done(SEQUENCE)
        channel = AnsweringChannel(*[torn] * (ATTEMPTS - 1), whole)
        self.assertEqual(codec.undisturbed(lambda: listed(channel)), [b"good"])
        channel = AnsweringChannel(*[torn] * 2 * ATTEMPTS)
        self.assertRaises(InterruptedDumpError, codec.undisturbed, lambda: listed(channel))
        self.assertEqual(len(channel.reads), ATTEMPTS)


def _reader(channel: AnsweringChannel) -> RulesetReader:
    return RulesetReader(lambda **_: channel)


def _sockets(channel: AnsweringChannel) -> object:
    return codec.undisturbed(lambda: place.named(codec.dump(channel, REQUEST, "sockets")))


LISTINGS: dict[str, Callable[[AnsweringChannel], object]] = {
    "counters": lambda channel: codec.undisturbed(
        lambda: counters.listed(codec.dump(channel, counters.request("t", SEQUENCE), "counters"))
    ),
    "routes": lambda channel: codec.undisturbed(
        lambda: routes.listed(codec.dump(channel, routes.listing(SEQUENCE, routes.AF_INET), "routes"))
    ),
    "flows": lambda channel: ending.end_all(
        channel, channel, flows.sources([bytes(4)]), {flows.AF_INET}, lambda _: True
    ),
    "sockets": _sockets,
}
"""Everybody who has something listed, with what follows when there is nothing in it."""
QUESTIONS: dict[str, Callable[[AnsweringChannel], object]] = {
    "a table": lambda channel: nftables.standing(channel, (nftables.IPV4, "t"), SEQUENCE),
    "the generation": lambda channel: _reader(channel).generation(),
    "the contents": lambda channel: _reader(channel).contents((nftables.INET, "t")),
}
"""Everybody who asks for one thing, or for several things that are listed one after the other."""


class EverybodyTests(SynchronousTestCase):
    """Each of those who ask the kernel."""

    def test_reads_a_listing_again_that_was_interrupted(self) -> None:
        """And takes nothing of it."""
        for title, read in LISTINGS.items():
            channel = AnsweringChannel(done(SEQUENCE, flags=codec.INTERRUPTED), done(SEQUENCE))
            self.assertFalse(read(channel), title)
            self.assertEqual((len(channel.sent), channel.reads), (2, []), title)

    def test_tells_refusals_losses_and_silence_alike(self) -> None:
        """By our own error, within a moment."""
        for title, read in {**LISTINGS, **QUESTIONS}.items():
            for fault in (
                refusal(SEQUENCE, 5),
                OSError(errno.ENOBUFS, "No buffer space available"),
                OSError(errno.EINTR, "Interrupted system call"),
                part(bytes(100))[:40],
                b"",
            ):
                with self.assertRaises(RealmGatewayError, msg=title):
                    read(AnsweringChannel(fault))

    def test_gives_back_the_socket_of_what_was_not_read_to_its_end(self) -> None:
        """Whose rest would be taken for the next answer; one that was interrupted was read to its end."""
        channel = AnsweringChannel(OSError(errno.ENOBUFS, "No buffer space available"))
        reader = _reader(channel)
        self.assertRaises(RealmGatewayError, reader.generation)
        self.assertTrue(channel.is_closed)
        channel = AnsweringChannel(done(SEQUENCE, flags=codec.INTERRUPTED))
        self.assertRaises(InterruptedDumpError, _reader(channel).contents, (nftables.INET, "t"))
        self.assertFalse(channel.is_closed)

    def test_counts_a_flow_that_could_not_be_asked_for(self) -> None:
        """Such a flow is believed: whatever happens to an answer."""
        flow = (bytes(4), bytes(4), 6, 1, 2)
        for fault in (refusal(SEQUENCE, EPERM), OSError(errno.ENOBUFS, ""), part(bytes(100))[:40], part()):
            channel = AnsweringChannel(fault)
            conntrack = Conntrack(lambda: 0.0, lambda channel=channel, **_: channel)
            self.assertIn(conntrack.answered(flow), (True, False))
            self.assertEqual(conntrack.unasked, int(fault != part()))

    def test_hears_of_changes_that_are_cut_off_as_of_those_that_were_lost(self) -> None:
        """By the same error, after which everything is looked at."""
        short = codec.message(24, 0, 0, b"\2")
        for received in (short, short[:9], part(bytes(40))[:30]):
            self.assertRaises(RealmGatewayError, events.concerns_us, received)
            self.assertRaises(RealmGatewayError, lambda received=received: [*events.Transactions().take(received[:9])])

    def test_nobody_reads_by_himself(self) -> None:
        """Sockets of netlink are read here, by those who hear of changes, and for verdicts."""
        root = Path(realmgw.__file__).parent
        reading = re.compile(r"\.recv(?:msg|from|_into)?\(")
        found = {
            str(path.relative_to(root))
            for room in ("admission", "control", "datapath")
            for path in (root / room).rglob("*.py")
            if reading.search(path.read_text())
        }
        allowed = {"datapath/netlink/codec.py", "datapath/watch/reader.py", "admission/client.py"}
        allowed.add("datapath/neighbours/port.py")  # frames of Ethernet
        allowed.add("datapath/machine/seeing.py")  # an answer of DNS
        allowed.add("datapath/netlink/unhurried.py")  # which rests between the codec's reads
        self.assertLessEqual(found, allowed)


class UnpackTests(SynchronousTestCase):
    """`unpack`, and what is made of it."""

    @given(st.binary(max_size=120))
    def test_what_is_malformed_is_our_error(self, garbage: bytes) -> None:
        """In whatever message it stands."""
        bodies = [
            Message(kind, 0, SEQUENCE, 0, garbage) for kind in (16, 24, 1 << 8, *(10 << 8 | at for at in range(20)))
        ]
        for each in bodies:
            for read in (
                lambda each=each: counters.listed([each]),
                lambda each=each: routes.listed([each]),
                lambda each=each: routes.way(each),
                lambda each=each: [*flows.listed([each], flows.sources([bytes(4)]))],
                lambda each=each: flows.entry(each),
                lambda each=each: flows.is_answered(each, 6),
                lambda each=each: nftables.take([each], (1, "t"), {}),
                lambda each=each: place.named([each]),
                lambda each=each: events.concerns_us(codec.message(each.kind, 0, 0, each.body)),
            ):
                try:
                    read()
                except RealmGatewayError:  # noqa: PERF203 - each may fail by itself
                    continue

    def test_numbers_are_read_where_they_stand(self) -> None:
        """Or are not there."""
        self.assertEqual(codec.unpack(struct.Struct("!H"), b"\0\1\0\2", 2), (2,))
        self.assertRaises(RealmGatewayError, codec.unpack, struct.Struct("!H"), b"\0\1", 1)
        self.assertEqual(only(part(b"abcd")).body, b"abcd")
