"""However many zones, prefixes and services there are: what a change comes to is found out in steps that are short."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from ipaddress import IPv4Network
from types import FrameType
from typing import TypeVar

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.settings import Attachment, Interfaces, PoolPrefix, Pools, Settings
from realmgw.config.steps import Steps, finish
from realmgw.subscribers.files.incremental import Unit, read
from realmgw.subscribers.files.listing import collector_at_rest
from realmgw.subscribers.reach import Ranges
from realmgw.subscribers.realm import NAMED, Realm
from realmgw.subscribers.registry import Registry
from realmgw.subscribers.remote.realm_filter import filtering
from realmgw.subscribers.remote.snapshot import Snapshot
from realmgw.subscribers.review import Caution
from realmgw.subscribers.schema import MOST_SERVICES
from realmgw.test.subscribers.examples import ZONES

T = TypeVar("T")
MOST = 100_000  # calls, of functions in Python and in C
"""A step makes no more of them: some 20 ms of processor time. The largest host, which is done in one, takes 85 000."""
LARGE, SERVICES = 24, 2000
"""So many hosts have so many services each."""
MANY = 10_000
"""So many zones, and so many prefixes of the pool, there are."""


def zones(count: int) -> Iterable[str]:
    """That of the examples, and more before it."""
    return (*(f"z{number}.example.net." for number in range(count)), "example.org.")


def realm(count: int, *, aliases: bool = False) -> Realm:
    """What may be said where there are so many zones, and as many prefixes."""
    pool = (IPv4Network((0xC6120000 + 2 * number, 32)) for number in range(count))
    prefixes = tuple(PoolPrefix(network, Attachment.ROUTED) for network in pool)
    made = [attrs.evolve(ZONES[0], name=name) for name in zones(count)]
    if aliases:
        made.append(attrs.evolve(ZONES[0], name="a.example.net.", aliases=True))
    interfaces = Interfaces("wan0", ("lan0",))
    return finish(Realm.of(Settings("gw.example.org.", tuple(made), interfaces, Pools(prefixes))))


def large(last: int, services: int = SERVICES, count: int = LARGE) -> str:
    """The text of large hosts; all of them are at other addresses for each `last`."""
    return "".join(
        f"h{number}.example.org:\n  address: 10.0.{number}.{last}\n  services:\n"
        + "".join(f"    s{each}.h{number}.example.org: {{port: 80}}\n" for each in range(services))
        for number in range(count)
    )


class PauseTests(SynchronousTestCase):
    """A registry, which is told of large hosts."""

    def setUp(self) -> None:
        """It knows nothing yet."""
        self.registry, self.longest, self.calls = Registry(), 0, 0

    def tearDown(self) -> None:
        """No step was long."""
        self.assertGreater(self.longest, 0)
        self.assertLess(self.longest, MOST)

    def go(self, steps: Steps[T]) -> T:
        """Goes through steps; notes how many calls the longest makes."""
        with collector_at_rest():  # as while a gateway reloads
            while True:
                self.calls = 0
                sys.setprofile(self.count)
                try:
                    next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result
                finally:
                    sys.setprofile(None)
                    self.longest = max(self.longest, self.calls)

    def count(self, _: FrameType, event: str, __: object) -> None:
        """Counts what is called, or goes on."""
        self.calls += event in ("call", "c_call")

    def unit(self, text: str) -> Unit:
        """What a file says that was read once."""
        return attrs.evolve(self.go(read("f.yaml", text.encode(), self.registry.units.get("f.yaml"))), settled=False)

    def say(self, unit: Unit, beside: Realm, *, is_patient: bool = False) -> None:
        """The file says that, and it comes true."""
        caution = Caution(1.0, is_patient=is_patient, accepts_loss=not is_patient)
        changes = self.go(self.registry.changes([unit], beside, caution))
        self.assertEqual((bool(changes.waiting), changes.problems), (is_patient, ()))
        self.go(self.registry.commit(changes))

    def test_large_hosts_come_move_and_go(self) -> None:
        """Beside many zones; those that move wait until they have said so twice."""
        beside, there, moved = realm(MANY, aliases=True), large(1), large(2)

        self.say(self.unit(there), beside)
        self.assertEqual(len(self.registry.directory.services), LARGE * SERVICES)
        self.say(self.unit(moved), beside, is_patient=True)
        self.say(self.unit(moved), beside)
        self.say(self.unit("x.example.org: {address: 10.0.99.1}\n"), beside)

    def test_the_largest_host_comes_and_goes(self) -> None:
        """Beside many zones."""
        for text in (
            large(1, MOST_SERVICES, 1),
            large(2, MOST_SERVICES, 1),
            "x.example.org: {address: 10.0.99.1}\n",
        ):
            self.say(self.unit(text), realm(MANY))

    def test_zones_come_and_go_beside_large_hosts(self) -> None:
        """All of them are looked at then."""
        unit = self.unit(large(1))
        for count in (0, 1, MANY, 0):
            self.say(unit, realm(count))
            unit = self.registry.units["f.yaml"]

    def test_many_hosts_come_beside_many_prefixes(self) -> None:
        """None of them is compared with each."""
        text = "".join(
            f"h{number}.example.org: {{address: 10.0.{number >> 8}.{number & 255}}}\n" for number in range(3000)
        )
        self.say(self.unit(text), realm(3 * MANY))

    def test_a_repositorys_hosts_are_filtered_in_short_steps(self) -> None:
        """The same of what comes from there."""
        entries = dict(self.unit(large(1)).entries)
        snapshot = Snapshot("1-x", entries)
        found = self.go(filtering("https://db.example.org", snapshot, realm(MANY), None))
        self.assertEqual((len(found.unit.tokens), found.refused), (LARGE, {}))

    def test_of_many_zones_some_are_named(self) -> None:
        """A problem is a line that somebody reads."""
        beside = realm(MANY)
        changes = self.go(self.registry.changes([self.unit("a.example.com: {address: 10.0.0.1}\n")], beside))
        [line] = changes.problems
        self.assertIn("write a name within z0.example.net. or z1.example.net. or ", line)
        self.assertTrue(line.endswith(f" or one of {MANY + 1 - NAMED} others"), line)


class RangesTests(SynchronousTestCase):
    """`Ranges`."""

    @given(st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=8), st.integers(0, 600))
    def test_has_what_one_of_the_networks_has(self, networks: list[tuple[int, int]], number: int) -> None:
        """Wherever they lie, in each other too."""
        made = [IPv4Network((number >> (32 - length) << (32 - length), length)) for number, length in networks]
        ranges = finish(Ranges.of(made, 4))
        self.assertEqual(bool(ranges), bool(made))
        expected = any(int(each[0]) <= number <= int(each[-1]) for each in made)
        self.assertEqual(number in ranges, expected)
