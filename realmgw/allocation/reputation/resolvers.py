"""Who is one resolver: an IPv4 address is; of IPv6 all of a prefix are, since one machine can have them all."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from realmgw.system.endpoints import plain_address

MOST = 65536
"""Of so many senders by IPv6 it is remembered who they are."""


class Resolvers:
    """Tells who a sender is to groups, aliases and claims.

    Args:
        tell_apart: Whether the operator has told of a prefix, of more than so many bits, that an address lies in: then
            it is not taken together with its neighbours.
        length: So long a prefix of IPv6 addresses is one resolver, in bits.
    """

    def __init__(self, tell_apart: Callable[[IPv6Address, int], bool], length: int = 64) -> None:
        self._tell_apart = tell_apart
        self.configure(length)

    def __len__(self) -> int:
        return len(self._known)

    def configure(self, length: int) -> None:
        """From now on, so long a prefix is one; the operator's groups may be others than before."""
        self._length = length
        self._known: dict[str, str] = {}

    def of(self, address: str) -> str:
        """Who a sender is, by his address as a socket has it: the first one of his prefix, or itself; as text."""
        if ":" not in address:
            return address
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[address] = self._look_at(address)
        return found

    def _look_at(self, address: str) -> str:
        plain = plain_address(address)
        if not isinstance(plain, IPv6Address) or plain.is_link_local or self._tell_apart(plain, self._length):
            return str(plain)
        beyond = 128 - self._length
        return str(IPv6Address(int(plain) >> beyond << beyond))
