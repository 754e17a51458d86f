"""What a decision of late is seen beside: the answer that brought a packet, and the packet that came for an answer."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from operator import itemgetter
from typing import Any

from realmgw.allocation.decisionlog import Admitted, Answered
from realmgw.allocation.reputation.lru import TwoGenerationLRU
from realmgw.config.steps import portions

_Raw = tuple[Any, ...]  # as the log has it
_AT, _NUMBER, _TOLD = 0, 1, 5  # of `Answered`; the first two of `Admitted`, too


class Known:
    """Answers, and the packets that came for them.

    Args:
        most: So many of each kind are remembered at least.
        back: So many answers with the same address are, at least.
    """

    def __init__(self, most: int, back: int) -> None:
        self._back = max(1, back)
        self._answers = TwoGenerationLRU[int, _Raw](2 * most)
        self._came = TwoGenerationLRU[int, _Raw](2 * most)
        self._told = TwoGenerationLRU[bytes, list[_Raw]](2 * most)

    def learn(self, logs: Sequence[Iterable[_Raw]]) -> Generator[None, Any, None]:
        """Goes through logs as `DecisionLog.logs` has them, a portion at a time; each is later than those before."""
        answered, admitted, *_ = logs
        for portion in portions(answered):
            self._answers.put_all({each[_NUMBER]: each for each in portion})
            for each in portion:
                self._tell(each)
            yield None
        for portion in portions(admitted):
            first, before = {each[_NUMBER]: each for each in reversed(portion)}, self._came.peek
            self._came.put_all({number: each for number, each in first.items() if before(number) is None})
            yield None

    def answer(self, number: int) -> Answered | None:
        """The answer with a trace id."""
        raw = self._answers.peek(number)
        return None if raw is None else Answered._make(raw)

    def came(self, number: int) -> Admitted | None:
        """The first packet that came for the answer with a trace id."""
        raw = self._came.peek(number)
        return None if raw is None else Admitted._make(raw)

    def told(self, address: bytes, at: float) -> Answered | None:
        """What an address had been told for last at a time, in monotonic seconds: by now it may be another's."""
        every = self._told.peek(address) or ()
        count = bisect_right(every, at, key=itemgetter(_AT))
        return Answered._make(every[count - 1]) if count else None

    def _tell(self, raw: _Raw) -> None:
        every = self._told.get(raw[_TOLD])
        if every is None:
            self._told.put(raw[_TOLD], [raw])
            return
        every.append(raw)
        if len(every) > 2 * self._back:
            del every[: -self._back]
