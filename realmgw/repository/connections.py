"""Who may be connected: who has shown a token keeps the place, strangers share a few and lose the oldest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import attrs

from realmgw.system.endpoints import plain_address

KNOWN = 600
"""How many connections there may be on which a token was shown; all, where there are no tokens."""
KNOWN_OF_ONE = 200
"""How many of these a single client may have: gateways may come from one address, by a proxy for example."""
STRANGERS = 100
"""How many connections there may be on which nobody has shown a token yet."""
STRANGERS_OF_ONE = 16
"""How many of these a single client may have."""
NETWORK_V6 = 64  # bits
"""Of an IPv6 address so much is the client: the rest is his to choose."""


def client_of(address: str | None) -> str:
    """Who is at an address; empty for a unix socket, whose permissions say who may come.

    Args:
        address: As text, or None.
    """
    if not address:
        return ""
    plain = plain_address(address)
    return str(plain) if plain.version == 4 else plain.packed[: NETWORK_V6 // 8].hex()


@attrs.define
class Counts:
    """What happened to connections since the start."""

    accepted: int = 0
    """Came."""
    displaced: int = 0
    """Strangers' that were closed since others came."""
    late: int = 0
    """Closed since a handshake, a request or the reading of an answer took too long."""
    refused: int = 0
    """Requests that had a token, and no place."""
    unauthorised: int = 0
    """Requests without a token that is known."""


class Connections:
    """The places and who has them; a connection is any object.

    A stranger who is in nobody's way is served. One who comes while all their places are taken gets that of the oldest
    one of whoever has most of them: to show a token takes a moment, and who holds a place for longer loses it.
    """

    def __init__(self) -> None:
        self._strangers: dict[Hashable, str] = {}  # in the order in which they came
        self._known: dict[Hashable, str] = {}
        self._strangers_of: Counter[str] = Counter()
        self._known_of: Counter[str] = Counter()

    @property
    def strangers(self) -> int:
        """How many connections have shown no token."""
        return len(self._strangers)

    @property
    def known(self) -> int:
        """How many have."""
        return len(self._known)

    def __contains__(self, connection: Hashable) -> bool:
        """Whether a token was shown on a connection."""
        return connection in self._known

    def arrive(self, connection: Hashable, client: str) -> Hashable | None:
        """Somebody has connected, or does not show a token any more.

        Args:
            connection: It.
            client: See `client_of`.

        Returns:
            The connection that has to be closed for that, if any; it has left then.
        """
        self.leave(connection)
        out = self._in_the_way(client)
        if out is not None:
            self.leave(out)
        self._strangers[connection] = client
        self._strangers_of[client] += 1
        return out

    def know(self, connection: Hashable, client: str) -> bool:
        """A token was shown.

        Returns:
            Whether there is a place; if not, the connection is a stranger's still.
        """
        if connection in self._known:
            return True
        if self.known >= KNOWN or (client and self._known_of[client] >= KNOWN_OF_ONE):
            return False
        self.leave(connection)
        self._known[connection] = client
        self._known_of[client] += 1
        return True

    def leave(self, connection: Hashable) -> None:
        """A connection has ended; nothing happens if it had no place."""
        for places, of in ((self._strangers, self._strangers_of), (self._known, self._known_of)):
            client = places.pop(connection, None)
            if client is not None:
                of[client] -= 1
                if not of[client]:
                    del of[client]

    def _in_the_way(self, client: str) -> Hashable | None:
        if client and self._strangers_of[client] >= STRANGERS_OF_ONE:
            worst = client
        elif self.strangers >= STRANGERS:
            [(worst, _)] = self._strangers_of.most_common(1)
        else:
            return None
        return next(each for each, whose in self._strangers.items() if whose == worst)
