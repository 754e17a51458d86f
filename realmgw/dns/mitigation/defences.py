"""What the WAN's view has against those who ask in other people's names, and too often."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from realmgw.config import settings
from realmgw.config.policy import Audit
from realmgw.dns.codec.cookies import Cookies
from realmgw.dns.counts import Count
from realmgw.dns.mitigation.aliases import Aliases
from realmgw.dns.mitigation.ratelimit import RateLimit, Verdict


@attrs.define(eq=False)
class Defences:
    """What survives a reload: cookies, aliases, and the rate limit's buckets."""

    cookies: Cookies
    """Prove where a query came from."""
    aliases: Aliases
    """Prove it for one query."""
    limit: RateLimit
    """Of answers that reserve no address."""
    audit: bool = False
    """What is beyond the limit is only counted."""

    @classmethod
    def of(
        cls, settings: settings.Settings, randomness: Callable[[int], bytes], wall: Callable[[], float], *, now: float
    ) -> Defences:
        """Those of a gateway that begins.

        Args:
            settings: Its settings.
            randomness: Gives so many unguessable octets.
            wall: The time of day, in seconds since 1970.
            now: The present, in monotonic seconds.
        """
        cookies = Cookies(settings.dns.cookies, (), randomness, wall, now=now)
        return cls(cookies, Aliases(randomness), RateLimit(settings.dns.rate_limit, now=now), _audits(settings))

    def configure(self, settings: settings.Settings, secrets: tuple[bytes, ...], *, now: float) -> None:
        """From now on, go by these settings, and these shared secrets of cookies."""
        self.cookies.configure(settings.dns.cookies, secrets, now=now)
        self.limit.configure(settings.dns.rate_limit)
        self.audit = _audits(settings)

    def verdict(self, address: str, events: list[int], *, now: float) -> Verdict:
        """What becomes of an answer by UDP that amplifies, to whom nothing has proven; counted.

        Args:
            address: Where it goes, as text.
            events: Counters by `Count`.
            now: The present, in monotonic seconds.
        """
        verdict = self.limit.judge(address, now=now)
        if verdict is _PASS:
            return _PASS
        if self.audit:
            events[Count.RATE_AUDITED] += 1
            return _PASS
        events[Count.RATE_DROPPED if verdict is Verdict.DROP else Count.RATE_SLIPPED] += 1
        return verdict


_PASS = Verdict.PASS


def _audits(settings: settings.Settings) -> bool:
    return Audit.RATE in settings.policy.audit
