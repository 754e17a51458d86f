"""Trace ids of flows, for whoever tells of flows.

They are looked up in the log of decisions: nothing is done for that when a packet comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realmgw.allocation.admittedlog import EACH, Mark, values
from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.lru import TwoGenerationLRU
from realmgw.config.steps import Steps, portions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from realmgw.allocation.decisionlog import DecisionLog

MOST = 1 << 16
"""Of so many flows at most it is known, the latest ones."""
AT_ONCE = 256
"""So many of the latest are learned at most when a single flow is asked for, however many there were since."""


class Traced:
    """Knows by which answers flows were let in, as long as the log did when somebody asked.

    Args:
        decisions: The log.
    """

    def __init__(self, decisions: DecisionLog) -> None:
        self._decisions = decisions
        self._mark = Mark()
        self._known = TwoGenerationLRU[Flow, int](MOST)

    def further(self, most: int | None = None) -> Iterator[tuple[Flow, int]]:
        """The flows that were let in since this was called last, the oldest first; with 0, if no answer is known.

        Their values are made as they are gone through: all of the log at once would keep packets waiting.

        Args:
            most: So many of them at most, the latest: the others are passed over, and cost nothing; None: all.
        """
        admitted = self._decisions.admitted
        since, self._mark = self._mark, admitted.mark
        new = self._mark.entries - since.entries
        count = min(new, len(admitted), new if most is None else most)
        found = values(admitted.after(since)[1]) if count == new <= EACH else admitted.latest(count)
        return ((flow, number) for _, number, _, flow, _ in found)

    def learn(self) -> Steps[None]:
        """Learn all that there is, in steps: whoever asks for many flows, or for those of long ago, does so first."""
        for some in portions(self.further()):
            self._learn(some)
            yield None

    def of(self, flow: Flow) -> int:
        """The trace id of a flow; 0: it has none, or it is not known any more."""
        self._learn(self.further(AT_ONCE))
        return self._known.peek(flow) or 0

    def _learn(self, pairs: Iterable[tuple[Flow, int]]) -> None:
        self._known.put_all({flow: number for flow, number in pairs if number})
