"""From a message to its answer: who sent it, whether it was done already, and then one transaction.

Updates that have a name or an address in common are done one after the other, in the order in which they came: what is
required of one holds until it is in force. All others are done at the same time, so that they share what takes long.

Edge: the reactor's timers, the clock.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's Failure has no types.)

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.settings import Settings
from realmgw.config.updates import UpdateKey
from realmgw.dns.codec.message import MAX_MESSAGE, ExtendedError, InfoCode, Response, encode, limit
from realmgw.dns.codec.wire import Opcode, Rcode
from realmgw.dns.update.contents import Contents
from realmgw.dns.update.counts import Counts, Event, Spent
from realmgw.dns.update.message import BadMessageError, Message, read
from realmgw.dns.update.replay import LENGTH, Memory, Once
from realmgw.dns.update.semantics import Asking, RefusedError, refuse_zone, transaction
from realmgw.dns.update.tsig import BadLengthError, Fault, Keyring, Signer, Stranger
from realmgw.dns.view import Asker
from realmgw.dns.zones import ZoneTable
from realmgw.errors import MalformedError, RealmGatewayError
from realmgw.subscribers.leases.records import ContradictionError, Record, Transaction

PATIENCE = 5.0  # seconds
"""Then an update is answered, whatever became of it."""
OUTSTANDING = 1000
"""So many updates may be under way at once."""
MOST_ASKERS = 32
"""So many messages that are one and the same update are answered when it has ended; further ones get no answer."""

_EVENTS = {Fault.BADKEY: Event.BAD_KEY, Fault.BADSIG: Event.BAD_SIGNATURE, Fault.BADTIME: Event.BAD_TIME}
_USUAL = frozenset((Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.YXDOMAIN, Rcode.NXRRSET, Rcode.YXRRSET))
"""Of these the log is not told: prerequisites are there not to hold."""

_log = Logger()


class Book(Protocol):
    """What updates need of the book of registrations (`realmgw.subscribers.leases`)."""

    def records(self, name: str, /) -> tuple[Record, ...]:
        """What is registered at a name now."""

    def is_leaving(self, name: str, /) -> bool:
        """Whether it is a host for a moment only, since it is registered no more."""

    def change(self, transaction: Transaction, /) -> Deferred[None]:
        """Does it; fires when it is kept and in force.

        It fails, and nothing was changed, with `ContradictionError` if what there is speaks against it, and with
        `RealmGatewayError` if it can not be done now.
        """


@attrs.frozen(eq=False)
class _Asked:
    """A message that somebody waits for the answer of."""

    asker: Asker
    """Who sent it."""
    message: Message
    """It."""
    signer: Signer | Stranger | None
    """Who has signed it."""


@attrs.define(eq=False)
class _Task:
    """An update on its way."""

    asking: Asking
    """What it is about."""
    once: Once
    """What tells it from all others."""
    signer: Signer | None
    """Who has signed it."""
    source: str
    """Who sent it, as text."""
    touched: set[bytes]
    """Names and addresses that no other one may touch before it has ended."""
    askers: list[_Asked] = attrs.Factory(list)
    """Who is to be told."""
    waits: int = 0
    """So many names and addresses are another one's still."""
    followers: list[_Task] = attrs.Factory(list)
    """Who waits for it, once for each of those."""
    rcode: Rcode | None = None
    """What was answered; None: nothing yet."""
    why: str = ""
    """Why, in words."""
    timer: Any = None
    """Ends the waiting."""


