"""What a recorder knows of those whose flows it hears of: as the gateway has told it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from itertools import islice
from typing import NamedTuple

from realmgw.config.values import Network

Flow = tuple[bytes, bytes, int, int, int]
"""Packed source, packed destination, protocol, source port, destination port, as the first packet has them."""
Entry = tuple[float, int, str, Flow, int]
"""A flow that was let in, as the gateway's log of decisions has it: when, the trace id, the name, the flow, and by what
right."""
Opening = tuple[str, int]
"""The name that a flow was opened by, and the trace id of the answer; 0: none is known."""
MOST_OPENED = 500_000
"""Of so many flows that have not ended it is known how they were opened; beyond, the oldest are forgotten."""
MOST_STRANGERS = 1 << 16
"""Of so many addresses that are no subscriber's it is remembered whether they are inside."""


class Subscriber(NamedTuple):
    """Whose an address is."""

    name: str | None
    """His name; None: nobody's."""
    groups: tuple[str, ...]
    """The groups that he is of."""


class Known:
    """All of it.

    Attributes:
        opened: By flow, what it was opened by, in the order in which they were.
    """

    def __init__(self) -> None:
        self.opened: dict[Flow, Opening] = {}
        self._hosts: dict[bytes, Subscriber] = {}
        self._former: dict[bytes, tuple[float, Subscriber | None]] = {}
        self._inside: tuple[Network, ...] = ()
        self._own: frozenset[bytes] = frozenset()
        self._strangers: dict[bytes, bool] = {}

    def be_around(self, inside: Iterable[str], own: Iterable[bytes]) -> None:
        """The networks of the LANs are these, and the machine's own addresses."""
        self._inside, self._own = tuple(map(ip_network, inside)), frozenset(own)
        self._strangers.clear()

    def put(self, address: bytes, subscriber: Subscriber | None, since: float) -> None:
        """An address is somebody's, or nobody's any more.

        Args:
            address: Packed.
            subscriber: Whose it is now.
            since: Since when, in seconds since 1970; 0: for as long as anybody knows.
        """
        before = self._hosts.pop(address, None)
        if since and before != subscriber:
            self._former[address] = since, before
        if subscriber is not None:
            self._hosts[address] = subscriber

    def open(self, flows: Iterable[Entry], nameless: int) -> None:
        """Flows were let in.

        Args:
            flows: They.
            nameless: By what right those were whose names are not known.
        """
        self.opened.update((flow, (name, number)) for _, number, name, flow, way in flows if way != nameless)
        beyond = len(self.opened) - MOST_OPENED
        if beyond > 0:
            for flow in list(islice(self.opened, beyond)):
                del self.opened[flow]

    def subscriber(self, address: bytes, began: float | None) -> Subscriber | None:
        """Whose an address was when a flow began; None: nobody's.

        Args:
            address: Packed.
            began: In seconds since 1970; None: it is taken to be his who has it now.
        """
        former = self._former.get(address)
        if former is not None and began is not None and began < former[0]:
            return former[1]
        return self._hosts.get(address)

    def is_inside(self, address: bytes) -> bool:
        """Whether an address is a subscriber's, or of somebody else on a LAN."""
        if address in self._hosts or address in self._former:
            return True
        found = self._strangers.get(address)
        if found is None:
            if len(self._strangers) >= MOST_STRANGERS:
                self._strangers.clear()
            found = self._strangers[address] = address not in self._own and self._is_within(address)
        return found

    def is_own(self, address: bytes) -> bool:
        """Whether an address is the gateway's."""
        return address in self._own

    def _is_within(self, address: bytes) -> bool:
        where = ip_address(address)
        return any(where in network for network in self._inside)
