"""The gate: a first packet in, the mark of its verdict out.

A packet is parsed, then the allocator is asked whether somebody behind the gateway waits for it. The order matters: the
reservation decides first and the record of unsolicited senders kept afterwards, so a sender who was one and then asks
for the name properly is let in.

The mark that `decide` returns *is* the verdict: 0 drops the packet in silence, every other mark accepts it with that
mark, and the kernel's rules then translate it (`marks.ADMITTED`) or refuse it and tell the sender (`marks.REJECTED`).

The kernel tells no more senders per second than `datapath: reject_rate`. Under a flood it would be waste to send it the
others as well, through all the rules, only to be dropped there: beyond that rate the gate drops them itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from realmgw.admission.faults import Faults
from realmgw.admission.packet import Packet, parse, source_of
from realmgw.admission.unsolicited import Unsolicited
from realmgw.datapath import marks
from realmgw.errors import Reason, by_reason

DROP = 0
"""In the place of a mark: drop the packet and tell nobody."""

SILENT = frozenset(
    (
        Reason.TRUNCATED,
        Reason.BAD_HEADER,
        Reason.FRAGMENT,
        Reason.ZERO_PORT,
        Reason.NOT_INITIAL,
        Reason.FAULT,
        Reason.STOPPED,
        Reason.CROWDED,
    )
)
"""Refused without a word. Malformed packets and those that begin nothing: RFC 1122 section 3.2.2 forbids ICMP errors
about fragments and ICMP errors, and for the rest nobody honest waits. Our own faults, packets that come while the
gateway stops, or in a crowd of strangers: their sender will try again, and by then somebody may be able to decide."""

TELLING = 1.0  # seconds
"""Senders who are told of a refusal are counted for so long."""
_ADMITTED, _HOST_MASK = marks.ADMITTED, marks.HOST_MASK
_VERDICTS = tuple(DROP if reason in SILENT else marks.REJECTED for reason in range(max(Reason) + 1))


class Allocator(Protocol):
    """What the gate needs to know of the allocation."""

    def admit(self, packet: Packet, /, *, now: float) -> int:
        """Match a first packet with the reservations.

        Returns:
            The index of the host to admit it to, > 0; else minus a `Reason`.
        """


class Gate:
    """Decides about first packets, and counts.

    Args:
        allocator: Whom to ask.
        unsolicited: Is told of every refused sender.
        faults: Is told of every fault of our own.
        reject_rate: How many refused senders are told so within a second.
        note: Is told of each refused packet when it was, what it is of, and why.

    Attributes:
        admitted: How many packets were admitted.
        refused: How many were refused, indexed by `Reason`.
        untold: How many of these were dropped since enough senders were told already.
        faults: The faults of our own.
    """

    def __init__(
        self,
        allocator: Allocator,
        unsolicited: Unsolicited,
        faults: Faults,
        reject_rate: int,
        note: Callable[[float, Packet, int], object] = lambda *_: None,
    ) -> None:
        self._admit = allocator.admit
        self._unsolicited = unsolicited
        self._note = note
        self._stopped = False
        self.faults = faults
        self.admitted = 0
        self.refused = [0] * (max(Reason) + 1)
        self.untold = 0
        self._reject_rate = reject_rate
        self._telling_left = 0
        self._telling_ends = float("-inf")

    def configure(self, reject_rate: int) -> None:
        """From the next second on, so many refused senders are told so."""
        self._reject_rate = reject_rate

    def counts(self) -> dict[str, object]:
        """What was counted since the start."""
        return {
            "admitted": self.admitted,
            "untold": self.untold,
            "faults": self.faults.count,
            "faults_unreported": self.faults.unreported,
            "strays_pushed": self._unsolicited.pushed,
            "strays_overflow": self._unsolicited.overflow,
            "refused": by_reason(self.refused),
        }

    def start(self) -> None:
        """Ask the allocator again, after `stop`; a new gate does so from the beginning."""
        self._stopped = False

    def stop(self) -> None:
        """Admit nothing any more: whatever comes is dropped, and counted as `Reason.STOPPED`."""
        self._stopped = True

    def decide(self, payload: bytes, *, now: float) -> int:
        """Decide about a packet. Never raises: a fault of our own drops the packet and is counted and reported.

        Args:
            payload: The packet from its IP header on, at least its first `packet.COPY_RANGE` octets.
            now: Monotonic seconds.

        Returns:
            The mark to accept the packet with, or `DROP`.
        """
        try:
            if self._stopped:
                return self._refuse(Reason.STOPPED, now)
            packet = parse(payload)
            if not isinstance(packet, tuple):
                return self._refuse_malformed(packet, payload, now)
            index = self._admit(packet, now=now)
            if 0 < index <= _HOST_MASK:
                self.admitted += 1
                return _ADMITTED | index
            if index > 0:
                marks.admitted(index)  # raises
            self._unsolicited.refused(packet[0], now=now)
            self._note(now, packet, -index)
            return self._refuse(-index, now)
        except Exception as fault:  # noqa: BLE001 - whatever it is, this packet and those behind it need a verdict
            return self._fail(fault, now)

    def _refuse(self, reason: int, now: float) -> int:
        """Count a refusal, and decide whether its sender is told.

        Raises:
            IndexError, ValueError: There is no such reason: the allocator broke its promise.
        """
        if reason <= 0:
            raise ValueError("the allocator answered neither with a host nor with a reason")
        self.refused[reason] += 1
        verdict = _VERDICTS[reason]
        if verdict:
            if self._telling_left > 0:
                self._telling_left -= 1
            elif now >= self._telling_ends:
                self._telling_ends = now + TELLING
                self._telling_left = self._reject_rate - 1
            else:
                self.untold += 1
                return DROP
        return verdict

    def _refuse_malformed(self, reason: Reason, payload: bytes, now: float) -> int:
        """Its sender counts as a stray as well: else malformed packets would be the way around the kernel's limit."""
        verdict = self._refuse(reason, now)
        source = source_of(payload)
        if source is not None:
            self._unsolicited.refused(source, now=now)
        return verdict

    def _fail(self, fault: Exception, now: float) -> int:
        """Drop the packet that our own fault came with."""
        self.refused[Reason.FAULT] += 1
        self.faults.record(fault, now=now)
        return DROP
