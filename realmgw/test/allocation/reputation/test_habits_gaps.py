"""Tests of what it says of a resolver how soon it asks again: it keeps answers, or somebody asks it by the clock."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.habits import GAPS, LATECOMERS, Habits
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, Scene, serve, service

ONE = service(1)
PATIENCE = 0.1


class LateTests(SynchronousTestCase):
    """For how long answers are kept, before it is known how soon who keeps them asks again."""

    def test_who_keeps_them_for_a_minute_is_believed_that_by_the_first_late_clients(self) -> None:
        """Who are the sooner late the more of them come: here within two and a half seconds."""
        habits = Habits()
        for number in range(LATECOMERS):
            habits.came_again(bytes((203, 0, 113, number)), 2.1 + 0.1 * number, PATIENCE, 3.0)
        self.assertGreaterEqual(habits.window(PATIENCE, 3.0), 60.0)


class GapsTests(SynchronousTestCase):
    """The times between what it was told and when it asks for that again."""

    def regular(self, late: int, spread: float, *, clients: int = 2) -> bool:
        """Whether it is known after gaps of a second, and by up to so much more, with so many late clients to 24."""
        habits = Habits()
        serve(habits.caution, *(CLIENT, NEIGHBOUR)[:clients])
        for _ in range(2):
            self.assertFalse(habits.keeps_answers)
            for _ in range(late):
                habits.came_late()
            for number in range(GAPS):
                habits.asked_again(1.0 + spread * number / GAPS, PATIENCE, 0.0)
        self.assertAlmostEqual(habits.window(PATIENCE, 0.0), 1.0 + PATIENCE if habits.keeps_answers else 0.0)
        return habits.keeps_answers

    def test_regular_gaps_give_a_keeper_away(self) -> None:
        """Who asks again no sooner than after some time, and whose clients come meanwhile, keeps what he was told."""
        self.assertTrue(self.regular(2, 1.0))

    def test_regular_gaps_alone_are_those_of_a_clock(self) -> None:
        """A monitoring system asks as regularly; its client comes at once, and nobody else does."""
        self.assertFalse(self.regular(0, 1.0))

    def test_the_more_alike_gaps_are_the_more_clients_come_late(self) -> None:
        """If clients who come by chance make so little difference, they are many; a few who come late mean nothing."""
        self.assertEqual([self.regular(late, 0.01) for late in (1, 10, 150)], [False, False, True])
        self.assertFalse(self.regular(1000, 0.0))

    def test_who_asks_for_one_client_alone_is_no_keeper(self) -> None:
        """That one may come by himself, and comes where he is known."""
        self.assertFalse(self.regular(2, 1.0, clients=1))

    def test_a_late_client_whom_it_was_not_asked_for_counts(self) -> None:
        """One who comes for what another one was told."""
        habits = Habits()
        serve(habits.caution, CLIENT, NEIGHBOUR)
        for _ in range(2):
            for src in (CLIENT, NEIGHBOUR):
                habits.came_again(src, PATIENCE + 0.1, PATIENCE, 0.0)
            for number in range(GAPS):
                self.assertFalse(habits.keeps_answers)
                habits.asked_again(1.0 + number / GAPS, PATIENCE, 0.0)
        self.assertTrue(habits.keeps_answers)

    def test_gaps_by_chance_do_not(self) -> None:
        """As those of clients are: some are very short, and none of many is so for once only."""
        habits = Habits()
        serve(habits.caution, CLIENT, NEIGHBOUR)
        for least in (0.02, 1.0, 0.02, 1.0, 0.02):
            for _ in range(GAPS):
                habits.came_late()
            for number in range(GAPS):
                habits.asked_again(least + 2.0 * number / GAPS, PATIENCE, 0.0)
        self.assertFalse(habits.is_known)

    def test_who_came_late_before_does_not_count(self) -> None:
        """While it asked by chance, or clients came for something else."""
        habits = Habits()
        serve(habits.caution, CLIENT, NEIGHBOUR)
        for _ in range(GAPS):
            habits.came_late()
        for least in (0.02, 1.0, 1.0):
            for number in range(GAPS):
                habits.asked_again(least + number / GAPS, PATIENCE, 0.0)
        self.assertFalse(habits.is_known)

    def test_who_comes_back_late_is_seen_where_gaps_are_regular(self) -> None:
        """He came for an answer that is old by now, of the one who asked for him."""
        for watched, other, seen in ((9.0, False, 1), (0.2, False, 0), (9.0, True, 0)):
            scene = Scene()
            group = scene.allocator.groups.of(RESOLVER)
            group.habits.watched_until = watched
            scene.learn_delays(RESOLVER, PATIENCE)
            address = scene.visit(ONE, now=0.0, after=0.0)
            scene.come(address, CLIENT, now=0.05)  # together with the first one
            if other:
                scene.visit(ONE, OTHER, now=0.1, after=0.0)
            scene.come(address, CLIENT, now=0.3)
            self.assertEqual(group.habits._late, seen, (watched, other))
