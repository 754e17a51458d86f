"""Server cookies (RFC 7873) in the layout that all servers share (RFC 9018): they prove a sender's address by UDP.

A COOKIE option is the client's 8 octets, then, once it has been given one, the server's 16: version, three reserved
octets, the time at which it was made, and SipHash-2-4 of all that and of the client's address under a secret. Nothing
is kept to verify one, except that the last valid cookie of each sender is remembered for a while: comparing costs less
than hashing.
"""

from __future__ import annotations

from collections.abc import Callable

from siphashc import siphash

from realmgw.config import settings
from realmgw.config.references import SECRET_LENGTH
from realmgw.system.endpoints import plain_address

CLIENT_LENGTH = 8  # octets
LENGTH = 24  # octets
"""Of client cookie and server cookie together."""
LONGEST = 40  # octets
"""What an option of other servers may have (RFC 7873 section 4)."""
AHEAD = 300  # seconds
"""A cookie may have been made so long after the present, by a server whose clock is fast (RFC 9018 section 4.3)."""
LIFETIME = 3600  # seconds
"""After this nobody believes it."""
RENEWAL = 1800  # seconds
"""After this its owner is given another one."""
REMEMBERED = 300.0  # seconds
"""For so long a cookie that was verified is only compared."""
MOST_REMEMBERED = 65536
"""Of so many senders."""

_VERSION_1 = b"\1\0\0\0"
_MODULUS = 1 << 32


class Cookies:
    """Makes and verifies cookies.

    Args:
        rules: Whether they are given at all, and how long a secret of our own is used.
        shared: Secrets of `SECRET_LENGTH` octets that other servers have, too; the first is used, all are believed.
            Empty: we make our own.
        randomness: Gives so many unguessable octets.
        wall: The time of day, in seconds since 1970: other servers' cookies have it.
        now: The present, in monotonic seconds.

    Attributes:
        enabled: Cookies are given and believed.
    """

    def __init__(
        self,
        rules: settings.Cookies,
        shared: tuple[bytes, ...],
        randomness: Callable[[int], bytes],
        wall: Callable[[], float],
        *,
        now: float,
    ) -> None:
        self._randomness = randomness
        self._wall = wall
        self._own: tuple[bytes, ...] = (randomness(SECRET_LENGTH),)
        self._rotate_at = now + rules.rotation
        self._known: dict[str, bytes] = {}
        self._known_until = now + REMEMBERED
        self.configure(rules, shared, now=now)

    def configure(self, rules: settings.Cookies, shared: tuple[bytes, ...], *, now: float) -> None:
        """From now on, go by these rules and secrets. Cookies made with our own secrets are believed still."""
        self._rules = rules
        self._shared = shared
        self.enabled = rules.enabled
        self._rotate_at = min(self._rotate_at, now + rules.rotation)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """What was verified with secrets that may be gone is verified again."""
        self._known.clear()
        self._known_until = now + REMEMBERED

    def _secrets(self, now: float) -> tuple[bytes, ...]:
        """Those that are believed; the first is the one to make cookies with."""
        if now >= self._rotate_at:
            self._own = (self._randomness(SECRET_LENGTH), self._own[0])
            self._rotate_at = now + self._rules.rotation
        return self._shared or self._own

    def proves(self, option: bytes, address: str, *, now: float) -> bool:
        """Whether an option has a server cookie that was given to this address.

        Args:
            option: The data of a COOKIE option, of any length.
            address: Where it came from, as text.
            now: The present, in monotonic seconds.
        """
        if now >= self._known_until:
            self._forget(now)
        if self._known.get(address) == option:
            return True
        if len(option) != LENGTH or option[8] != 1:
            return False
        made = int.from_bytes(option[12:16], "big")
        age = (int(self._wall()) - made + AHEAD) % _MODULUS - AHEAD  # serial number arithmetic (RFC 1982)
        if age > LIFETIME or not self._is_ours(option, _packed(address), now):
            return False
        if age <= RENEWAL:
            self._remember(address, option)
        return True

    def _is_ours(self, option: bytes, packed: bytes, now: float) -> bool:
        hashed = option[:16] + packed
        return any(siphash(secret, hashed).to_bytes(8, "little") == option[16:] for secret in self._secrets(now))

    def _remember(self, address: str, option: bytes) -> None:
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[address] = option

    def reply(self, option: bytes, address: str, *, now: float) -> bytes:
        """What our answer's COOKIE option says: the same cookie while it is young and valid, else a fresh one.

        Args:
            option: What the query's says, at least `CLIENT_LENGTH` octets. `proves` was asked about it just before.
            address: Where it came from, as text.
            now: The present, in monotonic seconds.
        """
        if self._known.get(address) == option:
            return option
        made = option[:CLIENT_LENGTH] + _VERSION_1 + (int(self._wall()) % _MODULUS).to_bytes(4, "big")
        return made + siphash(self._secrets(now)[0], made + _packed(address)).to_bytes(8, "little")


def _packed(address: str) -> bytes:
    """An address in network order."""
    if ":" not in address:
        return bytes(map(int, address.split(".")))
    return plain_address(address).packed
