"""Clients that keep the address that they were told, and come back to it after a while (docs/clients.md)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Allocation
from realmgw.test.allocation.scene import CLIENT, NEIGHBOUR, RESOLVER, UDP, Scene, service

ONE, TWO = service(1), service(2)
LINGER = Allocation().linger
AWAY = (15.0, 60.0, 300.0)
"""So long they are away, in seconds."""


class KeptAddressTests(SynchronousTestCase):
    """A pool of seven addresses, six of which nobody wants."""

    def visited(self, protocol: int = 6) -> tuple[Scene, bytes]:
        """Somebody has been there, a moment after time 0."""
        scene = Scene(7)
        address = scene.get(ONE, now=0.0)
        self.assertEqual(scene.come(address, CLIENT, protocol, 80, now=0.05), ONE.host.index)
        return scene, address

    def test_who_comes_back_after_a_while_finds_the_same_host(self) -> None:
        """After 15 s, a minute and five minutes, by TCP and UDP; the timer has run all the time."""
        for away in AWAY:
            for protocol in (6, UDP):
                scene, address = self.visited(protocol)
                for second in range(1, int(away)):
                    scene.allocator.expire(now=float(second))
                self.assertEqual(scene.come(address, CLIENT, protocol, 80, now=away), ONE.host.index, (away, protocol))

    def test_others_ask_meanwhile_and_get_other_addresses(self) -> None:
        """A few names of other hosts change nothing for him."""
        for away in AWAY:
            scene, address = self.visited()
            for number in range(2, 6):
                other = scene.visit(service(number), source=NEIGHBOUR, now=away * number / 7, after=0.05)
                self.assertNotEqual(other, address)
            self.assertEqual(scene.come(address, CLIENT, now=away), ONE.host.index)

    def test_who_is_not_known_there_has_to_ask(self) -> None:
        """That an address lingers lets in nobody else."""
        scene, address = self.visited()
        self.assertLess(scene.come(address, NEIGHBOUR, now=15.0), 0)

    def test_nobody_waits_for_his_sake(self) -> None:
        """When all other addresses are wanted, his is given to the next host at once, and he is refused."""
        scene, address = self.visited()
        given = [scene.get(service(number), RESOLVER, now=1.0) for number in range(2, 9)]
        self.assertEqual(given[-1], address)
        self.assertEqual(len(set(given)), 7)

    def test_his_time_is_over_at_last(self) -> None:
        """Then he has to ask again, and may well be given the same address."""
        scene, address = self.visited()
        scene.allocator.expire(now=LINGER + 0.1)
        self.assertLess(scene.come(address, CLIENT, now=LINGER + 1.0), 0)
        self.assertEqual(scene.get(ONE, now=LINGER + 2.0), address)
