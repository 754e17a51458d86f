"""Tests for `realmgw.control.pool`: what stands at addresses of IPv6; the rest is tested as commands of the gateway."""

from __future__ import annotations

from ipaddress import IPv6Network
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import finish
from realmgw.control.pool import PoolView
from realmgw.control.sorting import ROWS
from realmgw.test.control.parts import TestGateway

NETWORK = IPv6Network("2001:db8:1::/64")


class ReservationTests(SynchronousTestCase):
    """What is listed, and how much of it at a time."""

    def setUp(self) -> None:
        """A gateway at which many addresses of IPv6 stand, some of them kept."""
        made = TestGateway(Path(self.mktemp()))
        made.allocator.extend([NETWORK], now=0.0)
        service = made.running.registry.directory.services["a.example.org."]
        service = attrs.evolve(service, host=attrs.evolve(service.host, address6=NETWORK[7].packed))
        made.allocator.ask(service, "192.0.2.53", 1, now=0.0, family=6)
        self.stock = made.allocator.fresh.stock
        [claim] = self.stock.pending.values()
        for number in range(2 * ROWS, 5 * ROWS):
            packed = NETWORK[number].packed
            self.stock.pending[packed] = attrs.evolve(claim, packed=packed)
        for number in range(5 * ROWS, 7 * ROWS):
            packed = NETWORK[number].packed
            self.stock.kept[packed] = attrs.evolve(claim, packed=packed, pending=False)
        self.view = PoolView(made.running, made.allocator, made.clock.seconds)
        self.portions = len(list(self.view.reservations(0)))
        """So many turns the pool of IPv4 takes."""

    def rows(self, most: int) -> list[Any]:
        """The lines."""
        value: Any = finish(self.view.reservations(most))
        self.assertEqual(value["addresses"], 5 * ROWS + 1)
        rows: list[Any] = value["reservations"]
        return rows

    def test_others_have_their_turn(self) -> None:
        """Between some addresses and the next ones; no more is made than is told."""
        for most, turns in ((0, 0), (1, 1), (ROWS, 1), (ROWS + 1, 2), (9 * ROWS, 6)):
            steps = list(self.view.reservations(most))
            self.assertEqual(len(steps), self.portions + turns, most)
            self.assertEqual(len(self.rows(most)), min(most, 5 * ROWS + 1), most)
        states = [row["state"] for row in self.rows(9 * ROWS)]
        self.assertEqual((states.count("waiting"), states.count("kept")), (3 * ROWS + 1, 2 * ROWS))

    def test_what_ends_or_comes_meanwhile(self) -> None:
        """It is told of no more, or not yet; whose client came is told once."""
        steps = self.view.reservations(9 * ROWS)
        for _ in range(self.portions + 1):
            next(steps)
        gone, moved = NETWORK[5 * ROWS - 1].packed, NETWORK[5 * ROWS - 2].packed
        claim = self.stock.pending.pop(moved)
        claim.pending, self.stock.kept[moved] = False, claim
        self.stock.pending[NETWORK[9 * ROWS].packed] = attrs.evolve(self.stock.pending.pop(gone))
        value: Any = finish(steps)
        told = [row["address"] for row in value["reservations"]]
        self.assertEqual((len(told), len(set(told))), (5 * ROWS, 5 * ROWS))
        self.assertIn(str(NETWORK[5 * ROWS - 2]), told)
