"""The recorder: a process beside the gateway that hears of flows that have ended, and writes records of them.

It is one loop without threads. What waits meanwhile waits in the kernel; what finds no room there is lost, and the
kernel counts it. So a disk that does not answer holds up nobody but the recorder. The socket is the gateway's: what
comes while there is no recorder waits for the next one.

It ends with the pipe that the gateway tells it news by, after all that it has heard is written.

Edge: a process, netlink, pipes, the clock.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from realmgw.daemon.frames import Frames
from realmgw.datapath.netlink import accounted
from realmgw.datapath.netlink.accounted import Ended
from realmgw.errors import RealmGatewayError
from realmgw.records.exporting import Collector, Exporting
from realmgw.records.frames import CHANNEL, HOSTS, OPENED, flows
from realmgw.records.known import Known, Subscriber
from realmgw.records.lasting import Counted, Lasting
from realmgw.records.looking import Looking
from realmgw.records.record import SECOND, record
from realmgw.records.store import Store
from realmgw.records.totals import Totals
from realmgw.records.writing import Kept, Writing
from realmgw.system.buffers import dropped as dropped_by

REST = 0.05  # seconds
"""So long it rests when it has taken what there was: what comes meanwhile is taken in one go."""
PORTION = 1024
"""So many ends are taken, and written, in one go."""
PATIENCE = 2.0  # seconds
"""So young a flow may be at its end that its name is told later: so long it is waited for."""
MOST_WAITING = 1 << 16
"""So many ends may wait for names; more are written without."""
REPORT = 1.0  # seconds
"""How often the gateway is told how it is."""
_NEWS, _REPORTS = 0, 1
_PIECE = 1 << 18  # octets


class Recorder:
    """Makes records of ends.

    Args:
        channel: Where conntrack tells of ends; it does not block.
        writing: Where records go.
        store: Where they go as well; None: nowhere else.
        interval: How often it is looked at flows that last, in seconds; 0: never.
        dropped: How much of it was known to be lost before.
        clock: The present, in seconds since 1970.
        exporting: Who gets them as well; None: nobody.
        monotonic: What is not put back, in seconds: when something is done next goes by it.
    """

    def __init__(
        self,
        channel: socket.socket,
        writing: Writing,
        store: Store | None = None,
        interval: float = 0.0,
        dropped: int = 0,
        clock: Callable[[], float] = time.time,
        exporting: Exporting | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._writing = writing
        self._store, self._exporting = store, exporting
        self._clock, self._monotonic = clock, monotonic
        self._waiting = deque[tuple[float, Ended]]()
        self._has_news = False
        self.dropped = dropped
        self.known = Known()
        self._lasting, self.totals = Lasting(self.known), Totals()
        self._looking = Looking(self._lasting, interval)
        self.others = self.malformed = self.unnamed = self.overruns = self.lost = 0

    def hear(self, news: Any) -> None:
        """The gateway has told something."""
        kind, *told = news
        if kind == HOSTS:
            since, hosts = told
            for address, name, groups in hosts:
                self.known.put(address, None if name is None else Subscriber(name, groups), since)
        elif kind == OPENED:
            nameless, octets = told
            self.known.open(flows(octets), nameless)
            self._has_news = True

    def take(self) -> bool:
        """Take a portion of what has ended; returns whether there may be more."""
        ends, receive = list[Ended](), self._channel.recv
        has_more = True
        for _ in range(PORTION):
            try:
                ends.append(accounted.parse(receive(_PIECE)))
            except BlockingIOError:  # noqa: PERF203 - one read fails, and the next may not
                has_more = False
                break
            except RealmGatewayError:
                self.malformed += 1
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1
        now, lost = self._monotonic(), self._loss()
        if lost:
            self._looking.lost(now)
        told = [*self._late(now), *(each for each in map(self._made, ends) if each is not None)]
        self._put([*told, *self._looking.step(now, self._clock(), drained=not has_more)], lost)
        self._writing.look()
        if self._store is not None:
            self._store.keep()
        if self._exporting is not None:
            self._exporting.step()
        return has_more

    def finish(self) -> None:
        """Write all that was heard, with names or without."""
        while self.take():
            pass
        self._put(self._late(float("inf")))
        self._looking.close()
        self._writing.close()
        if self._store is not None:
            self._store.close()
        if self._exporting is not None:
            self._exporting.close()

    def counts(self) -> dict[str, object]:
        """What was counted since the start."""
        writing, exporting = self._writing, self._exporting
        return {
            "written": writing.written, "unwritten": writing.unwritten, "cut": writing.cut, "lost": self.lost,
            "overruns": self.overruns, "malformed": self.malformed, "others": self.others, "unnamed": self.unnamed,
            "unkept": 0 if self._store is None else self._store.unkept,
            "unlisted": self._looking.unlisted, "waiting": len(self._waiting), "open": len(self.known.opened),
            "lasting": len(self._lasting),
            "exported": 0 if exporting is None else exporting.exported,
            "unexported": 0 if exporting is None else exporting.unexported,
            "unsent": 0 if exporting is None else len(exporting),
        }  # fmt: skip

    @property
    def problem(self) -> str:
        """What is wrong, in a line; empty: nothing."""
        kept = "" if self._store is None else self._store.problem
        exporting = "" if self._exporting is None else self._exporting.problem
        return self._writing.problem or kept or self._looking.problem or exporting

    def _put(self, told: list[Counted], lost: int = 0) -> None:
        self._writing.write((each.line() for each, _ in told), lost)
        for each, before in told:
            self.totals.add(each, before)
        if self._store is not None:
            self._store.add(told)
        if self._exporting is not None:
            self._exporting.add(told)

    def _made(self, end: Ended) -> Counted | None:
        """The record of an end, unless it waits for its name, or is nobody's."""
        now = self._clock()
        if self._may_be_named(end, now) and len(self._waiting) < MOST_WAITING:
            self._waiting.append((self._monotonic() + PATIENCE, end))
            return None
        return self._recorded(end, now)

    def _may_be_named(self, end: Ended, now: float) -> bool:
        is_young = end.began is not None and end.began / SECOND > now - PATIENCE
        return is_young and end[:5] not in self.known.opened and self.known.is_inside(end.answers_source)

    def _late(self, now: float) -> list[Counted]:
        """Those that have waited for long enough, in monotonic seconds, or whose names have come."""
        over = list[Ended]()
        while self._waiting and self._waiting[0][0] <= now:
            over.append(self._waiting.popleft()[1])
        if self._has_news:
            self._has_news, opened = False, self.known.opened
            over += (end for _, end in self._waiting if end[:5] in opened)
            self._waiting = deque(each for each in self._waiting if each[1][:5] not in opened)
        wall = self._clock()
        return [made for end in over if (made := self._recorded(end, wall)) is not None]

    def _recorded(self, end: Ended, now: float) -> Counted | None:
        made, before = record(end, self.known, now), self._lasting.ended(end)
        self.known.opened.pop(end[:5], None)
        if made is None:
            self.others += 1
            return None
        if made.name is None and made.direction == "in":
            self.unnamed += 1
        return made, before

    def _loss(self) -> int:
        """How many ends the kernel has had no room for since it was asked last."""
        total = dropped_by(self._channel)
        lost, self.dropped = total - self.dropped & 0xFFFF_FFFF, total
        self.lost += lost
        return lost


