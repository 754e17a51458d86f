"""Somebody asks for many names, one after the other, through few addresses: how long he waits, in proportion."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from realmgw.test.kernel.realm_case import RealmTestCase

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.realm import client
    from testbed.realm.gateway import Subscriber

NAMES = 20
MEDIAN, NINE_IN_TEN = 3.0, 6.0
"""So many times as long as somebody who asks for one name may the others take: at the median, and at 90 %."""
ROUNDS = 5
"""So often it is tried, each time by somebody who was never there: a machine that does other things may spoil some."""


def ninety(times: Sequence[float]) -> float:
    """What nine in ten of these do not exceed."""
    return statistics.quantiles(times, n=10)[-1]


class ManyNamesTests(RealmTestCase):
    """Three addresses for twenty names, on a gateway with its defaults."""

    hosts: ClassVar[int] = NAMES
    clients: ClassVar[int] = 2 * ROUNDS
    circular: ClassVar[Sequence[Mapping[str, str]]] = [{"addresses": "100.64.2.1-100.64.2.3", "attachment": "routed"}]

    @classmethod
    def subscribers(cls) -> list[Subscriber]:
        """Each name is a host's, and takes a whole address."""
        return [Subscriber(f"name{number}.gwa.demo.", f"192.168.0.{100 + number}") for number in range(NAMES)]

    def visits(self, names: Sequence[str], source: str) -> list[float]:
        """The seconds from each query to the page of the host, of somebody who asks for these, one after the other."""

        async def each() -> list[float]:
            times = []
            for name in names:
                begin = time.monotonic()
                address = await client.address_of(name, source=source)
                await client.fetch(address, source=source)
                times.append(time.monotonic() - begin)
            return times

        return self.public(each())

    def test_who_asks_for_many_names_takes_no_longer_than_who_asks_for_one(self) -> None:
        """Query to page, by somebody new: three addresses have room for who comes at once, and nobody else is there.

        Compared within a round, so it says nothing of the machine; one good round is enough, since whoever is made to
        wait is so each time.
        """
        told, clients = [], self.testbed.clients
        for one, many in zip(clients[:ROUNDS], clients[ROUNDS:], strict=True):
            single = self.visits(["name0.gwa.demo"] * NAMES, one)
            several = self.visits([f"name{number}.gwa.demo" for number in range(NAMES)], many)
            ratios = statistics.median(several) / statistics.median(single), ninety(several) / ninety(single)
            told.append(ratios)
            if ratios[0] <= MEDIAN and ratios[1] <= NINE_IN_TEN:
                return
        self.fail(f"many names took so many times as long as one, at 50 and 90 %: {told}")