class Updates:
    """All updates.

    Args:
        clock: The reactor.
        monotonic: The present, in seconds.
        present: The present, in seconds since 1970.

    Attributes:
        book: Where hosts are registered; None: nowhere yet, and every update fails.
        query: Answers a query, whose signature was taken off.
        counts: The counters.
    """

    def __init__(self, clock: Any, monotonic: Callable[[], float], present: Callable[[], float] = time.time) -> None:
        self.book: Book | None = None
        self.query: Callable[[bytes, Asker], bytes] = _silence
        self.counts = Counts()
        self._clock = clock
        self._monotonic, self._present = monotonic, present
        self._keys = Keyring()
        self._memory = Memory(int(present()))
        self._spent = Spent()
        self._under_way: dict[Once, _Task] = {}
        self._last: dict[bytes, _Task] = {}
        self._ready: deque[_Task] = deque()
        self._is_running = False

    def configure(self, settings: Settings, table: ZoneTable, keys: tuple[UpdateKey, ...]) -> None:
        """From the next message on, go by these; what is under way goes on."""
        self._rules, self._udp_size = settings.dns.update, settings.dns.udp_size
        self._contents = Contents(table, self._registered, self._is_leaving)
        self._aliases = frozenset(zone.name for zone in settings.zones if zone.aliases)
        self._keys.configure(keys)
        self._memory.configure({key.name for key in keys})

    def _registered(self, name: str) -> tuple[Record, ...]:
        return () if self.book is None else self.book.records(name)

    def _is_leaving(self, name: str) -> bool:
        return self.book is not None and self.book.is_leaving(name)

    def told(self) -> dict[str, object]:
        """All that was counted, and how many updates are under way."""
        return {**self.counts.counts(), "under_way": len(self._under_way), "remembered": len(self._memory)}

    def receive(self, octets: bytes, asker: Asker) -> bytes | None:
        """Takes a message.

        Args:
            octets: It.
            asker: Who sent it.

        Returns:
            The answer; empty if there shall be none; None if `asker.deliver` will get it.
        """
        if not self._may("from " + str(asker.address[0])):
            return self._limited(octets, asker)
        try:
            message = read(octets)
        except BadMessageError as error:
            if error.query is None:
                self.counts.events[Event.UNREADABLE] += 1
                return b""
            return self._answer(_Asked(asker, Message(error.query, None, octets, 0, (0, 0)), None), Rcode.FORMERR)
        return self._check(asker, message)

    def _may(self, who: str) -> bool:
        return self._spent.take(who, self._rules.rate, self._monotonic())

    def _limited(self, octets: bytes, asker: Asker) -> bytes:
        """Silence by UDP, where it comes again; by TCP nothing else would be waited for."""
        self.counts.events[Event.LIMITED] += 1
        if not asker.tcp:
            return b""
        try:
            return self._answer(_Asked(asker, read(octets), None), Rcode.SERVFAIL)
        except BadMessageError:
            return b""

    def _check(self, asker: Asker, message: Message) -> bytes | None:
        """Finds out who has signed a message, before anything else in it is believed."""
        try:
            signer = self._keys.check(message, int(self._present()))
        except BadLengthError:
            return self._answer(_Asked(asker, message, None), Rcode.FORMERR)
        asked = _Asked(asker, message, signer)
        if signer is not None and signer.fault is not None:
            return self._disbelieve(asked, signer)
        assert not isinstance(signer, Stranger)
        if message.query.opcode == Opcode.QUERY:
            self.counts.events[Event.QUERIES] += 1
            return self._signed(asked, self.query(message.unsigned, asker))
        if message.query.edns is not None and message.query.edns.version:
            return self._answer(asked, Rcode.BADVERS)
        if message.query.opcode != Opcode.UPDATE:
            return self._answer(asked, Rcode.NOTIMP)
        return self._update(asked, signer)

    def _disbelieve(self, asked: _Asked, signer: Signer | Stranger) -> bytes:
        assert signer.fault is not None
        self.counts.events[_EVENTS[signer.fault]] += 1
        why = signer.fault.name
        if isinstance(signer, Signer):
            ahead = signer.time - int(self._present())
            why += f": signed with {signer.key.name} {abs(ahead)} s {'from now' if ahead > 0 else 'ago'}"
            why += ", one of the two clocks is wrong"
        return self._answer(asked, Rcode.NOTAUTH, why)

    def _update(self, asked: _Asked, signer: Signer | None) -> bytes | None:
        """One that was signed as it should be, or need not be."""
        if signer is None and not self._rules.unsigned:
            self.counts.events[Event.UNSIGNED] += 1
            return self._answer(asked, Rcode.REFUSED, "it is not signed")
        if signer is not None and not self._may("with " + signer.key.name):
            self.counts.events[Event.LIMITED] += 1
            return self._answer(asked, Rcode.SERVFAIL) if asked.asker.tcp else b""
        if signer is None:
            once = Once.unsigned(asked.asker.address[:2], asked.message.unsigned)
        else:
            once = Once(signer.key.name, signer.mac[:LENGTH])
        task = self._under_way.get(once)
        if task is not None:
            self.counts.events[Event.JOINED] += 1
            return self._join(task, asked)
        return self._repeated(asked, signer, once) if signer is not None else self._begin(asked, None, once)

    def _repeated(self, asked: _Asked, signer: Signer, once: Once) -> bytes | None:
        """Whether it was done already; if not, it is."""
        known = self._memory.answer(once)
        if known is not None:
            self.counts.events[Event.REPEATED] += 1
            return self._answer(asked, known)
        if self._memory.is_old(once, signer.time, int(self._present())):
            self.counts.events[Event.REPLAYED] += 1
            late = attrs.evolve(asked, signer=attrs.evolve(signer, fault=Fault.BADTIME))
            return self._answer(late, Rcode.NOTAUTH, f"signed with {signer.key.name} before what is remembered")
        return self._begin(asked, signer, once)

    def _begin(self, asked: _Asked, signer: Signer | None, once: Once) -> bytes | None:
        if len(self._under_way) >= OUTSTANDING:
            self.counts.events[Event.FULL] += 1
            return self._answer(asked, Rcode.SERVFAIL, f"{OUTSTANDING} updates are under way")
        self.counts.events[Event.UPDATES] += 1
        query = asked.message.query
        key = None if signer is None else signer.key
        task = _Task(Asking(query, (), (), key), once, signer, str(asked.asker.address[0]), set())
        try:
            refuse_zone(query, self._contents, self._aliases)
            prerequisites, updates = asked.message.entries()
        except (RefusedError, MalformedError) as error:
            self._settle(task, error.rcode if isinstance(error, RefusedError) else Rcode.FORMERR, str(error))
            return self._join(task, asked)
        task.asking = Asking(query, prerequisites, updates, key)
        task.touched = task.asking.touched
        self._queue(task)
        return self._join(task, asked)

    def _join(self, task: _Task, asked: _Asked) -> bytes | None:
        if task.rcode is not None:
            return self._answer(asked, task.rcode, task.why)
        if len(task.askers) >= MOST_ASKERS:
            self.counts.events[Event.LIMITED] += 1
            return b""
        task.askers.append(asked)
        return None

    def _queue(self, task: _Task) -> None:
        """Does it when those before it have ended that are about the same."""
        self._under_way[task.once] = task
        for each in task.touched:
            before = self._last.get(each)
            if before is not None:
                before.followers.append(task)
                task.waits += 1
            self._last[each] = task
        task.timer = self._clock.callLater(PATIENCE, self._late, task)
        if not task.waits:
            self._ready.append(task)
            self._run()

    def _run(self) -> None:
        """Does all that may be done now; those that end at once are not done within each other."""
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._ready:
                self._do(self._ready.popleft())
        finally:
            self._is_running = False

    def _do(self, task: _Task) -> None:
        if task.rcode is not None:  # it has waited too long
            self._end(task)
            return
        try:
            what = transaction(task.asking, self._contents)
            doing = self._change(what)
        except RefusedError as error:
            self._settle(task, error.rcode, str(error))
            self._end(task)
        except Exception:  # noqa: BLE001 - whatever it is: who waits is told
            self._failed(Failure(), task)
        else:
            doing.addCallbacks(self._done, self._failed, callbackArgs=(task, what), errbackArgs=(task,))
            doing.addErrback(lambda failure: _log.failure("fault after an update", failure))

    def _change(self, what: Transaction) -> Deferred[None]:
        if not (what.removed or what.added):
            return succeed(None)
        if self.book is None:
            raise RefusedError(Rcode.SERVFAIL, "nothing can be registered yet")
        return self.book.change(what)

    def _done(self, _: object, task: _Task, what: Transaction) -> None:
        self.counts.events[Event.RECORDS_ADDED] += len(what.added)
        self.counts.events[Event.RECORDS_REMOVED] += len(what.removed)
        self._settle(task, Rcode.NOERROR)
        self._end(task)

    def _failed(self, failure: Failure, task: _Task) -> None:
        is_refused = failure.check(ContradictionError) is not None
        self.counts.events[Event.FAILED] += not is_refused
        if failure.check(RealmGatewayError) is None:
            self.counts.events[Event.FAULT] += 1
            _log.failure("fault while an update is done", failure)
        self._settle(task, Rcode.REFUSED if is_refused else Rcode.SERVFAIL, failure.getErrorMessage())
        self._end(task)

    def _late(self, task: _Task) -> None:
        task.timer = None
        self.counts.events[Event.LATE] += 1
        self._settle(task, Rcode.SERVFAIL, f"it has not come to its end within {PATIENCE:g} s")

    def _settle(self, task: _Task, rcode: Rcode, why: str = "") -> None:
        """Tells everybody; whoever asks again is told the same, or what became of it in the end."""
        if task.signer is not None:
            signer = task.signer
            self._memory.note(task.once, signer.time, signer.until, rcode, int(self._present()))
        if task.rcode is not None:
            return
        task.rcode, task.why = rcode, why
        if task.timer is not None:
            task.timer.cancel()
        for each in task.askers:
            each.asker.deliver(self._answer(each, rcode, why))
        task.askers.clear()

    def _end(self, task: _Task) -> None:
        """Those behind it may go on."""
        del self._under_way[task.once]
        for each in task.touched:
            if self._last[each] is task:
                del self._last[each]
        for follower in task.followers:
            follower.waits -= 1
            if not follower.waits:
                self._ready.append(follower)
        self._run()

    def _answer(self, asked: _Asked, rcode: Rcode, why: str = "") -> bytes:
        """An answer without records, with the signature that belongs to it."""
        self.counts.answers[rcode] += 1
        if rcode not in _USUAL and why:
            source, signer = asked.asker.address[0], asked.signer
            signed = f"signed with {signer.key.name}" if isinstance(signer, Signer) else "signed by nobody we know"
            _log.warn(
                "an update from {source}, {signed}, gets {rcode}: {why}",
                source=source, signed=signed, rcode=rcode.name, why=why,
            )  # fmt: skip
        error = ExtendedError(InfoCode.PROHIBITED, why) if rcode is Rcode.REFUSED else None
        query, said = asked.message.query, Response(rcode, error=error)
        answer = self._signed(asked, encode(query, said, MAX_MESSAGE, self._udp_size))
        if error is None or len(answer) <= limit(query, asked.asker.tcp, self._udp_size):
            return answer
        return self._signed(asked, encode(query, Response(rcode), MAX_MESSAGE, self._udp_size))

    def _signed(self, asked: _Asked, answer: bytes) -> bytes:
        if asked.signer is None or not answer:
            return answer
        return asked.signer.sign(answer, int(self._present()))


def _silence(message: bytes, asker: Asker) -> bytes:
    """Nothing is answered."""
    del message, asker
    return b""
