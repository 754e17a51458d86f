"""Guesses at the pool of IPv6: the kernel tells most of them from addresses that were lent, and never one of these."""

from __future__ import annotations

import contextlib
import random
import socket
from ipaddress import IPv6Address, IPv6Network, ip_network

from realmgw.allocation.ipv6.drawing import Drawing
from realmgw.allocation.ipv6.lendable import SHARE, Lendable
from realmgw.datapath.apply import Kernel
from realmgw.datapath.incoming import Lent
from realmgw.test.kernel.datapath_case import TO_FIRST, until
from realmgw.test.kernel.dualstack_case import OWN, DualStackTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import ipv6

MANY = 300


class GuessTests(DualStackTestCase):
    """Nobody is at the queue: what comes to it is counted, and dropped."""

    def setUp(self) -> None:
        """The kernel knows by what an address is known that was lent."""
        super().setUp()
        self.kernel.close()
        chance = random.Random(5)
        self.lendable = Lendable(chance.randbytes)
        self.drawing = Drawing([ip_network(ipv6.ROUTED)], self.lendable)
        self.kernel = Kernel(self.settings, lent=Lent(self.lendable.seed, SHARE))
        self.addCleanup(self.kernel.close)
        self.testbed.call("gwa", self.kernel.apply, self.hosts)
        first = int(IPv6Network(ipv6.ROUTED).network_address)
        self.guesses = [str(IPv6Address(first + chance.getrandbits(64))) for _ in range(MANY)]

    def send(self, *addresses: str) -> None:
        """A datagram to each."""
        sender = self.udp()
        for address in addresses:
            with contextlib.suppress(ConnectionError):  # an earlier one was refused
                sender.sendto(b"", (address, 53))

    def come(self, count: int) -> None:
        """So many come, to the queue or not."""

        def found() -> int:
            return self.packets("presented6") + self.packets("guessed")

        self.assertTrue(until(lambda: found() == count), found())

    def test_what_was_lent_comes_to_the_queue(self) -> None:
        """All of it: kernel and program compute the same hash."""
        self.send(*(str(IPv6Address(self.drawing.draw(lambda _: False))) for _ in range(MANY)))
        self.come(MANY)
        self.assertEqual(self.packets("guessed"), 0)

    def test_of_guesses_one_of_sixteen_does(self) -> None:
        """The others are refused at once, though nobody is at the queue; those who send them are told."""
        self.send(*self.guesses)
        self.come(MANY)
        self.assertTrue(5 <= self.packets("presented6") <= 45, self.packets("presented6"))
        self.assertEqual(self.packets("refused_udp"), self.packets("guessed"))

    def test_nothing_else_is_looked_at(self) -> None:
        """Neither the pool of IPv4 nor hosts at their own addresses; and all stands as it was placed."""
        self.send(*[OWN] * MANY)
        self.come(MANY)
        self.family = socket.AF_INET
        self.send(*[TO_FIRST] * MANY)
        self.counted("presented", 2 * MANY)
        self.assertEqual(self.packets("guessed"), 0)
        self.assert_stands()
