"""Tests of what does not show that a resolver keeps nothing, although it asks again soon."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.flow import Flow
from realmgw.allocation.reputation.caution import (
    ASSUMED,
    QUICKLY,
    SECOND,
    SHORT,
    SHORTEST,
    SURE,
    TIMES,
    WITHHELD,
    Caution,
)
from realmgw.allocation.reputation.delays import APART, APART_LEAST, Delays
from realmgw.allocation.reputation.group import DELAY_P999_UNKNOWN
from realmgw.allocation.reputation.seen import MOST, REPEATED, Seen
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, RESOLVER, STRAY, Scene, service

ONE, TWO, THREE, FOUR, FIVE = (service(index) for index in range(1, 6))
END = 5.0 + QUICKLY - SHORTEST


class AskedAgainTests(SynchronousTestCase):
    """Of a new resolver, whose clients have come; it was seen to wait."""

    def setUp(self) -> None:
        """It asks for two names."""
        self.scene, self.told = Scene(6), list[bytes | Reason]()
        for number, asked in enumerate((ONE, TWO)):
            self.scene.come(self.scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number], now=0.1 * number)
        self.group = self.scene.allocator.groups.of(RESOLVER)
        self.caution.waits, self.caution._waited = True, SURE  # or it would be told nothing for a moment
        self.assertTrue(self.caution.is_on)

    @property
    def caution(self) -> Caution:
        """What is thought of it."""
        return self.group.habits.caution

    @property
    def seen(self) -> Seen:
        """What is seen of it."""
        assert self.caution.seen is not None
        return self.caution.seen

    @property
    def delays(self) -> Delays:
        """How soon its clients came."""
        assert self.group.delays is not None
        return self.group.delays

    def wait(self, question: str, now: float) -> None:
        """It asks, and has to wait."""
        self.scene.allocator.wait(FIVE, RESOLVER, question, self.told.append, tcp=True, now=now)

    def test_at_one_time_it_is_asked_once(self) -> None:
        """By two threads, or for two clients, before the first answer is there: that is no third time in a second."""
        for apart, times, moments in (
            (APART, 0, (5.0, 5.0 + APART * 0.9, END)),
            (APART, 1, (5.0, 5.0 + APART * 1.1, END)),
            (APART, 0, (5.0, 5.0 + SHORT, 5.0 + SHORT + APART * 0.9, END + 1.0)),
            (APART, 1, (5.0, 5.001, 5.002, 5.4, 5.401, 5.8, 5.801)),
            (APART_LEAST, 0, (5.0, 5.0 + APART_LEAST * 0.9, END)),
            (APART_LEAST, 1, (5.0, 5.0 + APART_LEAST * 1.1, END)),
        ):
            self.setUp()
            self.assertEqual(self.delays.apart, APART_LEAST)
            self.delays.apart = apart
            for now in moments:
                self.scene.get(FIVE, now=now)
            self.assertEqual(self.caution._quick, times, moments)

    def test_who_hangs_up_asks_once_more(self) -> None:
        """For nobody else: it had asked that before it was told."""
        for told, waits, times in ((True, True, TIMES), (False, True, 0), (True, False, 1), (False, False, 0)):
            self.setUp()
            self.scene.get(FIVE, now=5.0)
            self.scene.get(FIVE, now=5.0 + 2 * SHORTEST)
            if not told:
                self.wait("gone", 5.1)
                self.assertEqual(self.caution._quick, 0)
                self.scene.allocator.hang_up(FIVE, "gone", self.told.append, now=5.2)
                self.assertEqual(self.told, [Reason.GONE])
            if waits:
                self.seen.ticks = ((0.9, 0.01),)  # when its clock can not have ticked in between
                self.wait("again", 5.25)
            else:
                self.scene.get(FIVE, now=5.25)
            self.assertEqual(self.caution._quick, times, (told, waits))

    def test_once_it_was_told_no_more_is_a_repetition(self) -> None:
        """Also if it had asked for that before it was told the last time, and was told only now."""
        self.scene.get(FIVE, now=5.0)
        claim = self.group.told.last(FIVE.name)
        assert claim is not None
        self.seen.hung_up(FIVE.name, 4.8)
        self.scene.allocator.ledger.claim(claim.reservation, self.group, "late", None, 5.1, waited=0.2)
        self.assertFalse(self.seen.repeats(FIVE.name, 5.2))

    def test_but_others_were_told_before_it_asked_once_more(self) -> None:
        """One of these may use the claim: its own client is to come yet."""
        self.scene.get(FIVE, now=5.0)
        self.seen.hung_up(FIVE.name, 5.1)
        self.scene.get(FIVE, now=5.2)
        claim = self.group.told.last(FIVE.name)
        assert claim is not None
        self.assertEqual((claim.created, claim.asked_before), (5.2, 5.0))
        self.assertFalse(self.seen.repeats(FIVE.name, 5.2), "it was taken for that once")

    def test_nor_is_it_who_only_may_have_asked(self) -> None:
        """A question that anybody may have sent in its name, while such are doubted, is none of its own."""
        self.scene.get(FIVE, now=5.0)
        self.group.word.doubted_until, self.group.passed = 9.0, 1
        self.seen.hung_up(FIVE.name, 5.1)
        self.wait("forged", 5.2)
        self.scene.get(FIVE, now=5.3)
        self.assertTrue(self.seen.repeats(FIVE.name, 5.4))


class KeptTests(SynchronousTestCase):
    """Of a new resolver that may keep what it is told for a second, as any may."""

    def scene(self, *, each_time: bool = False) -> Scene:
        """It was told of two hosts, at 0.0 and 0.1 s, and their clients came; and of further ones."""
        scene = Scene(6)
        for number, asked in enumerate((ONE, TWO, THREE, FOUR)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        self.caution(scene).asks_each_time = each_time
        return scene

    def caution(self, scene: Scene) -> Caution:
        """What is thought of it."""
        return scene.allocator.groups.of(RESOLVER).habits.caution

    def tried(self, scene: Scene, now: float) -> bytes:
        """It asks for the first one again, and is told nothing; returns where that is."""
        self.assertIs(scene.ask(ONE, now=now), Reason.EXHAUSTED)
        return scene.allocator.ledger.last[ONE.target].packed

    def test_who_was_told_within_that_second_says_nothing(self) -> None:
        """He comes as late as clients do. Nor does it show that it waits; who comes later, or asks each time, does."""
        for asked, came, each_time, strays in (
            (0.6, 0.7, False, 0),
            (1.05, SECOND + WITHHELD - 0.01, False, 0),
            (1.05, SECOND + WITHHELD + 0.01, False, 1),
            (0.6, 0.7, True, 1),
        ):
            scene = self.scene(each_time=each_time)
            scene.come(self.tried(scene, asked), STRAY, now=came)
            self.caution(scene).look(asked + WITHHELD)
            self.assertEqual((self.caution(scene)._strays, self.caution(scene)._waited), (strays, 0.0), (asked, came))
            self.assertFalse(self.caution(scene).waits)
            self.assertIs(scene.ask(TWO, now=1.7), Reason.EXHAUSTED, "it is tried anew")

    def test_where_many_packets_are_forged_those_count_who_are_answered(self) -> None:
        """Who is not says nothing, and who is, once that is known, speaks against it whenever he comes."""
        nobody: set[Flow] = set()
        flows = {(STRAY, CLIENT, 6, port, 80) for port in (1024, 1025)}
        for answered, strays in ((nobody, 0), (flows, 1)):
            caution = self.caution(scene := self.scene())
            before = scene.allocator.groups.of(RESOLVER).told.last(ONE.name)
            assert before is not None
            for flow in flows:
                watcher = scene.allocator.groups.of(RESOLVER).habits
                caution.withhold(before, None, watcher, answered.__contains__, 0.6, is_alone=True)
                caution.came(flow, -1.0, 0.7, known=False, let_in=True, forged=True)
            self.assertEqual(caution._strays, strays)

    def test_once_it_was_seen_to_wait_what_it_was_told_is_kept_for_no_longer(self) -> None:
        """Whether it is told something then, or has to wait: others would wait for nobody."""
        for waits in (False, True):
            scene = self.scene()
            habits = scene.allocator.groups.of(RESOLVER).habits
            habits.keeps, habits.keeps_until = ASSUMED, 99.0  # so it seems at first
            address = scene.allocator.pool.addresses[scene.get(FIVE, now=0.5)]
            self.assertEqual(address.held_until, 0.5 + habits.spell(DELAY_P999_UNKNOWN))
            self.caution(scene).waits, self.caution(scene)._waited = True, SURE
            habits.renews, habits.renews_until = SECOND, 99.0
            if waits:
                scene.allocator.wait(ONE, RESOLVER, "one", print, tcp=True, now=0.7)
            else:
                scene.get(THREE, now=0.7)
            self.assertEqual(address.held_until, 0.5 + SECOND + DELAY_P999_UNKNOWN)


class RepeatedTests(SynchronousTestCase):
    """Which question may be one once more."""

    def test_the_first_one_soon_after_it_was_hung_up(self) -> None:
        """Who asked before that did not repeat it; nor does the next one, or one that comes much later."""
        seen = Seen()
        seen.hung_up("one.", 5.0)
        self.assertEqual(
            [seen.repeats(*asked) for asked in (("one.", 4.9), ("two.", 5.1), ("one.", 5.1), ("one.", 5.2))],
            [False, False, True, False],
        )
        seen.hung_up("one.", 5.0)
        self.assertFalse(seen.repeats("one.", 5.0 + REPEATED))

    def test_of_many_names_not_all_are_known(self) -> None:
        """Its memory has a bound."""
        seen = Seen()
        for number in range(1000):
            seen.hung_up(f"{number}.", 5.0)
            seen.waits_for(f"{number}.", 5.0)
        self.assertLessEqual(max(len(seen._hung_up), len(seen._waited)), MOST)
        self.assertTrue(seen.repeats("999.", 5.1))
        self.assertTrue(seen.had_to_wait("999.", 4.9, 5.1))
        self.assertEqual([seen.had_to_wait("999.", *times) for times in ((5.0, 5.1), (4.9, 7.1))], [False, False])
