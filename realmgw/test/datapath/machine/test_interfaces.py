"""Tests for `realmgw.datapath.machine.interfaces`, with messages as pyroute2 gives them."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.machine import interfaces
from realmgw.datapath.netlink.codec import ATTEMPTS, INTERRUPTED, InterruptedDumpError


class Told(dict[str, Any]):
    """A message."""

    def __init__(self, attributes: dict[str, Any], flags: int = 0, **fields: Any) -> None:
        """With a header."""
        super().__init__(header={"flags": flags}, **fields)
        self._attributes = attributes

    def get_attr(self, name: str) -> Any:
        """One of its attributes; None: it has it not."""
        return self._attributes.get(name)


class MemoryRoutes:
    """A routing socket whose machine has one interface; so many of its listings are interrupted.

    Attributes:
        interrupted: How many of the next listings are.
    """

    def __init__(self, interrupted: int = 0) -> None:
        """Nothing was asked."""
        self.interrupted = interrupted

    def get_links(self) -> list[Told]:
        """The interface."""
        return [Told({"IFLA_IFNAME": "wan"}, self._flags(), index=7)]

    def get_addr(self) -> list[Told]:
        """Its address, of which a listing that is interrupted has nothing; and one of an interface that has gone."""
        flags = self._flags()
        own = [] if flags else [Told({"IFA_LOCAL": "192.0.2.1"}, index=7, prefixlen=24)]
        return [*own, Told({"IFA_LOCAL": "192.0.2.9"}, flags, index=9, prefixlen=24)]

    def get_default_routes(self, family: int) -> list[Told]:
        """By two routers."""
        hops = (Told({"RTA_GATEWAY": "192.0.2.254"}), Told({}))
        return [Told({"RTA_GATEWAY": "192.0.2.253", "RTA_MULTIPATH": hops}, self._flags())]

    def _flags(self) -> int:
        self.interrupted -= 1
        return INTERRUPTED if self.interrupted >= 0 else 0


class MachineTests(SynchronousTestCase):
    """What of the machine is listed."""

    def test_an_address_is_not_taken_for_gone_because_a_listing_was_interrupted(self) -> None:
        """It is listed again, so often as any listing."""
        for interrupted in (0, 1, ATTEMPTS - 1):
            found = interfaces.addresses(MemoryRoutes(interrupted))
            self.assertEqual(found, {"wan": (ip_interface("192.0.2.1/24"),)})
        self.assertRaises(InterruptedDumpError, interfaces.addresses, MemoryRoutes(2 * ATTEMPTS))

    def test_all_routers_of_default_routes_are_found(self) -> None:
        """Also of those with several; one that leads to a link has none."""
        self.assertEqual(interfaces.routers(MemoryRoutes(1)), {IPv4Address("192.0.2.253"), IPv4Address("192.0.2.254")})
