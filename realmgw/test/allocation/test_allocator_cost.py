"""What a flow costs, in calls: they can be counted, and are the same on a busy machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.ipv6 import Ipv6
from realmgw.config.policy import Policy
from realmgw.test.allocation.ipv6.scene import Scene6
from realmgw.test.allocation.ipv6.scene import host as host6
from realmgw.test.allocation.ipv6.scene import service as service6
from realmgw.test.allocation.scene import TCP, UDP, Scene, service

HOSTS = 100
FLOWS = 1000
EVERY = 0.0001  # seconds
TICK = 200
"""After so many flows, what is over is ended."""
ASKED = [service(index) for index in range(1, HOSTS + 1)]
ASKED6 = [service6(host6(index)) for index in range(1, HOSTS + 1)]


class CostTests(SynchronousTestCase):
    """A query, its client's first packet, and its share of what is ended: how many functions of ours are called."""

    def play(self, scene: Scene, protocol: int, begin: int) -> None:
        """Somebody else comes for each flow; the hosts are asked for in turn."""
        for number in range(begin, begin + FLOWS):
            now = number * EVERY
            address = scene.get(ASKED[number % HOSTS], now=now)
            self.assertGreater(scene.come(address, number.to_bytes(4, "big"), protocol, now=now + EVERY), 0)
            if number % TICK == 0:
                scene.allocator.expire(now=now + EVERY)

    def calls(self, addresses: int, protocol: int = TCP) -> float:
        """Of functions in the package, for each flow, when everybody is known already."""
        by_address = {each.host.address: each.host for each in ASKED}
        scene = Scene(addresses, policy=Policy(), answered=lambda _: True, host_at=by_address.get)
        return self.count(partial(self.play, scene, protocol))

    def count(self, play: Callable[[int], object]) -> float:
        """Calls for each flow, when it is played for the second time."""
        counted = 0

        def count(frame: FrameType, event: str, _: object) -> None:
            nonlocal counted
            of = frame.f_globals["__name__"]
            counted += event == "call" and of.startswith("realmgw.allocation")

        play(0)
        before = sys.getprofile()
        sys.setprofile(count)
        try:
            play(FLOWS)
        finally:
            sys.setprofile(before)
        return counted / FLOWS

    def play6(self, scene: Scene6, begin: int) -> None:
        """The same by IPv6, of which each has an address of its own."""
        for number in range(begin, begin + FLOWS):
            address = scene.get(ASKED6[number % HOSTS])
            scene.now += EVERY
            self.assertGreater(scene.come(address, number.to_bytes(16, "big")), 0)
            if number % TICK == 0:
                scene.after(0.0)

    def test_where_the_host_has_its_address_still(self) -> None:
        """As in a pool with more addresses than names that are in use."""
        self.assertLess(self.calls(200), 27)
        self.assertLess(self.calls(200, UDP), 30)

    def test_where_the_address_was_another_hosts(self) -> None:
        """As in one with fewer: somebody else's services leave, and what was told of them is remembered."""
        self.assertLess(self.calls(70), 55)
        self.assertLess(self.calls(70, UDP), 61)

    def test_by_ipv6(self) -> None:
        """Each is drawn, and may have a sibling."""
        scene = Scene6(policy=Policy(), answered=lambda _: True, ipv6=Ipv6())
        self.assertLess(self.count(partial(self.play6, scene)), 36)
