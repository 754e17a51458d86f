"""What the allocation tells of reservations that begin and end, in both families."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation import standing
from realmgw.allocation.allocator import Allocator
from realmgw.allocation.flow import Noted
from realmgw.config.ipv6 import Ipv6Mode
from realmgw.subscribers.model import Terms
from realmgw.test.allocation import scene as scene4
from realmgw.test.allocation.ipv6 import scene as scene6
from realmgw.test.allocation.ipv6.scene import Scene6
from realmgw.test.allocation.scene import CLIENT, RESOLVER, TCP, Scene, pool_address

HTTP = TCP << 16 | 80


class Told(Noted):
    """Remembers what stands by what is put down."""

    def __init__(self, allocator: Allocator) -> None:
        super().__init__(self.clear)
        self.there: dict[tuple[bytes, int], Terms] = {}
        self._allocator = allocator
        standing.note(allocator, self)

    def __setitem__(self, place: tuple[bytes, int], terms: Terms | None) -> None:
        """Each begins once, and ends once."""
        if terms is None:
            del self.there[place]
        else:
            assert place not in self.there
            self.there[place] = terms

    def stands(self) -> dict[tuple[bytes, int], Terms]:
        """What the allocation says that there is."""
        portions = standing.standing(self._allocator)
        return {(packed, key): terms for portion in portions for packed, key, terms in portion}


class StandingTests(SynchronousTestCase):
    """Of IPv4."""

    def setUp(self) -> None:
        """One address."""
        self.scene = Scene(1)
        self.told = Told(self.scene.allocator)
        self.now = 0.0

    def ask(self, index: int, protocol: int = TCP, port: int = 80) -> None:
        """A question for a service of a host."""
        service = scene4.service(index, protocol, port)
        answer = self.scene.allocator.ask(service, RESOLVER, object(), now=self.now)
        self.assertIsInstance(answer, bytes)

    def after(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.scene.allocator.expire(now=self.now)

    def test_a_reservation_begins_with_the_first_claim_and_ends_when_it_lingers_no_more(self) -> None:
        """Further claims, and clients who come, are nothing new."""
        self.ask(1)
        first = dict(self.told.there)
        self.assertEqual(list(first), [(pool_address(1), HTTP)])
        self.ask(1)
        self.scene.allocator.admit((CLIENT, pool_address(1), TCP, 1024, 80), now=self.now)
        self.after(5.0)
        self.ask(1)
        self.assertEqual(self.told.there, first)
        self.after(5.0)
        self.after(1e6)
        self.assertEqual((self.told.there, self.told.stands()), ({}, {}))

    def test_an_address_that_passes_on_ends_what_was_there(self) -> None:
        """And begins what is there now, beside what it shares the address with."""
        self.ask(1)
        self.after(5.0)
        self.ask(2, 0, 0)
        self.assertEqual(list(self.told.there), [(pool_address(1), 0)])
        self.assertEqual(self.told.there, self.told.stands())

    def test_hosts_that_go_and_addresses_that_are_withdrawn_end_what_they_had(self) -> None:
        """At once, or when the last claim does."""
        self.ask(1)
        self.ask(1, TCP, 443)
        self.scene.allocator.forget([1 << 24 | HTTP], now=self.now)
        self.assertEqual(list(self.told.there), [(pool_address(1), TCP << 16 | 443)])
        self.scene.allocator.withdraw([ip_network("192.0.2.1/32")], now=self.now)
        self.after(5.0)
        self.assertEqual((self.told.there, self.told.stands()), ({}, {}))

    def test_nobody_is_told_who_does_not_ask(self) -> None:
        """Nor any more who wants to know no more."""
        standing.note(self.scene.allocator, None)
        self.ask(1)
        self.assertEqual(self.told.there, {})
        self.assertEqual(len(self.told.stands()), 1)


class Standing6Tests(SynchronousTestCase):
    """Of IPv6."""

    def setUp(self) -> None:
        """A /64."""
        self.scene = Scene6()
        self.told = Told(self.scene.allocator)

    def test_an_address_stands_until_it_is_kept_no_more(self) -> None:
        """Whether its client comes, or not."""
        service = scene6.service(scene6.host(1, ipv4=False), TCP, 80)
        one, other = self.scene.get(service), self.scene.get(service)
        self.assertEqual(set(self.told.there), {(one, HTTP), (other, HTTP)})
        self.scene.come(one)
        self.assertEqual(self.told.there, self.told.stands())
        self.scene.after(5.0)
        self.assertEqual(set(self.told.there), {(one, HTTP)})
        self.assertEqual(self.told.there, self.told.stands())
        self.scene.after(1e6)
        self.assertEqual((self.told.there, self.told.stands()), ({}, {}))

    def test_a_pinhole_stands_at_the_address_of_its_host(self) -> None:
        """As long as it is open."""
        host = scene6.host(1, ipv4=False, mode=Ipv6Mode.PINHOLE)
        self.scene.get(scene6.service(host, TCP, 80))
        self.assertEqual(list(self.told.there), [(host.address6, HTTP)])
        self.assertEqual(self.told.there, self.told.stands())
        self.scene.after(5.0)
        self.scene.after(1e6)
        self.assertEqual((self.told.there, self.told.stands()), ({}, {}))
