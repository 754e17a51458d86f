"""What tests of flows at addresses that pass on begin with."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.explain import explain_admit
from realmgw.allocation.flow import Flow
from realmgw.test.allocation.scene import (
    CLIENT,
    UDP,
    Idle,
    MemoryEntries,
    Scene,
    service,
)

GRE, SCTP = 47, 132
ONE, TWO = service(1), service(2)
HOSTS = {each.host.address: each.host for each in (ONE, TWO)}
PRIVATE, OTHER = ONE.host.address, TWO.host.address
WIREGUARD, FIXED = 51820, 5000


class EndedTestCase(SynchronousTestCase):
    """A pool for two hosts.

    Attributes:
        addresses: So many are in it.
    """

    addresses = 1

    def scene(self, **settings: float) -> Scene:
        """With conntrack to hear and to ask."""
        self.entries, self.hosts = MemoryEntries(), dict(HOSTS)
        return Scene(self.addresses, entries=self.entries, host_at=self.hosts.get, **settings)  # type: ignore[arg-type]  # numbers

    def udp(self, scene: Scene, address: bytes, *, source: bytes = CLIENT, sport: int = FIXED, now: float) -> int:
        """A first packet of a client with a port of its own."""
        return scene.come(address, source, UDP, WIREGUARD, sport=sport, now=now)

    def begun(self, scene: Scene, *, now: float = 0.0) -> bytes:
        """A flow to the first host; its address."""
        address = scene.get(ONE, now=now)
        self.assertEqual(self.udp(scene, address, now=now), 1)
        return address

    def flow(self, address: bytes) -> Flow:
        """That flow."""
        return CLIENT, address, UDP, FIXED, WIREGUARD

    def explained(self, scene: Scene, flow: Flow, *, now: float) -> int:
        """What `explain` says that would become of it."""
        said = explain_admit(scene.allocator, flow, now=now)
        return said.host or -(said.reason or 0)


def idle_of(seconds: float, assured: bool) -> Idle:
    """What conntrack says."""
    return Idle(seconds, assured)
