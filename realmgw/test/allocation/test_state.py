"""Tests of whether all clients have come who were told something: of its own, and of others that were told the same."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.reputation.caution import SEEN, WITHHELD, WITHHELD_LEAST
from realmgw.allocation.state import Claim
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, OTHER, RESOLVER, Scene, service

ONE = service(1)


class SettledTests(SynchronousTestCase):
    """A resolver that is busy keeps no other one from being tried for longer than its own clients take."""

    def told(self, *, quick: bool, waited: bool) -> Claim:
        """What a new one was told at 0.0 of a host, of which another one is told at 1.0.

        Args:
            quick: The other one's clients are known to come at once.
            waited: It had to wait for that, and its client has come; else he is expected.
        """
        scene = Scene(1)
        for _ in range(SEEN if quick else 0):
            scene.allocator.groups.of(OTHER).arrived(0.001, b"1234")
        address = scene.get(ONE, now=0.0)
        scene.come(address, CLIENT, now=0.01)
        self.assertEqual(scene.get(ONE, OTHER, now=1.0), address)
        told = scene.allocator.groups.of(RESOLVER).told.last(ONE.name)
        assert isinstance(told, Claim)
        if waited:
            told.reservation.waited_at = 1.0
            scene.come(address, NEIGHBOUR, now=1.0)
        return told

    def test_others_are_waited_for_as_long_as_their_clients_take(self) -> None:
        """Those that are expected, and those who may have asked with one that has come."""
        for waited in (False, True):
            for quick, until in ((True, WITHHELD_LEAST), (False, WITHHELD)):
                told = self.told(quick=quick, waited=waited)
                self.assertFalse(told.is_settled(1.0 + until - 0.01))
                self.assertTrue(told.is_settled(1.0 + until + 0.01))

    def test_its_own_as_long_as_it_is_told(self) -> None:
        """However quick others are; and what it was told once more counts."""
        scene = Scene(1)
        address = scene.get(ONE, now=0.0)
        scene.come(address, CLIENT, now=0.01)
        told = scene.allocator.groups.of(RESOLVER).told.last(ONE.name)
        assert isinstance(told, Claim)
        self.assertEqual(scene.get(ONE, now=1.0), address)
        self.assertFalse(told.is_settled(1.0 + WITHHELD - 0.01))
        self.assertTrue(told.is_settled(1.21, 0.2))

    def test_not_once_it_has_left(self) -> None:
        """Nobody can be seen to come any more."""
        told = self.told(quick=True, waited=False)
        self.assertTrue(told.is_settled(9.0))
        told.reservation.address.reservations.clear()
        self.assertFalse(told.is_settled(9.0))
