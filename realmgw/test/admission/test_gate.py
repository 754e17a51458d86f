"""Decisions about first packets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.faults import REPORT_INTERVAL, Faults
from realmgw.admission.gate import DROP, SILENT, Allocator, Gate
from realmgw.admission.packet import Packet
from realmgw.admission.unsolicited import Unsolicited
from realmgw.config import settings
from realmgw.datapath import marks
from realmgw.errors import Reason
from realmgw.test.admission.packets import CLIENT, POOL, icmp, ipv4, tcp, udp
from realmgw.testing import RecordingAllocator

SYN = ipv4(6, tcp(4000, 80))
MALFORMED = {
    Reason.TRUNCATED: ipv4(17, udp(), total=27),
    Reason.BAD_HEADER: ipv4(17, udp(), header_words=3),
    Reason.FRAGMENT: ipv4(17, udp(), fragment=9),
    Reason.ZERO_PORT: ipv4(17, udp(0)),
    Reason.NOT_INITIAL: ipv4(6, tcp(flags=0x10)),
}
TOLD = (Reason.NOT_OURS, Reason.NO_RESERVATION, Reason.NO_CLAIM, Reason.OTHER_NETWORK, Reason.LATE)


class RaisingAllocator:
    """An allocator whose every answer is a fault."""

    def __init__(self, fault: Exception) -> None:
        """Remember the fault."""
        self.fault = fault

    def admit(self, packet: Packet, /, *, now: float) -> int:
        """Raise the fault.

        Raises:
            Exception: The fault.
        """
        del packet, now
        raise self.fault


class GateTestCase(SynchronousTestCase):
    """Makes gates and keeps what they hand over."""

    def setUp(self) -> None:
        """Nobody was pushed, nothing went wrong."""
        self.pushed: list[bytes] = []
        self.reports: list[tuple[Exception, int]] = []

    def push(self, source: bytes) -> bool:
        """The kernel is told of a source."""
        self.pushed.append(source)
        return True

    def make_gate(self, allocator: Allocator, threshold: int = 50, reject_rate: int = 1000) -> Gate:
        """A gate before an allocator."""
        strays = Unsolicited(settings.Admission(stray_threshold=threshold), self.push)
        faults = Faults(lambda fault, count: self.reports.append((fault, count)))
        return Gate(allocator, strays, faults, reject_rate)


class GateTests(GateTestCase):
    """Marks, counters, strays."""

    def test_admits_to_the_host_that_the_allocator_names(self) -> None:
        """The mark selects the host; the allocator saw the five fields and the time."""
        allocator = RecordingAllocator({(POOL, 6, 80): 77})
        gate = self.make_gate(allocator)
        self.assertEqual(gate.decide(SYN, now=3.5), marks.admitted(77))
        self.assertEqual(allocator.asked, [((CLIENT, POOL, 6, 4000, 80), 3.5)])
        self.assertEqual((gate.admitted, sum(gate.refused)), (1, 0))

    def test_rejects_and_counts_by_reason(self) -> None:
        """The kernel shall tell the sender of whatever the allocator refuses."""
        for reason in TOLD:
            gate = self.make_gate(RecordingAllocator(refusal=reason))
            self.assertEqual(gate.decide(SYN, now=0.0), marks.REJECTED)
            self.assertEqual((gate.refused[reason], sum(gate.refused), gate.admitted), (1, 1, 0))

    def test_drops_whom_the_kernel_would_not_tell_any_more(self) -> None:
        """Within a second as many are told as may be told; the others are refused and counted like them."""
        gate = self.make_gate(RecordingAllocator(refusal=Reason.NO_CLAIM), reject_rate=3)
        verdicts = [gate.decide(SYN, now=10.0 + number / 10) for number in range(10)]
        self.assertEqual(verdicts, [marks.REJECTED] * 3 + [DROP] * 7)
        self.assertEqual((gate.refused[Reason.NO_CLAIM], gate.untold), (10, 7))
        self.assertEqual(gate.decide(SYN, now=11.0), marks.REJECTED)

    def test_tells_everybody_as_long_as_few_are_refused(self) -> None:
        """Three in each second, for a minute."""
        gate = self.make_gate(RecordingAllocator(refusal=Reason.NO_CLAIM), reject_rate=3)
        self.assertEqual({gate.decide(SYN, now=number / 3) for number in range(180)}, {marks.REJECTED})

    def test_regards_another_rate_from_the_next_second_on(self) -> None:
        """What a reload changes."""
        gate = self.make_gate(RecordingAllocator(refusal=Reason.NO_CLAIM), reject_rate=1)
        gate.decide(SYN, now=0.0)
        gate.configure(2)
        verdicts = [gate.decide(SYN, now=now) for now in (0.5, 1.0, 1.5, 1.6)]
        self.assertEqual(verdicts, [DROP, marks.REJECTED, marks.REJECTED, DROP])

    def test_drops_malformed_packets_in_silence(self) -> None:
        """Nobody is asked about them."""
        for reason, packet in MALFORMED.items():
            allocator = RecordingAllocator()
            gate = self.make_gate(allocator)
            self.assertEqual(gate.decide(packet, now=0.0), DROP)
            self.assertEqual((gate.refused[reason], allocator.asked), (1, []), reason)

    def test_has_a_verdict_for_every_reason(self) -> None:
        """Also for those that only queries have today: then the sender is told."""
        for reason in Reason:
            gate = self.make_gate(RecordingAllocator(refusal=reason))
            self.assertEqual(gate.decide(SYN, now=0.0), DROP if reason in SILENT else marks.REJECTED)

    def test_does_not_answer_icmp_errors(self) -> None:
        """RFC 1122 section 3.2.2: no ICMP error about an ICMP error."""
        gate = self.make_gate(RecordingAllocator())
        self.assertEqual(gate.decide(ipv4(1, icmp(3, 3)), now=0.0), DROP)

    def test_pushes_a_sender_who_is_refused_again_and_again(self) -> None:
        """From the threshold on; whom the kernel has is known where it is told (`realmgw.datapath.strays`)."""
        gate = self.make_gate(RecordingAllocator(), threshold=3)
        for _ in range(5):
            gate.decide(SYN, now=1.0)
        self.assertEqual(self.pushed, [CLIENT] * 3)

    def test_pushes_a_sender_of_malformed_packets(self) -> None:
        """They are no way around the kernel's limit."""
        for packet in MALFORMED.values():
            gate = self.make_gate(RecordingAllocator(), threshold=3)
            for _ in range(3):
                gate.decide(packet, now=1.0)
        self.assertEqual(self.pushed, [CLIENT] * len(MALFORMED))

    def test_admits_a_stray_that_is_waited_for(self) -> None:
        """The reservation decides first: being a stray is no reason to refuse."""
        allocator = RecordingAllocator()
        gate = self.make_gate(allocator, threshold=3)
        for _ in range(10):
            gate.decide(SYN, now=1.0)
        allocator.hosts[POOL, 6, 80] = 5
        self.assertEqual(gate.decide(SYN, now=1.0), marks.admitted(5))

    def test_does_not_count_admitted_senders_as_strays(self) -> None:
        """However many flows they open."""
        gate = self.make_gate(RecordingAllocator({(POOL, 6, 80): 5}), threshold=3)
        for _ in range(100):
            gate.decide(SYN, now=1.0)
        self.assertEqual(self.pushed, [])

    def test_drops_everything_after_stop(self) -> None:
        """And asks again after start."""
        gate = self.make_gate(RecordingAllocator({(POOL, 6, 80): 5}))
        gate.stop()
        self.assertEqual((gate.decide(SYN, now=1.0), gate.refused[Reason.STOPPED]), (DROP, 1))
        gate.start()
        self.assertEqual(gate.decide(SYN, now=1.0), marks.admitted(5))


