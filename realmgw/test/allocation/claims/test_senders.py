"""Tests of the senders that a reservation remembers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.claims import senders
from realmgw.test.allocation.scene import Scene, service

ONE = service(1)


class SendersTests(SynchronousTestCase):
    """Somebody comes every tenth of a second, and may come again within ten seconds."""

    def test_nobody_is_forgotten_who_may_come_again(self) -> None:
        """Of more than those who are kept in any case; but who may not any more is, after as long again."""
        scene = Scene(4, linger=10.0, claim_sources=1)
        for number in range(300):
            scene.visit(ONE, source=number.to_bytes(4, "big"), now=0.1 * number, after=0.0)
        (reservation,) = scene.allocator.ledger.lingers
        known = [senders.came(reservation, number.to_bytes(4, "big")) is not None for number in range(300)]
        self.assertTrue(all(known[200:]))
        self.assertFalse(any(known[:95]))
        self.assertEqual(senders.count(reservation), scene.allocator.ledger.remembered)
        packed = reservation.address.packed
        came = [scene.come(packed, each.to_bytes(4, "big"), now=29.95) for each in (200, 299)]
        self.assertEqual(came, [ONE.host.index] * 2)
