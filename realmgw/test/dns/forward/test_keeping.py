"""The gateway's part of a forwarder apart: who reads the LAN, whatever becomes of the other process."""

from __future__ import annotations

import json
import os
import pickle
import socket
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import attrs
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from realmgw.config import settings
from realmgw.config.addresses import resolver
from realmgw.config.dns import ForwardProcess
from realmgw.config.namelists import Verdict
from realmgw.config.steps import PORTION
from realmgw.daemon.frames import Frames
from realmgw.dns.forward import telling
from realmgw.dns.forward.apart import BACK, FIRST, REPORT
from realmgw.dns.forward.keeping import BETWEEN, BIRTH, FIRST_WAIT, SILENCE, ForwarderService
from realmgw.dns.forward.policy import NameSet
from realmgw.dns.service import Shared
from realmgw.test.records.test_service import MemoryProcess, ProcessReactor

LIST = settings.NameList("ads", PurePath("ads"))
FORWARD = settings.Forwarding((resolver("192.0.2.53"),), lists=(LIST,), process=ForwardProcess.OWN)
SETTINGS = settings.Settings(
    "gateway", (), settings.Interfaces("wan", ("lan",)), settings.Pools(()), settings.Dns(forward=FORWARD)
)


class LanReactor(ProcessReactor):
    """One whose processes get files of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.readers = list[Any]()
        self.files: Mapping[int, Any] = {}
        self.back = list[socket.socket]()

    def spawnProcess(self, protocol: Any, *_arguments: Any, **more: Any) -> MemoryProcess:
        """Begin one, which has them."""
        made = super().spawnProcess(protocol)
        self.files = more["childFDs"]
        self.back.append(socket.socket(fileno=os.dup(self.files[BACK])))
        return made

    def addReader(self, reader: Any) -> None:
        """It is to be read."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Not any more."""
        self.readers.remove(reader)


class LanSocket:
    """A socket of the LAN, with its protocol."""

    is_read = True

    def __init__(self) -> None:
        self.received = list[tuple[bytes, Any]]()

    def fileno(self) -> int:
        """Its number."""
        return 9

    def startReading(self) -> None:
        """By the gateway."""
        assert not self.is_read
        self.is_read = True

    def stopReading(self) -> None:
        """By the other process."""
        assert self.is_read
        self.is_read = False

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """A query."""
        self.received.append((data, addr))


