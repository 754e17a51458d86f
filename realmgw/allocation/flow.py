"""A flow, as its first packet shows it, and what is asked and told of flows and of those who are expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from realmgw.subscribers.model import Terms

Flow = tuple[bytes, bytes, int, int, int]
"""Packed source, packed destination, protocol, source port, destination port."""
Answered = Callable[[Flow], "bool | None"]
"""Whether a flow that was admitted is answered; None: that can not be told, it may have been."""


class Answers(Protocol):
    """Flows that were answered, as they are told of; see `realmgw.admission.answers.Answers`."""

    def has(self, flow: Flow, came: float) -> bool | None:
        """Whether one was that came then (monotonic seconds); None: it is to be asked for."""

    def tells(self, flow: Flow) -> bool:
        """Whether it is told of such a flow at all."""

    def news(self, address: bytes) -> object:
        """Another thing than before when one to a packed address was told of; None: nothing is known of that."""

    def mistrust(self, flow: Flow) -> None:
        """One was, and was not told of."""


class Noted(dict[tuple[bytes, int], "Terms | None"]):
    """Where it is put down what has begun and ended, for somebody who reads it, and clears it.

    By packed address and service key (protocol << 16 | port, 0 = any of either): the options of its service; None in
    place of these: it has ended. It is on the path of queries, so nobody is called for each.

    Args:
        begin: Called before the first one is put down.
    """

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[], object]) -> None:
        super().__init__()
        self.begin = begin
