"""The record of refused senders."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.admission.unsolicited import GENERATION, Unsolicited
from realmgw.config import settings
from realmgw.test.admission.packets import CLIENT, CLIENT_V6, POOL

ADMISSION = settings.Admission(stray_threshold=5, stray_timeout=10.0)


def record(max_sources: int = 100) -> tuple[Unsolicited, list[bytes]]:
    """A record, and the list of what it pushes."""
    pushed: list[bytes] = []

    def push(source: bytes) -> bool:
        pushed.append(source)
        return pushed.count(source) == 1

    return Unsolicited(ADMISSION, push, max_sources=max_sources), pushed


class StraysTests(SynchronousTestCase):
    """Who is handed to the kernel, and when."""

    def test_pushes_a_source_when_it_reaches_the_threshold(self) -> None:
        """Not before, and only the source that does."""
        senders, pushed = record()
        for _ in range(4):
            senders.refused(CLIENT, now=1.0)
            senders.refused(POOL, now=1.0)
        self.assertEqual(pushed, [])
        senders.refused(CLIENT, now=1.1)
        self.assertEqual(pushed, [CLIENT])

    def test_counts_across_generations(self) -> None:
        """A second has no beginning: what came shortly before the turn counts with what comes shortly after it."""
        senders, pushed = record()
        senders.refused(POOL, now=1.0)
        for now in (1.4, 1.45, 1.49, 1.5, 1.51):
            senders.refused(CLIENT, now=now)
        self.assertEqual(pushed, [CLIENT])

    def test_takes_a_prefix_of_ipv6_for_one_sender(self) -> None:
        """He may send from any address of it; those of IPv4 are somebody each."""
        senders, pushed = record()
        for number in range(5):
            senders.refused(CLIENT_V6[:8] + bytes((number, *bytes(7))), now=1.0)
            senders.refused(bytes((192, 0, 2, number)), now=1.0)
        self.assertEqual(pushed, [CLIENT_V6[:8] + bytes(8)])

    def test_forgets_after_a_second(self) -> None:
        """A sender who keeps below the threshold is never pushed, however long he goes on."""
        senders, pushed = record()
        for step in range(100):
            senders.refused(CLIENT, now=step * 0.26)
        self.assertEqual(pushed, [])

    def test_forgets_at_once_after_a_pause(self) -> None:
        """What was counted before a silence of a second counts no more."""
        senders, pushed = record()
        for now in (1.0, 1.0, 1.0, 1.0, 2.01, 2.01, 2.01, 2.01):
            senders.refused(CLIENT, now=now)
        self.assertEqual(pushed, [])

    def test_pushes_with_each_packet_beyond_the_threshold(self) -> None:
        """Whether the kernel has the source is not known here; what it was told for this is what counts."""
        senders, pushed = record()
        for _ in range(7):
            senders.refused(CLIENT, now=1.0)
        self.assertEqual((pushed, senders.pushed), ([CLIENT] * 3, 1))

    def test_counts_what_it_has_no_room_for(self) -> None:
        """A flood from more sources than fit leaves the later ones uncounted until the next generation."""
        senders, pushed = record(max_sources=2)
        for source in (b"aaaa", b"bbbb", b"cccc", b"cccc", b"cccc"):
            senders.refused(source, now=1.0)
        self.assertEqual(senders.overflow, 3)
        for _ in range(5):
            senders.refused(b"cccc", now=1.0 + GENERATION)
        self.assertEqual(pushed, [b"cccc"])

    def test_still_counts_known_sources_when_it_is_full(self) -> None:
        """So a flood can not hide who was seen before it."""
        senders, pushed = record(max_sources=1)
        for _ in range(5):
            senders.refused(CLIENT, now=1.0)
            senders.refused(POOL, now=1.0)
        self.assertEqual(pushed, [CLIENT])

    @given(st.lists(st.tuples(st.floats(0, 0.4), st.integers(0, 2)), max_size=120))
    def test_never_pushes_who_kept_below_the_threshold(self, steps: list[tuple[float, int]]) -> None:
        """Each pushed source really had that many refusals within the last second; told by counting them all."""
        senders, pushed = record()
        now, seen = 0.0, dict[bytes, list[float]]()
        for pause, which in steps:
            now, before = now + pause, len(pushed)
            source = bytes((which,)) * 4
            seen.setdefault(source, []).append(now)
            senders.refused(source, now=now)
            if len(pushed) > before:
                self.assertGreaterEqual(sum(now - at <= 1.0 for at in seen[source]), 5)

    @given(st.floats(0, 5), st.integers(12, 40))
    def test_always_pushes_who_keeps_above_the_threshold(self, begin: float, rate: int) -> None:
        """Whoever sends more than the threshold per half second is found within 1.5 seconds, whenever he begins."""
        senders, pushed = record()
        senders.refused(POOL, now=0.0)
        for step in range(rate + rate // 2):
            senders.refused(CLIENT, now=begin + step / rate)
        self.assertEqual(set(pushed), {CLIENT})