class FaultTests(GateTestCase):
    """Faults of our own."""

    def test_drops_the_packet_when_the_allocator_raises(self) -> None:
        """It is counted and reported, and nothing is raised."""
        fault = LookupError("broken")
        gate = self.make_gate(RaisingAllocator(fault))
        self.assertEqual((gate.decide(SYN, now=1.0), gate.refused[Reason.FAULT]), (DROP, 1))
        self.assertEqual((self.reports, gate.faults.count), ([(fault, 1)], 1))

    def test_drops_the_packet_when_the_answer_is_impossible(self) -> None:
        """A host that no mark can select, a reason that does not exist, or neither of both."""
        for answer in (0, 1 << 24, -999):
            gate = self.make_gate(RecordingAllocator({(POOL, 6, 80): answer}))
            self.assertEqual((gate.decide(SYN, now=1.0), gate.refused[Reason.FAULT]), (DROP, 1))
            self.assertEqual(gate.admitted, 0)

    def test_reports_sparingly(self) -> None:
        """The first fault at once, the next report tells how many there were meanwhile."""
        fault = ValueError()
        gate = self.make_gate(RaisingAllocator(fault))
        for now in (1.0, 1.1, 1.2, 1.0 + REPORT_INTERVAL):
            gate.decide(SYN, now=now)
        self.assertEqual(self.reports, [(fault, 1), (fault, 3)])

    def test_survives_a_report_that_raises(self) -> None:
        """The faults that nobody read of are counted."""

        def broken(_fault: Exception, _count: int) -> None:
            raise OSError("the log is full")

        faults = Faults(broken)
        gate = Gate(RaisingAllocator(ValueError()), Unsolicited(settings.Admission(), self.push), faults, 1000)
        self.assertEqual(gate.decide(SYN, now=1.0), DROP)
        self.assertEqual((faults.count, faults.unreported), (1, 1))

    @given(st.binary(max_size=150), st.integers(-(2**40), 2**40))
    def test_never_raises(self, payload: bytes, answer: int) -> None:
        """Whatever comes, and whatever the allocator says, the answer is a mark; and every packet is counted once."""
        gate = self.make_gate(RecordingAllocator({(POOL, 6, 80): answer}))
        for packet in (payload, SYN, SYN[:20] + payload):
            self.assertIn(gate.decide(packet, now=0.0) & marks.STEP_MASK, (DROP, marks.ADMITTED, marks.REJECTED))
        self.assertEqual(gate.admitted + sum(gate.refused), 3)
