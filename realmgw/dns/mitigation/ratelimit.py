"""Response rate limiting: answers that reserve no address are no weapon against whose address stands in the query.

A weapon is what makes more of what is sent. An answer by UDP that is at most `FACTOR` times as long as its query,
headers included, is given to whoever asks, however often: that there is no such type, or no such name, is what
resolvers ask for all day. Of longer ones every network has a bucket of tokens; it holds one second's worth. What goes
beyond is answered with TC, which is no longer than the query: who is there comes by TCP and loses nothing. So all that
is sent to a network in whose name somebody asks is at most `FACTOR` times as much as he has sent, and so many long
answers a second.

There is no bucket for each name: whoever means harm would ask for many.

A bucket is one number: the time at which it will be full again. One that is full already need not be kept, so two
generations of at least a second each are enough, and nothing has to be aged one by one.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable
from ipaddress import IPv6Address

from realmgw.config import settings
from realmgw.system.endpoints import plain_address

FACTOR = 3
"""An answer so many times as long as its query hardly amplifies: as much QUIC allows itself (RFC 9000 section 8.1)."""
HEADERS = 28
"""Octets of IPv4 and UDP headers that each of them has besides."""
DEPTH = 1.0  # seconds
"""What a full bucket holds: the tokens of so long a time."""
MOST = 65536
"""Networks of a generation; with more, those that were seen longest ago are forgotten sooner."""


class Verdict(enum.IntEnum):
    """What becomes of an answer."""

    PASS = 0
    """It is given."""
    DROP = 1
    """It is not."""
    SLIP = 2
    """In its place the asker is told to come by TCP, which who is not there can not do."""


_PASS = Verdict.PASS  # a member of an enum is slow to get at by name


def amplifies(asked: int, said: int) -> bool:
    """Whether an answer is more than `FACTOR` times as long as its query, on the wire; both in octets of DNS."""
    return said + HEADERS > FACTOR * (asked + HEADERS)


class RateLimit:
    """The buckets.

    Args:
        rules: How much is given to whom.
        now: The present, in monotonic seconds.

    Attributes:
        active: There is a limit.
    """

    def __init__(self, rules: settings.RateLimit, *, now: float) -> None:
        self._young: dict[Hashable, float] = {}
        self._old: dict[Hashable, float] = {}
        self._turn_at = now + DEPTH
        self._beyond = 0
        self.configure(rules)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def configure(self, rules: settings.RateLimit) -> None:
        """From now on, limit by these rules; what was counted for networks of another size is forgotten in a second."""
        self.active = rules.per_second > 0
        self._rules = rules
        self._interval = 1 / rules.per_second if self.active else 0.0
        self._highest = DEPTH + self._interval * 1e-6  # sums of fractions are not exact

    def judge(self, address: str, *, now: float) -> Verdict:
        """Takes a token from a bucket, for an answer that amplifies.

        Args:
            address: To whom it is about to be given, as text.
            now: The present, in monotonic seconds.
        """
        if not self.active:
            return _PASS
        plain = self._rules.ipv4_prefix == 24 and ":" not in address
        network = address[: address.rindex(".")] if plain else self._network(address)
        young = self._young
        full_at = young.get(network)
        if full_at is None:
            if now >= self._turn_at or len(young) >= MOST:
                young = self._turn(now)
            full_at = self._old.get(network, now)
        if full_at < now:
            full_at = now
        full_at += self._interval
        if full_at - now > self._highest:
            return self._exceeded(address)
        young[network] = full_at
        return _PASS

    def _turn(self, now: float) -> dict[Hashable, float]:
        self._old, self._young = self._young, {}
        self._turn_at = now + DEPTH
        return self._young

    def _exceeded(self, address: str) -> Verdict:
        if any(plain_address(address) in network for network in self._rules.exempt):
            return Verdict.PASS
        slip = self._rules.slip
        self._beyond += 1
        return Verdict.DROP if not slip or self._beyond % slip else Verdict.SLIP

    def _network(self, address: str) -> Hashable:
        """The network of a sender; those of IPv6 are negative."""
        if ":" in address:
            packed = plain_address(address)
            if isinstance(packed, IPv6Address):
                return ~(int(packed) >> 128 - self._rules.ipv6_prefix)
            address = str(packed)
            if self._rules.ipv4_prefix == 24:
                return address[: address.rindex(".")]
        first, second, third, fourth = address.split(".")
        whole = int(first) << 24 | int(second) << 16 | int(third) << 8 | int(fourth)
        return whole >> 32 - self._rules.ipv4_prefix
