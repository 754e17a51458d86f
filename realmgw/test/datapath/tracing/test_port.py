"""Packets followed for so long and so many, with a kernel that says what a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Settings
from realmgw.datapath.netlink.traces import GROUP
from realmgw.datapath.tracing.match import Match
from realmgw.datapath.tracing.packets import QUIET
from realmgw.datapath.tracing.port import LOOK, End, Followed, Tracer
from realmgw.errors import RealmGatewayError
from realmgw.test.config.test_schema import MINIMAL, settings
from realmgw.test.datapath.answers import AnsweringChannel, done
from realmgw.test.datapath.netlink.test_counters import attribute, message
from realmgw.test.datapath.netlink.test_traces import ACCEPT, CONTINUE, RULE, rule, trace, verdict
from realmgw.test.datapath.tracing.test_match import ONE
from realmgw.test.datapath.watch.test_guard import RecordingNft
from realmgw.testing import MemoryWorker


def of(table: str, chain: str, packet: int, code: int) -> bytes:
    """The kernel's message about the rule 2 of a chain."""
    whole = trace(RULE, rule(2, verdict(code)), packet=packet)
    body = whole[16:].replace(attribute(1, b"t\0"), attribute(1, table.encode() + b"\0"))
    return message(0x0A11, body.replace(attribute(2, b"c\0"), attribute(2, chain.encode() + b"\0")))


class MemoryChannel(AnsweringChannel):
    """A netlink socket."""

    def __init__(self, *reads: bytes) -> None:
        """Is open."""
        super().__init__(*reads)
        self.number = 7

    def fileno(self) -> int:
        """Its number."""
        return self.number

    def close(self) -> None:
        """Is closed."""
        self.number = -1


class MemoryReactor(Clock):
    """A clock, and who reads."""

    def __init__(self) -> None:
        """Nobody does."""
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """One does."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """He does no more, if he did."""
        self.readers = [each for each in self.readers if each is not reader]


class TracerTests(SynchronousTestCase):
    """`Tracer`."""

    texts = {"c": ["accept"]}  # noqa: RUF012 - what the kernel's side says

    @property
    def settings(self) -> Settings:
        """Of a gateway whose table is `realmgw`."""
        return settings(MINIMAL)

    def setUp(self) -> None:
        """Nobody has asked."""
        self.reactor, self.worker, self.nft = MemoryReactor(), MemoryWorker(), RecordingNft()
        self.opened: list[dict[str, Any]] = []
        self.told: list[Followed] = []
        self.ends: list[End] = []
        self.refusal: RealmGatewayError | None = None
        self.tracer = Tracer(self, self.worker, self.reactor, lambda: self.nft, self.open)

    def open(self, **how: Any) -> MemoryChannel:
        """A socket."""
        if self.refusal is not None:
            raise self.refusal
        self.opened.append(how)
        return MemoryChannel(done(1))

    def begin(self, most: int = 5) -> Callable[[], object]:
        """Follows packets for 10 s."""
        begun = self.tracer.follow(Match((ONE,)), 10.0, most, self.told.append, self.ends.append)
        self.worker.work()
        stop: Callable[[], object] = self.successResultOf(begun)
        return stop

    def say(self, *packets: int) -> None:
        """The kernel tells of these."""
        [listener] = self.reactor.readers
        for packet in packets:
            listener._take(of("realmgw_trace", "followed", packet, CONTINUE) + of("realmgw", "c", packet, ACCEPT))

    def pass_time(self, seconds: float) -> None:
        """Time passes, and the worker works."""
        for _ in range(round(seconds / LOOK)):
            self.reactor.advance(LOOK)
            self.worker.work()

    def test_tells_of_each_packet_and_leaves_nothing_behind(self) -> None:
        """The table is placed before, and goes with the socket that owns it."""
        self.begin()
        self.assertEqual(self.opened[0]["groups"], (GROUP,))
        self.assertIn("table inet realmgw_trace", self.nft.ran[0])
        self.say(1, 2)
        self.pass_time(2 * QUIET)
        self.assertEqual([each.number for each in self.told], [1, 2])
        self.assertEqual([each.verdict for each in self.told[0].steps], ["accept"])
        self.assertEqual((self.ends, self.nft.closed), ([], 0))
        self.pass_time(10.0)
        self.assertEqual((self.ends, self.nft.closed, self.reactor.readers), ([End(2, 0)], 1, []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_ends_with_the_last_packet_or_when_nobody_follows_any_more(self) -> None:
        """Then others may ask; meanwhile they may not."""
        for most, stops in ((1, False), (5, True)):
            stop = self.begin(most)
            self.failureResultOf(self.tracer.follow(Match((ONE,)), 1.0, 1, print, print), RealmGatewayError)
            self.say(1)
            if stops:
                stop()
            self.pass_time(3 * QUIET)
            self.assertEqual(self.ends.pop(), End(1, 0))
        self.assertEqual(len(self.told), 2)

    def test_what_the_kernel_refuses_leaves_nothing_behind(self) -> None:
        """And the next one may ask."""
        self.nft.refusal = RealmGatewayError("no owner")
        begun = self.tracer.follow(Match((ONE,)), 10.0, 1, print, print)
        self.worker.work()
        self.failureResultOf(begun, RealmGatewayError)
        self.assertEqual((self.reactor.readers, self.nft.closed), ([], 1))
        self.nft.refusal = None
        self.begin()

    def test_what_goes_wrong_meanwhile_ends_it_and_is_told(self) -> None:
        """A kernel that lists no rules, for example."""
        self.begin()
        self.say(1)
        self.refusal = RealmGatewayError("no")
        self.pass_time(2 * QUIET)
        self.assertEqual(self.ends, [End(1, 0, "no")])
        self.assertEqual((self.nft.closed, self.reactor.readers), (1, []))

    def test_what_was_lost_is_counted(self) -> None:
        """A message that can not be understood, too."""
        stop = self.begin()
        [listener] = self.reactor.readers
        listener._lost()
        stop()
        self.pass_time(LOOK)
        self.assertEqual(self.ends, [End(0, 1)])