class Reports:
    """What the gateway is told by a pipe, a line each, all of it or none, however slowly it reads.

    Args:
        write: Writes to it as much as there is room for, and raises `BlockingIOError` where there is none.
    """

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self._write, self._rest = write, b""

    def tell(self, recorder: Recorder) -> None:
        """How it is, unless the last ones have not been read yet."""
        self.go_on()
        if not self._rest:
            said = {
                "counts": recorder.counts(), "groups": recorder.totals.by_group, "problem": recorder.problem,
                "dropped": recorder.dropped,
            }  # fmt: skip
            self._rest = json.dumps(said).encode() + b"\n"
            self.go_on()

    def go_on(self) -> None:
        """Write what had no room."""
        with suppress(BlockingIOError):
            while self._rest:
                self._rest = self._rest[self._write(self._rest) :]


def run(recorder: Recorder, frames: Frames) -> None:
    """Record until the gateway closes the pipe."""
    waiting, reports = select.poll(), Reports(partial(os.write, _REPORTS))
    waiting.register(_NEWS, select.POLLIN)
    report_at = 0.0
    while True:
        has_more = recorder.take()
        if (now := time.monotonic()) >= report_at:
            report_at = now + REPORT
            reports.tell(recorder)
        reports.go_on()
        if waiting.poll(0 if has_more else 1000 * REST):
            data = os.read(_NEWS, _PIECE)
            if not data:
                break
            for news in frames.take(data):
                recorder.hear(news)
    recorder.finish()
    reports.tell(recorder)


def main() -> None:
    """The process: what to do is the first that the gateway tells."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the gateway, which gets them as well, says when it is over
    with suppress(OSError):
        os.nice(5)
    os.set_blocking(_REPORTS, False)
    frames, begun = Frames(), list[Any]()
    while not begun:
        data = os.read(_NEWS, _PIECE)
        if not data:
            return
        begun += frames.take(data)
    [todo, inside, own], *more = begun
    writing = Writing(Kept(Path(todo["path"]), todo["size"], todo["files"], todo["days"]))
    store = Store(Path(todo["database"]), todo["rows"], todo["days"]) if todo["database"] else None
    to = todo["collector"]
    exporting = Exporting(Collector(*to), time.time, time.monotonic) if to else None
    channel = socket.socket(fileno=CHANNEL)
    recorder = Recorder(channel, writing, store, todo["interval"], todo["dropped"], exporting=exporting)
    recorder.known.be_around(inside, own)
    writing.begin()
    for news in more:
        recorder.hear(news)
    run(recorder, frames)
