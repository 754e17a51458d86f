"""The circular pool: every address of it, in the state that it is in, and which one is to be had next.

An address that was released longest ago is lent first, so that a client who comes late finds nobody else there for as
long as the pool allows. All operations are O(1).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from realmgw.allocation.state import KEY, TRANSITIONS, Address, Reservation, State, overlap
from realmgw.errors import RealmGatewayError

if TYPE_CHECKING:
    from realmgw.config.settings import Network

AMPLE = 0.5
"""Below this load (waiting addresses / all addresses, 0 to 1) there is room for everybody, as long as nobody waits."""
PROBES = 16
"""How many addresses are looked at for one that a service can share; the ones opened last, which have most room."""
PARTIAL_PROBE = 64
"""A service for any port or any protocol shares only with addresses that hold at most so many services."""

# Members of an enum are slow to get at by name.
_FREE, _WAITING, _LINGERING = State
_TO_FREE, _TO_WAITING, _TO_LINGERING = (tuple(one for one in State if TRANSITIONS[one][other]) for other in State)


class Pool:
    """The addresses by packed value, and in the order in which they can be had.

    Args:
        networks: Prefixes; every address of them is lent, the first and the last one too.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self.addresses = {packed: Address(packed) for network in networks for packed in _each(network)}
        self.size = self.waiting = 0
        self.ample = 0
        """While fewer addresses than so many are waited at, there is room for everybody; read only."""
        self._grow(len(self.addresses))
        self.leaving: set[Address] = set()
        """WAITING addresses that leave the pool when nobody is expected there any more; read only."""
        self._free = OrderedDict.fromkeys(self.addresses.values())
        self.lingering: OrderedDict[Address, None] = OrderedDict()
        """The LINGERING addresses, those that linger longest first; read only."""
        self._shareable: OrderedDict[Address, None] = OrderedDict()

    def _grow(self, addresses: int) -> None:
        self.size += addresses
        self.ample = math.ceil(AMPLE * self.size)

    @property
    def load(self) -> float:
        """Waiting addresses / all addresses, 0 to 1; lingering ones can be had and count as free."""
        return self.waiting / self.size if self.size else 1.0

    @property
    def is_ample(self) -> bool:
        """Whether there is room for everybody, as long as nobody waits."""
        return self.waiting < self.ample

    def counts(self) -> dict[State, int]:
        """How many addresses are in each state."""
        return {
            State.FREE: len(self._free),
            State.WAITING: self.waiting,
            State.LINGERING: len(self.lingering),
        }

    def in_state(self, state: State) -> list[Address]:
        """The addresses in a state, in no order; O(pool), for reclaiming and for show."""
        return [address for address in self.addresses.values() if address.state is state]

    def await_client(self, address: Address) -> None:
        """Move an address to WAITING, from FREE or LINGERING."""
        before = address.state
        if before not in _TO_WAITING:
            raise _impossible(address, _WAITING)
        del (self._free if before is _FREE else self.lingering)[address]
        address.state = _WAITING
        self.waiting += 1

    def linger(self, address: Address) -> None:
        """Move an address from WAITING to LINGERING: from now on others can have it."""
        if address.state not in _TO_LINGERING:
            raise _impossible(address, _LINGERING)
        address.state = _LINGERING
        self.waiting -= 1
        self.lingering[address] = None

    def free(self, address: Address) -> None:
        """Move an address from LINGERING to FREE; nothing may stand there any more."""
        if address.state not in _TO_FREE:
            raise _impossible(address, _FREE)
        address.state = _FREE
        del self.lingering[address]
        self._free[address] = None

    @property
    def available(self) -> bool:
        """Whether an address can be had at which nobody is expected."""
        return self.waiting < self.size

    @property
    def vacant(self) -> Iterator[Address]:
        """The addresses at which nobody is expected, in the order in which they are to be lent."""
        return chain(self._free, self.lingering)

    def set_back(self, found: Address | None, most: int) -> None:
        """Have those before this one come up later, since clients may come there: so many at most.

        Args:
            found: What is lent instead of them; None: nothing.
            most: So many were looked at.
        """
        for address in tuple(islice(self.vacant, most)):
            if address is found:
                return
            (self.lingering if address.state else self._free).move_to_end(address)

    def next(self) -> Address | None:
        """The address to lend next: the free one that was released longest ago, else the one that lingers longest."""
        addresses = self._free or self.lingering
        return next(iter(addresses)) if addresses else None

    def extend(self, networks: Iterable[Network]) -> None:
        """Add the addresses of further prefixes; those that are there already are not touched, and do not leave."""
        for network in networks:
            for packed in _each(network):
                address = self.addresses.get(packed)
                if address is None:
                    address = self.addresses[packed] = Address(packed)
                    self._free[address] = None
                    self._grow(1)
                self.leaving.discard(address)

    def within(self, networks: Iterable[Network]) -> list[Address]:
        """The addresses of the pool that lie in these prefixes."""
        every = (self.addresses.get(packed) for network in networks for packed in _each(network))
        return [address for address in every if address is not None]

    def leave(self, address: Address) -> bool:
        """Take an address out of the pool; nothing may be lent there any more.

        Returns:
            Whether it is out; a WAITING one is `leaving`, and must be told to leave again when it lingers.
        """
        if address.state is _WAITING:
            self.leaving.add(address)
            self._shareable.pop(address, None)
            return False
        del (self.lingering if address.state else self._free)[address]
        del self.addresses[address.packed]
        self._shareable.pop(address, None)
        self.leaving.discard(address)
        self._grow(-1)
        return True

    def place(self, reservation: Reservation, key: int) -> None:
        """Put a reservation under its service key at its address."""
        address = reservation.address
        address.reservations[key] = reservation
        if key:
            self._shareable[address] = None

    def remove(self, reservation: Reservation, key: int) -> None:
        """Take a reservation away from its address."""
        address = reservation.address
        del address.reservations[key]
        if self._shareable and not address.reservations:
            self._shareable.pop(address, None)

    def shareable(self, key: int) -> Address | None:
        """An address in use whose services do not overlap with this one, if any of the `PROBES` opened last is one."""
        if not key:
            return None
        for address, _ in zip(reversed(self._shareable), range(PROBES), strict=False):
            if fits(address, key):
                return address
        return None


def fits(address: Address, key: int) -> bool:
    """Whether a service can stand at an address beside what is there; False when that can not be told cheaply."""
    reservations = address.reservations
    if key & 0xFFFF and key >> 16:
        return not any(one in reservations for one in (key, key & 0xFFFF, key & ~0xFFFF, 0))
    return len(reservations) <= PARTIAL_PROBE and not any(overlap(key, other) for other in reservations)


def may_stand(address: Address, target: int) -> bool:
    """Whether a service can stand at an address beside others of its host: no other host's may overlap with it."""
    key = target & KEY
    others = (each.service.target for each in address.reservations.values())
    if len(address.reservations) > PARTIAL_PROBE or key in address.reservations:
        return False
    return not any(other >> 24 != target >> 24 and overlap(key, other & KEY) for other in others)


def stands(address: Address, index: int) -> bool:
    """Whether any service of a host, by its index, stands at an address."""
    return any(each.service.host.index == index for each in address.reservations.values())


def _impossible(address: Address, state: State) -> RealmGatewayError:
    return RealmGatewayError(f"a pool address can not go from {address.state.name} to {state.name}")


def _each(network: Network) -> Iterable[bytes]:
    first, length = int(network.network_address), network.max_prefixlen // 8
    return (number.to_bytes(length, "big") for number in range(first, first + network.num_addresses))
