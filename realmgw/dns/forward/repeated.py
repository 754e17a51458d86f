"""The forwarder's fast path: who asks with the same octets within a second gets the same octets, but for the ID.

TTLs are whole seconds, so an answer is the same for as long. After that it is made anew of what is kept; that nothing
else stands against it, need not be looked at again. Whatever comes by TCP is left.
"""

from __future__ import annotations

from typing import Any

from realmgw.dns.counts import Count, Counts
from realmgw.dns.forward.asking import Question
from realmgw.dns.forward.events import Event
from realmgw.dns.forward.forwarder import Forwarder
from realmgw.dns.view import Answer, Asked

MOST = 8192
"""Of so many different queries the answers are remembered."""
_FORWARDED, _REPEATED = Count.FORWARDED, Event.REPEATED


class Repeated:
    """Remembers what one view said last.

    Args:
        forwarder: Whose answers these are.
        counts: The view's.
        events: The forwarder's, by `Event`.
    """

    def __init__(self, forwarder: Forwarder, counts: Counts, events: list[int]) -> None:
        self._forwarder = forwarder
        self._counted, self._asked, self._events = counts.events, counts.asked, events
        self._said: dict[bytes, tuple[float, bytes, Asked, Question]] = {}
        self._message = b""
        forwarder.changed.append(self._said.clear)

    def answer(
        self, message: bytes, address: tuple[Any, ...], resolver: str = "", *, now: float, tcp: bool = False
    ) -> bytes | None:
        """Answers a query, as `realmgw.dns.view.Fast` says."""
        del address, resolver
        self._message = b"" if tcp else message
        said = self._said.get(message[2:])
        if said is None or tcp:
            return None
        if now >= said[0]:
            return self._anew(message, said[2], said[3], now)
        self._counted[_FORWARDED] += 1
        self._asked(said[2].query.type)
        self._events[_REPEATED] += 1
        return message[:2] + said[1]

    def _anew(self, message: bytes, asked: Asked, question: Question, now: float) -> bytes | None:
        """Answers what was answered in an earlier second; None if what was kept is not any more."""
        asked.now = now
        found = self._forwarder.kept(asked, question)
        if found is None:
            del self._said[message[2:]]
            return None
        self._counted[_FORWARDED] += 1
        self._asked(asked.query.type)
        self._said[message[2:]] = found[1], found[0][2:], asked, question
        return message[:2] + found[0][2:]

    def forward(self, asked: Asked) -> Answer | None:
        """Answers what `answer` left (a `view.Part`): it is the message that came last."""
        message, self._message = self._message, b""
        if not message:
            return self._forwarder.forward(asked)
        question = self._forwarder.question(asked.query)
        found = self._forwarder.kept(asked, question)
        if found is None:
            return self._forwarder.seek(asked, question)
        if len(self._said) >= MOST:
            self._said.clear()
        self._said[message[2:]] = found[1], found[0][2:], asked, question
        return Answer(None, _FORWARDED, found[0])
