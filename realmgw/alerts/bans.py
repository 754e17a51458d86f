"""Who is banned, and who may be: so many a minute, nobody of ours, and nobody whom the operator has named.

Family: of IPv6 whoever has one address of a /64 has all of them, so all of it is banned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address

import attrs

from realmgw.alerts.ours import SHARED, guarding, is_of
from realmgw.config.alerts import AlertRule, Alerts
from realmgw.config.settings import Network

MOST = 65_536
"""So many are banned at once, as many as the kernel remembers."""
MINUTE = 60.0  # seconds
_PREFIX = SHARED // 8  # octets


@attrs.frozen
class Cause:
    """What somebody is banned for."""

    signature: int
    """The number of what has matched."""
    text: str
    """What that is, for people."""
    rule: AlertRule
    """The rule that the alert fell under."""


@attrs.frozen
class _Ban:
    """One of them."""

    until: float
    """Its end, in monotonic seconds."""
    cause: Cause
    """What it is for."""


class Bans:
    """The bans in force.

    Args:
        settings: How long, how many, and who never.
        is_ours: Whether a packed address, or of IPv6 one of its /64, is the gateway's or a host's.
    """

    def __init__(self, settings: Alerts, is_ours: Callable[[bytes], bool]) -> None:
        self._is_ours = is_ours
        self._bans: dict[bytes, _Ban] = {}
        self.configure(settings)
        self._lately: deque[float] = deque()

    def __len__(self) -> int:
        """How many are in force."""
        return len(self._bans)

    def configure(self, settings: Alerts) -> list[bytes]:
        """From now on, ban by these; who is banned stays so, unless he is never to be.

        Returns:
            Who is not banned any more, by the first address of what was.
        """
        self._settings, self._never = settings, guarding(settings.never_ban)
        lifted = [packed for packed in self._bans if is_of(self._never, packed)]
        for packed in lifted:
            del self._bans[packed]
        return lifted

    def __contains__(self, source: bytes) -> bool:
        """Whether somebody (his packed address) is banned."""
        return who(source).network_address.packed in self._bans

    def spares(self, source: bytes) -> str | None:
        """Why somebody (his packed address) is never banned; None: he could be."""
        meant = who(source)
        first = meant.network_address.packed
        if ip_address(source).is_loopback:
            return f"{shown(meant)} is this machine"
        if is_of(self._never, first):
            return f"{shown(meant)} is never to be banned (alerts.never_ban)"
        return f"{shown(meant)} is ours, or a host's" if self._is_ours(first) else None

    def refuses(self, source: bytes, now: float) -> str | None:
        """Why somebody who could be banned is not now; None: he may be.

        Args:
            source: His packed address.
            now: The present, in monotonic seconds.
        """
        if source in self:
            return f"{shown(who(source))} is banned already"
        while self._lately and self._lately[0] <= now - MINUTE:
            self._lately.popleft()
        if len(self._lately) >= self._settings.bans_per_minute:
            return f"{len(self._lately)} were banned within a minute (alerts.bans_per_minute)"
        return f"{MOST} are banned already" if len(self._bans) >= MOST else None

    def add(self, source: bytes, now: float, cause: Cause) -> Network:
        """Somebody is banned from now on; returns what of."""
        meant = who(source)
        self._bans[meant.network_address.packed] = _Ban(now + self._settings.ban_time, cause)
        self._lately.append(now)
        return meant

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        for packed in [packed for packed, ban in self._bans.items() if ban.until <= now]:
            del self._bans[packed]

    def remove(self, packed: bytes) -> None:
        """Somebody could not be banned."""
        self._bans.pop(packed, None)

    def cause(self, source: bytes) -> tuple[Cause, int | None] | None:
        """What somebody is banned for, and which of the rules in force says so, from 0 on; None: he is not, by us."""
        ban = self._bans.get(who(source).network_address.packed)
        if ban is None:
            return None
        rules = self._settings.rules
        return ban.cause, rules.index(ban.cause.rule) if ban.cause.rule in rules else None

    def left(self, now: float) -> dict[bytes, float]:
        """For how many seconds each is banned still, by the first address of what is."""
        return {packed: ban.until - now for packed, ban in self._bans.items() if ban.until > now}


def who(source: bytes) -> Network:
    """Whom a packed address stands for: itself, or its /64."""
    if len(source) == 4:
        return IPv4Network(source)
    return IPv6Network((source[:_PREFIX] + bytes(_PREFIX), 8 * _PREFIX))


def shown(network: Network) -> str:
    """As people write it."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
