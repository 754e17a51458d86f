"""Tests of what is assumed of those whose clients do not come: it is to be no weapon."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.caution import (
    AGAIN,
    CAUTIOUS,
    NAMES,
    OFTEN,
    SECOND,
    STRANGERS,
    STRAYS,
    TRIED,
    TRUST,
    WITHHELD,
    Caution,
)
from realmgw.allocation.reputation.clients import CERTAIN
from realmgw.allocation.reputation.group import DELAY_P999_UNKNOWN
from realmgw.allocation.vacancies import AGAIN as AGAIN_LOOKED
from realmgw.errors import Reason
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, STRAY, Scene, serve, service

AWAY = bytes((198, 51, 101, 1))
"""Of another network than the others."""
ONE, TWO, THREE, FOUR = (service(index) for index in range(1, 5))


class ClientsTests(SynchronousTestCase):
    """Who is taken for a client of a resolver."""

    def caution(self, scene: Scene, resolver: str = RESOLVER) -> Caution:
        """What is assumed of a resolver."""
        return scene.allocator.groups.of(resolver).habits.caution

    def share(self, scene: Scene, clients: Sequence[bytes] = (CLIENT, NEIGHBOUR)) -> None:
        """Both ask for a host, the one first, for each of these, and he comes."""
        for number, client in enumerate(clients):
            scene.get(service(1 + number), now=0.1 * number)
            address = scene.get(service(1 + number), OTHER, now=0.1 * number + 0.01)
            scene.come(address, client, now=0.1 * number + 0.02)

    def test_not_who_may_be_another_ones_that_has_some(self) -> None:
        """He uses the claim that is older; it need not be that of his resolver.

        Unless nobody is known of his network, as of a new resolver's clients, and the other one has others; or his
        network is known to be its own.
        """
        for whose, where, is_client in (
            (OTHER, STRAY, False),
            (RESOLVER, STRAY, True),
            (OTHER, AWAY, True),
            ("", STRAY, False),  # wherever that one's clients are at home, it may be here
        ):
            for is_on in (False, True):  # what the other one does with answers need not be known
                scene = Scene(4, share_load=0.0)
                self.caution(scene, OTHER).serves_several, self.caution(scene, OTHER).is_on = True, is_on
                if whose:
                    scene.get(FOUR, whose, now=0.0)
                    claim = scene.allocator.groups.of(whose).told.last(FOUR.name)
                    assert claim is not None
                    scene.allocator.ledger.homes.came(where, claim, 0.0)
                self.share(scene)
                self.assertEqual(self.caution(scene).serves_several, is_client, (whose, where, is_on))

    def test_not_who_came_for_another_ones_claim_last(self) -> None:
        """Where a network's clients come by several, that is all that is known of one."""
        for is_on in (False, True):
            scene = Scene(4)
            self.caution(scene, OTHER).serves_several, self.caution(scene, OTHER).is_on = True, is_on
            for number, (resolver, source) in enumerate(((OTHER, CLIENT), (RESOLVER, STRAY), (OTHER, NEIGHBOUR))):
                scene.get((THREE, FOUR, ONE)[number], resolver, now=0.0)
                claim = scene.allocator.groups.of(resolver).told.last((THREE, FOUR, ONE)[number].name)
                assert claim is not None
                scene.allocator.ledger.homes.came(source, claim, 0.0)
            for source in (CLIENT, NEIGHBOUR):
                scene.come(scene.get(TWO, now=0.1), source, now=0.2)
            self.assertFalse(self.caution(scene).serves_several)

    def test_who_was_merged_with_it_is_no_other_one(self) -> None:
        """Where both are expected, it is its client who comes."""
        for are_merged in (False, True):
            scene = Scene(4, share_load=0.0)
            if are_merged:
                scene.allocator.groups.of(RESOLVER).absorb(scene.allocator.groups.of(OTHER), now=0.0)
            self.share(scene)
            self.assertIs(self.caution(scene).serves_several, are_merged)

    def test_but_who_may_be_another_ones_that_has_none_either(self) -> None:
        """Else of two new ones neither would be looked at; but of two one may ask for nobody, and it takes more."""
        clients = [bytes((198, 51, 100, number)) for number in range(1, 2 * CERTAIN + 1)]
        for few, is_enough in ((clients[1:], False), (clients, True)):
            scene = Scene(2 * CERTAIN, share_load=0.0)
            self.share(scene, few)
            self.assertEqual(self.caution(scene).serves_several, is_enough)
            self.assertFalse(self.caution(scene, OTHER).serves_several)

    def test_of_two_new_ones_who_asks_for_nobody_is_left_out(self) -> None:
        """Though its claims are older where both ask, and used before those of the other one, whose clients come."""
        scene = Scene(4 * CERTAIN, share_load=0.0)
        for number in range(4 * CERTAIN):
            asked, client, now = service(1 + number), bytes((198, 51, 100, 1 + number)), 0.02 * number
            if number >= 2:
                scene.ask(asked, OTHER, now=now)
            address = scene.ask(asked, now=now + 0.001)
            if isinstance(address, bytes):  # else it is tried whether it waits for that
                scene.come(address, client, now=now + 0.002)
        self.assertEqual([self.caution(scene, each).serves_several for each in (RESOLVER, OTHER)], [True, False])

    def test_not_who_knocks_everywhere(self) -> None:
        """Whatever he uses."""
        scene = Scene(4)
        addresses = [scene.get(asked, OTHER, now=0.0) for asked in (THREE, FOUR)]
        for address in addresses:
            scene.come(address, NEIGHBOUR, now=0.01)
        for packed in scene.allocator.pool.addresses:
            if packed not in addresses:
                self.assertEqual(scene.come(packed, STRAY, now=0.1), -Reason.NO_RESERVATION)
        for number, asked in enumerate((ONE, TWO)):
            scene.come(scene.get(asked, now=0.2), (CLIENT, STRAY)[number], now=0.3)
        self.assertFalse(self.caution(scene).serves_several)
        scene.come(scene.get(ONE, now=0.4), bytes((203, 0, 113, 9)), now=0.5)
        self.assertTrue(self.caution(scene).serves_several)

    def test_he_says_nothing_while_it_is_tried(self) -> None:
        """Nor does he bring a new one into the suspicion that it keeps answers; nor who may have forged his packet."""
        for is_stranger, are_forged in ((True, False), (False, False), (False, True)):
            scene = Scene(6)
            scene.allocator.ledger.candidates._forged = 0.5 if are_forged else 0.0
            for number, asked in enumerate((ONE, TWO, THREE)):
                scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
            free = [each.packed for each in scene.allocator.pool.addresses.values() if not each.reservations]
            for packed in free[: 2 if is_stranger else 1]:
                self.assertEqual(scene.come(packed, STRAY, now=0.5), -Reason.NO_RESERVATION)
            self.assertIs(scene.ask(ONE, now=1.6), Reason.EXHAUSTED)
            place = next(each for each in scene.allocator.ledger.last[ONE.target].reservations.values())
            scene.come(place.address.packed, STRAY, now=1.7)
            self.assertEqual(self.caution(scene)._strays, 0 if is_stranger or are_forged else 1)


