"""The memory of what was done."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.dns.codec.wire import Rcode
from realmgw.dns.update.replay import Memory, Once
from realmgw.test.dns.update.face import NOW

KEY = "dhcp."


def once(number: int, key: str = KEY) -> Once:
    """One of many."""
    return Once(key, number.to_bytes(16, "big"))


class MemoryTests(SynchronousTestCase):
    """A memory of three updates."""

    def setUp(self) -> None:
        """It begins now."""
        self.memory = Memory(NOW, 3)

    def note(self, number: int, signed: int, key: str = KEY, now: int = NOW) -> None:
        """One was done."""
        self.memory.note(once(number, key), signed, signed + 301, Rcode.NOERROR, now)

    def test_what_was_done_is_known_while_it_would_be_believed(self) -> None:
        """And no longer."""
        self.note(1, NOW)
        self.assertEqual(self.memory.answer(once(1)), Rcode.NOERROR)
        self.assertIsNone(self.memory.answer(once(2)))
        self.note(2, NOW + 301, now=NOW + 301)
        self.assertIsNone(self.memory.answer(once(1)))

    def test_nothing_is_believed_from_before_the_start(self) -> None:
        """It may have been done by the process before."""
        self.assertTrue(self.memory.is_old(once(1), NOW - 1, NOW))
        self.assertFalse(self.memory.is_old(once(1), NOW, NOW))

    def test_a_clock_that_is_put_back_keeps_nobody_out(self) -> None:
        """For longer than it takes to see it."""
        self.assertFalse(self.memory.is_old(once(1), NOW - 3600, NOW - 3600))

    def test_several_of_one_second_are_all_believed(self) -> None:
        """In any order, also with others of a later time between them."""
        for number, signed in ((1, NOW + 1), (2, NOW), (3, NOW + 1)):
            self.assertFalse(self.memory.is_old(once(number), signed, NOW + 1))
            self.note(number, signed, now=NOW + 1)

    def test_what_is_forgotten_too_early_is_known_by_its_time(self) -> None:
        """With everything of its key that was signed up to then; other keys are others."""
        for number in range(4):
            self.note(number, NOW + number)
        self.assertEqual(len(self.memory), 3)
        self.assertIsNone(self.memory.answer(once(0)))
        self.assertTrue(self.memory.is_old(once(0), NOW, NOW))
        self.assertFalse(self.memory.is_old(once(9), NOW + 1, NOW))
        self.assertFalse(self.memory.is_old(once(0, "other."), NOW, NOW))

    def test_a_key_that_is_taken_away_leaves_nothing(self) -> None:
        """What is left of others stays."""
        for number in range(8):
            self.note(number, NOW + 9, f"key{number % 2}.")
        self.memory.configure({"key1."})
        self.assertFalse(self.memory.is_old(once(0, "key0."), NOW + 9, NOW))
        self.assertTrue(self.memory.is_old(once(1, "key1."), NOW + 9, NOW))