class KeepingTests(SynchronousTestCase):
    """A LAN with one socket."""

    def setUp(self) -> None:
        """It runs, and was told the rules."""
        self.reactor, self.socket = LanReactor(), LanSocket()
        self.shared = Shared(SETTINGS, (NameSet(LIST, {}, {}),), self.note)
        lan: Any = self.socket
        self.shared.sockets.append((lan, lan))
        self.told: tuple[str, ...] = ()
        self.noted = list[Any]()
        self.service = ForwarderService(self.shared, self.reactor, self.tell)

    def tell(self, lines: Iterable[str]) -> None:
        """What is wrong."""
        self.told = tuple(lines)

    def start(self) -> None:
        """It begins, and the rules are told."""
        self.service.startService()
        self.addCleanup(self.close)
        self.turn()

    def close(self) -> None:
        """Files are given back."""
        self.service.stopService()
        for each in self.reactor.back:
            each.close()

    def turn(self, times: int = 4) -> None:
        """So many steps of telling."""
        self.reactor.pump([BETWEEN] * times)

    @property
    def child(self) -> MemoryProcess:
        """The process that was begun last."""
        return self.reactor.processes[-1]

    def news(self) -> list[Any]:
        """What it was told behind the number of sockets."""
        self.assertEqual(self.child.written[:1], b"\1")
        return [pickle.loads(news) for [news] in Frames().take(self.child.written[1:])]

    def note(self, *noted: Any) -> None:
        """A name on a list was asked for."""
        self.noted.append(noted)

    def report(self, number: int, unreturned: int = 0, withheld: Any = (), **counts: Any) -> None:
        """The process does."""
        own = {"number": number, "unreturned": unreturned, "withheld": withheld, "said": [0, ""]}
        said = {"counts": counts, **own}
        self.child.protocol.outReceived(json.dumps(said).encode() + b"\n")

    def test_names_that_were_not_to_be_had_are_noted_once(self) -> None:
        """However often they are told."""
        self.start()
        first, second = [7.25, "0161", "192.168.0.7", "ads"], [8.5, "0162", "192.168.0.8", "ads"]
        self.report(1, withheld=[first])
        self.report(1, withheld=[first, second])
        self.report(1, withheld=[first, second])
        self.assertEqual(self.noted, [(b"\1a", "192.168.0.7", "ads"), (b"\1b", "192.168.0.8", "ads")])

    def test_the_gateway_reads_until_the_other_one_goes_by_the_rules(self) -> None:
        """When they change as well; a report about former rules is none."""
        self.start()
        self.assertEqual([each[0] for each in self.news()], [telling.BEGIN, telling.END])
        self.assertEqual(set(self.reactor.files), {0, 1, 2, BACK, FIRST})
        self.report(0)
        self.assertTrue(self.socket.is_read)
        self.report(1)
        self.assertFalse(self.socket.is_read)
        self.shared.changed()
        self.assertTrue(self.socket.is_read)
        self.report(1)
        self.assertTrue(self.socket.is_read)
        self.report(2)
        self.assertFalse(self.socket.is_read)

    def test_names_are_told_some_at_a_time(self) -> None:
        """And none while it does not listen."""
        names = {b"%d" % number: Verdict.NXDOMAIN for number in range(3 * PORTION)}
        self.shared.lists = (NameSet(LIST, names, {}),)
        self.start()
        self.child.protocol.pauseProducing()
        self.turn(100)
        before = len(self.news())
        self.assertLess(before, 6)
        self.child.protocol.resumeProducing()
        self.turn(100)
        self.assertEqual(len(self.news()), 5)

    def test_one_that_is_silent_is_ended(self) -> None:
        """The gateway reads at once; another one is begun when it is gone, later each time."""
        self.start()
        self.report(1)
        self.reactor.pump([REPORT] * int(SILENCE + 2))
        self.assertEqual((self.socket.is_read, self.child.signals), (True, ["KILL"]))
        for times in range(3):
            self.child.die(1)
            self.assertIn("the gateway answers the LAN itself", self.told[0])
            self.reactor.advance(FIRST_WAIT * 2**times - 0.1)
            self.assertEqual(len(self.reactor.processes), 1 + times)
            self.reactor.advance(0.2)
            self.assertEqual(len(self.reactor.processes), 2 + times)
        self.flushLoggedErrors()

    def test_one_that_is_loaded_has_more_time(self) -> None:
        """Nobody waits for it."""
        self.start()
        self.reactor.pump([REPORT] * int(BIRTH - 1))
        self.assertEqual(self.child.signals, [])
        self.reactor.pump([REPORT] * 3)
        self.assertEqual(self.child.signals, ["KILL"])

    def test_it_is_not_ended_for_our_own_silence(self) -> None:
        """The whole machine slept."""
        self.start()
        self.report(1)
        self.reactor.advance(10 * SILENCE)
        self.assertEqual((self.socket.is_read, self.child.signals), (False, []))

    def test_one_that_can_not_be_started(self) -> None:
        """It is said, tried again, and the gateway reads."""
        self.reactor.refusal = OSError(12, "Cannot allocate memory")
        self.start()
        self.assertIn("Cannot allocate memory", self.told[0])
        self.assertTrue(self.socket.is_read)
        self.assertEqual(self.reactor.readers, [])
        self.reactor.refusal = None
        self.reactor.advance(FIRST_WAIT)
        self.report(1)
        self.assertEqual((self.socket.is_read, self.told), (False, ()))

    def test_what_is_handed_back_is_answered_from_its_socket(self) -> None:
        """A few at a time, as the gateway reads the LAN itself."""
        self.start()
        [back], [reader] = self.reactor.back, self.reactor.readers
        for number in range(3):
            back.send(telling.handed_back(0, "192.0.2.7", number, bytes(40)))
        back.send(telling.handed_back(9, "192.0.2.7", 9, bytes(40)))  # which is no socket
        reader.doRead()
        self.assertEqual(self.socket.received, [(bytes(40), ("192.0.2.7", number)) for number in range(2)])
        reader.doRead()
        reader.doRead()
        self.assertEqual((len(self.socket.received), self.service.counts()["returned"]), (3, 4))
        back.close()
        reader.doRead()
        self.assertEqual(self.reactor.readers, [])

    def test_what_was_counted_stays(self) -> None:
        """When the process that has counted it is gone; what it had at hand is gone with it."""
        self.start()
        self.report(1, 2, forward={"questions": 3, "kept": 2})
        self.assertEqual(self.shared.counts(), {"forward": {"questions": 3, "kept": 2}})
        self.child.die(1)
        self.assertEqual(self.shared.counts(), {"forward": {"questions": 3}})
        self.reactor.advance(FIRST_WAIT)
        self.report(2, 1, forward={"questions": 4, "kept": 1})
        self.assertEqual(self.shared.counts(), {"forward": {"questions": 7, "kept": 1}})
        self.assertEqual(self.service.counts(), {"begun": 2, "returned": 0, "apart": 1, "unreturned": 3})

    def test_what_is_wrong_there_is_logged_here(self) -> None:
        """Once."""
        self.start()
        said = {"number": 1, "counts": {}, "unreturned": 0, "withheld": [], "said": [1, "KeyError: 7"]}
        for _ in range(2):
            self.child.protocol.outReceived(json.dumps(said).encode() + b"\n")
        self.assertEqual(self.service._said, 1)

    def troubled(self, why: str) -> dict[str, Any]:
        """What is counted of two resolvers, the first one of no use, if that is said."""
        return {"resolver 203.0.113.53": {"trouble": why}, "resolver TWO": {"trouble": ""}}

    def test_resolvers_of_no_use_are_logged_here(self) -> None:
        """When that begins, when it is something else, and when it ends; each of them once."""
        self.start()
        events = list[tuple[str, str]]()

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if "resolver" in event:
                events.append((event["resolver"], event.get("why", "")))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for one in ("", "no answer", "no answer", "it says REFUSED", "", "", "no answer"):
            self.report(1, **self.troubled(one))
        self.assertEqual([why for _, why in events], ["no answer", "it says REFUSED", "", "no answer"])
        self.child.die(1)
        self.reactor.advance(FIRST_WAIT)
        self.report(2, **self.troubled(""))
        self.assertEqual(len(events), 4, "nobody has seen it answer again")
        self.assertEqual({who for who, _ in events}, {"203.0.113.53"})

    def test_there_is_none_where_it_has_nothing_to_do(self) -> None:
        """Without resolvers, without a LAN, or if it is not wanted."""
        for forward in (
            attrs.evolve(FORWARD, resolvers=()),
            attrs.evolve(FORWARD, process=ForwardProcess.GATEWAY),
        ):
            self.shared.settings = attrs.evolve(SETTINGS, dns=settings.Dns(forward=forward))
            self.service.startService()
            self.service.stopService()
        self.assertEqual(self.service.counts(), {})
        self.shared.settings = SETTINGS
        self.shared.sockets.clear()
        self.service.startService()
        self.service.stopService()
        self.assertEqual((self.reactor.processes, self.service.counts()["begun"]), ([], 0))

    def test_the_end(self) -> None:
        """The gateway reads until its sockets are closed; it is over when the process is."""
        self.start()
        self.report(1)
        done = self.service.stopService()
        self.assertTrue(self.socket.is_read)
        self.assertNoResult(done)
        self.assertTrue(self.child.is_closed)
        self.child.die()
        self.successResultOf(done)
        self.assertEqual(len(self.reactor.processes), 1)
