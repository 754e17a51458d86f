"""Who may see the dashboard: the token, sessions, and which requests come from its own page."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

import attrs

from realmgw.config.addresses import host_of

COOKIE = "realmgw-dashboard"
"""What the cookie is called that stands for a session."""
MOST_SESSIONS = 64
"""So many there are at once; for one more, the oldest one ends."""
LIFE = 12 * 3600.0  # seconds
"""So long a session lasts."""
_OCTETS = 24
_OF_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@attrs.frozen
class Session:
    """Somebody who has shown the token."""

    number: int
    """For the log: the first one is 1."""
    until: float
    """When it ends, in monotonic seconds."""


class Access:
    """Knows who has shown the token.

    Args:
        chance: Gives so many octets that nobody can guess.
        names: By which it is reached beside those of this machine: addresses and the name in the certificate.

    Attributes:
        token: What has to be shown; None: nothing, whoever can connect may see it.
        entered: How many sessions have begun.
        denied: How often something was shown that is not the token.
    """

    def __init__(self, chance: Callable[[int], bytes], names: Iterable[str]) -> None:
        self.token: str | None = None
        self.entered = self.denied = 0
        self._chance = chance
        self._names = {*_OF_THIS_MACHINE, *names}
        self._sessions: dict[str, Session] = {}

    def demand(self, token: str | None) -> None:
        """From now on, this token has to be shown; if it is another one, all sessions end."""
        if token != self.token:
            self._sessions.clear()
        self.token = token

    def enter(self, authorization: str, *, now: float) -> str | None:
        """Begin a session.

        Args:
            authorization: What is shown, as a field of HTTP has it (RFC 6750).
            now: Monotonic seconds.

        Returns:
            What the cookie says from now on; None: it is not the token.
        """
        scheme, _, shown = authorization.partition(" ")
        known = (self.token or "").encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(known, shown.strip().encode(errors="replace")):
            self.denied += 1
            return None
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self.entered += 1
        key = self._chance(_OCTETS).hex()
        self._sessions[key] = Session(self.entered, now + LIFE)
        return key

    def session(self, cookies: str, *, now: float) -> Session | None:
        """Whose request has these cookies, as its field has them; None: nobody's who has shown the token."""
        key = _cookie(cookies)
        found = self._sessions.get(key)
        if found is not None and found.until <= now:
            del self._sessions[key]
            return None
        return found

    def leave(self, cookies: str) -> None:
        """End the session that these cookies stand for, if there is one."""
        self._sessions.pop(_cookie(cookies), None)

    def may(self, cookies: str, *, now: float) -> bool:
        """Whether somebody with these cookies may see it."""
        return self.token is None or self.session(cookies, now=now) is not None

    def is_ours(self, host: str) -> bool:
        """Whether a request is for us, by its Host field: a name that somebody else's DNS has led here is not."""
        return host_of(host) in self._names


def is_own(host: str, origin: str, site: str) -> bool:
    """Whether a request comes from our page, and not from that of somebody else.

    Args:
        host: Its Host field.
        origin: Its Origin field, which browsers add to what may change something (RFC 6454); empty: it has none.
        site: Its Sec-Fetch-Site field, likewise.
    """
    if site not in ("", "same-origin"):
        return False
    where = origin.partition("://")[2]
    return bool(where) and where.lower() == host.strip().lower()


def _cookie(text: str) -> str:
    """What the cookie says; empty if there is none (RFC 6265 section 4.2.1)."""
    pairs = (each.strip().partition("=") for each in text.split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")