class BoundTests(SynchronousTestCase):
    """For how long others let alone what a new one was told."""

    def told(self) -> Scene:
        """A new one was told three hosts, at all addresses that there are; a client has come for each."""
        scene = Scene(3)
        for number, asked in enumerate((ONE, TWO, THREE)):
            scene.come(scene.get(asked, now=0.1 * number), (CLIENT, NEIGHBOUR)[number % 2], now=0.1 * number + 0.01)
        return scene

    def new(self) -> Caution:
        """Of one that asks for several names, for several clients."""
        caution = Caution()
        serve(caution, CLIENT, NEIGHBOUR)
        for _ in range(NAMES):
            caution.asked(0.0)
        caution.look(0.0)
        return caution

    def again(self, caution: Caution) -> None:
        """It asks again so often that it is looked at for longer, and shows nothing."""
        for _ in range(AGAIN + 1):
            caution.asked_again(0.0, 0.5, 10.0)
        caution.look(CAUTIOUS)
        self.assertTrue(caution.is_on)

    def test_not_for_longer_than_it_takes_to_find_out(self) -> None:
        """Who asks, and whose clients hardly come, shows nothing for as long as he likes."""
        caution = self.new()
        self.assertTrue(caution.is_spared(CAUTIOUS - 0.1))
        self.again(caution)
        caution._waited = 0.5
        self.assertFalse(caution.is_spared(CAUTIOUS))

    def test_for_a_moment_more_who_could_not_be_tried(self) -> None:
        """Whenever it is looked at further: nothing that it is told stands for long enough where others wait."""
        caution = self.new()
        self.again(caution)
        self.assertEqual(
            [caution.is_spared(CAUTIOUS + after) for after in (0.0, TRIED - 0.1, TRIED)], [True, True, False]
        )

    def test_for_as_long_as_it_is_likely(self) -> None:
        """Its clients would come to other hosts."""
        caution = self.new()
        self.again(caution)
        caution.waits = True
        self.assertTrue(caution.is_spared(CAUTIOUS))

    def test_who_was_not_answered_is_no_reason_to_look_further(self) -> None:
        """That he came meanwhile makes it suspected for as long as it is not known whether he was."""
        for answered in (True, False):
            caution = self.new()
            caution._strays, caution._came = 1, {(STRAY, CLIENT, 6, 1024, 80): True}
            caution._is_answered = dict.fromkeys(caution._came, answered).__getitem__
            caution.look(CAUTIOUS - 0.1)
            self.assertTrue(caution.is_suspected)
            caution.look(CAUTIOUS)
            self.assertEqual((caution.is_on, caution.is_suspected), (answered, answered))

    def test_who_was_refused_says_nothing_where_packets_are_forged(self) -> None:
        """Nor who was let in, until it is known that he was answered: then he counts when the next one comes."""
        for forged, let_in, strays in ((False, False, [1, 2]), (True, False, [0, 0]), (True, True, [0, 1])):
            scene = Scene(4)
            scene.get(ONE, now=0.0)
            before = scene.allocator.groups.of(RESOLVER).told.last(ONE.name)
            assert before is not None
            caution, seen = self.new(), list[int]()
            for number in (2.0, 3.0):
                watcher = scene.allocator.groups.of(RESOLVER).habits
                caution.look(number)
                caution.withhold(before, None, watcher, lambda _: True, number, is_alone=True)
                flow = (STRAY, CLIENT, 6, int(number), 80)
                caution.came(flow, -1.0, number, known=False, let_in=let_in, forged=forged)
                seen.append(caution._strays)
            self.assertEqual(seen, strays)

    def test_who_has_just_come_is_not_looked_for(self) -> None:
        """Conntrack does not have him yet, and who is not known is believed; and few of those before are remembered."""
        scene = self.told()
        caution = scene.allocator.groups.of(RESOLVER).habits.caution
        before = scene.allocator.groups.of(RESOLVER).told.last(ONE.name)
        assert before is not None
        caution.is_on, caution.is_tried, caution.asks_each_time = True, True, True
        for number in range(STRAYS + 2 * STRANGERS):
            flow, forged = (STRAY, CLIENT, 6, number, 80), number >= STRAYS
            caution._leave()
            caution.withhold(before, None, scene.allocator.groups.of(RESOLVER).habits, flow.__eq__, 1.0, is_alone=True)
            self.assertFalse(caution.came(flow, -1.0, 1.0, known=False, let_in=True, forged=forged))
        self.assertLessEqual(len(caution._came), STRANGERS)

    def test_then_its_addresses_are_lent(self) -> None:
        """At once to those who wait."""
        scene = self.told()
        caution = scene.allocator.groups.of(RESOLVER).habits.caution
        self.again(caution)
        caution.look(CAUTIOUS + 0.5)
        now = CAUTIOUS + 0.5 + TRIED
        for number, asked in enumerate((ONE, TWO, THREE)):
            scene.come(scene.get(asked, now=now), bytes((203, 0, 113, number)), now=now + 0.01)
        for likely in (True, False):
            caution._strays = int(likely)
            self.assertTrue(caution.is_on)
            said = scene.ask(FOUR, OTHER, now=now + TRIED / 2)
            self.assertEqual(said is Reason.EXHAUSTED, likely)

    def test_nor_are_those_where_its_clients_may_come_for_the_host_before(self) -> None:
        """As long as it is spared, they are left alone for half of the time for which others wait."""
        for spared in (True, False):
            scene = self.told()
            caution = scene.allocator.groups.of(RESOLVER).habits.caution
            for address in scene.allocator.pool.addresses.values():
                [reservation] = address.reservations.values()
                address.before.note(99, reservation.told)
                reservation.told = {}
            if not spared:
                caution._not_before, caution._until = caution._not_before - CAUTIOUS, caution._until - TRIED
            self.assertEqual(scene.ask(FOUR, OTHER, now=1.0) is Reason.EXHAUSTED, spared)

    def waits(self, scene: Scene, *, is_left_alone: bool) -> None:
        """Another one waits, who is served after half of his time, or when nobody of the first one's can come."""
        scene.wait(FOUR, OTHER, tcp=True, now=0.25)
        [waiter] = scene.allocator._queue._targets[FOUR.target].values()
        half, end = (waiter.since + waiter.deadline) / 2 + 0.01, SECOND + DELAY_P999_UNKNOWN
        self.assertLess(half, end)
        for now in (half, end - 0.01, end + AGAIN_LOOKED):
            scene.allocator.expire(now=now)
            self.assertEqual(len(scene.told), int(now > end or not is_left_alone), now)

    def test_however_long_others_wait_for_those_of_one_that_waits_and_asked_for_no_name_sooner(self) -> None:
        """Until it was seen to, it is taken to tell for a second what it was told; but only as long as it is spared."""
        for quick, spared in ((0, True), (1, True), (0, False)):
            scene = self.told()
            caution = scene.allocator.groups.of(RESOLVER).habits.caution
            caution.waits, caution._waited, caution._quick = True, 1, quick
            if not spared:
                caution._not_before = -TRUST
            self.waits(scene, is_left_alone=spared and not quick)

    def test_however_long_others_wait_for_those_of_one_that_most_likely_keeps_answers(self) -> None:
        """It told its own clients where they are, for a second; nor are they dead by experience for anybody."""
        for likely in (True, False):
            scene = self.told()
            caution = scene.allocator.groups.of(RESOLVER).habits.caution
            assert caution.seen is not None
            caution._not_before, caution.waits, caution._waited = -TRUST, True, 1
            caution.seen.all = OFTEN if likely else OFTEN - 1
            kept = [each.is_kept(0.25) for each in scene.allocator.pool.addresses.values()]
            self.assertEqual(kept, [likely] * 3)
            if not likely:
                together = 0.01 + DELAY_P999_UNKNOWN  # those come who asked at one time, for the first of the three
                self.assertIs(scene.ask(FOUR, OTHER, now=together - 0.02), Reason.EXHAUSTED)
                self.assertIsInstance(scene.ask(FOUR, OTHER, now=together), bytes)
                continue
            self.waits(scene, is_left_alone=True)

    def test_who_is_not_spared_is_only_where_it_is_tried_and_no_longer(self) -> None:
        """Or the trial would tell nothing, and it would never be sure; though it need not ask again for what it is."""
        for keeps_nothing in (True, False):
            scene, start = self.told(), CAUTIOUS / 10
            caution = scene.allocator.groups.of(RESOLVER).habits.caution
            caution.asks_each_time, caution.waits, caution._waited, caution._not_before = keeps_nothing, True, 1, -TRUST
            self.assertIs(scene.ask(ONE, now=start), Reason.EXHAUSTED)
            self.assertEqual(caution.is_on, not keeps_nothing)
            self.assertFalse(caution.is_spared(start))
            tried = scene.allocator.ledger.last[ONE.target]
            lent = [scene.ask(FOUR, OTHER, now=start), scene.ask(service(5), OTHER, now=start)]
            self.assertNotIn(tried.packed, lent)
            self.assertNotIn(Reason.EXHAUSTED, lent)
            self.assertIs(scene.ask(service(6), OTHER, now=start + WITHHELD - 0.01), Reason.EXHAUSTED)
            self.assertEqual(scene.ask(service(7), OTHER, now=start + WITHHELD), tried.packed)
