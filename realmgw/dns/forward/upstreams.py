"""Resolvers: which of several is asked next, by whether they answer, and how fast.

Whoever answers fastest is asked first. The others' latency is forgotten slowly, so that each is tried again now and
then; who does not answer at all is left alone for a while, longer each time, unless nobody else is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from realmgw.config.distribution import DELAY_BOUNDS, Distribution
from realmgw.config.settings import Resolver
from realmgw.dns.codec.cookies import CLIENT_LENGTH, LONGEST

SMOOTHING = 0.3
"""How much the last answer counts for the latency."""
FADING = 0.98
"""What is left of a latency each time another resolver is asked first."""
MOST_FAILURES = 3
"""After so many failures, one after the other, a resolver is left alone."""
MOST_DENIALS = 10
"""Likewise, after it has said so often that it has no answer, as it may of some names, and has given none between."""
FIRST_REST, LONGEST_REST = 1.0, 60.0  # seconds
"""For how long at first and at most."""
PENALTY = 0.5  # seconds
"""What a failure adds to a latency."""
LONGEST_LATENCY = 10.0  # seconds


@attrs.define(eq=False)
class Upstream:
    """A resolver, and what is known of it."""

    resolver: Resolver
    """Where it is."""
    client_cookie: bytes
    """Ours, for it alone (RFC 7873 section 4.1), 8 octets."""
    server_cookie: bytes = b""
    """Its, as it was given last."""
    opts: dict[bool, bytes] = attrs.field(factory=dict, repr=False)
    """The OPT records of queries by UDP with these cookies and no other option, by DO, once they were made."""
    latency: float = 0.0  # seconds
    """Smoothed; 0: it was not asked yet."""
    failures: int = 0
    """How often it failed since it answered last."""
    rests_until: float = 0.0
    """Until then it is asked only if all others rest as well; monotonic seconds."""
    trouble: str = ""
    """Why it failed last, if it did not answer since."""
    denials: int = 0
    """How often it had no answer since it gave one last."""
    answers: int = 0
    """How many there were."""
    refused: int = 0
    """How often it had none, in all."""
    faults: int = 0
    """How many failures there were in all."""

    @property
    def cookie(self) -> bytes:
        """What a query's COOKIE option says."""
        return self.client_cookie + self.server_cookie

    def expects(self, cookie: bytes | None) -> bool:
        """Whether an answer's COOKIE option may be its: it knows our cookie, if it is one that has some."""
        if cookie is None:
            return not self.server_cookie
        return cookie[:CLIENT_LENGTH] == self.client_cookie

    def learn(self, cookie: bytes | None) -> None:
        """Keeps the server's part of a believed answer's COOKIE option; one without it knows no cookies any more."""
        if cookie is None:
            server = b""
        elif 2 * CLIENT_LENGTH <= len(cookie) <= LONGEST:
            server = cookie[CLIENT_LENGTH:]
        else:
            return
        if server != self.server_cookie:
            self.server_cookie = server
            self.opts.clear()


class Upstreams:
    """All resolvers.

    Args:
        chance: Gives so many unguessable octets.
        tell: Is told when a resolver begins to fail, and why, and when it answers again (an empty text).

    Attributes:
        latencies: How long answers took, in seconds, of all resolvers together.
        dropped: Answers, failures and refusals of those that there were and are not any more.
    """

    def __init__(self, chance: Callable[[int], bytes], tell: Callable[[Resolver, str], None]) -> None:
        self._chance, self._tell = chance, tell
        self.all: tuple[Upstream, ...] = ()
        self.latencies = Distribution(DELAY_BOUNDS)
        self.dropped = {"answers": 0, "failures": 0, "refused": 0}

    def configure(self, resolvers: Iterable[Resolver]) -> None:
        """From now on, there are these; what is known of those that stay is kept."""
        known = {each.resolver: each for each in self.all}
        former = self.all
        self.all = tuple(known.get(each) or Upstream(each, self._chance(CLIENT_LENGTH)) for each in resolvers)
        for gone in (each for each in former if each not in self.all):
            self.dropped["answers"] += gone.answers
            self.dropped["failures"] += gone.faults
            self.dropped["refused"] += gone.refused

    def order(self, now: float) -> list[Upstream]:
        """Whom to ask first, next, and so on."""
        if len(self.all) == 1:
            return [*self.all]
        found = sorted(self.all, key=lambda each: (each.rests_until > now, each.latency))
        for each in found[1:]:
            each.latency *= FADING
        return found

    def answered(self, upstream: Upstream, seconds: float) -> None:
        """A resolver gave an answer after so long a time."""
        self.latencies.add(seconds)
        old = upstream.latency
        upstream.latency = seconds if not old or upstream.failures else old + SMOOTHING * (seconds - old)
        upstream.answers += 1
        upstream.failures, upstream.denials, upstream.rests_until = 0, 0, 0.0
        if upstream.trouble:
            upstream.trouble = ""
            self._tell(upstream.resolver, "")

    def failed(self, upstream: Upstream, why: str, now: float) -> None:
        """A resolver gave none, or none of use."""
        upstream.latency = min(upstream.latency + PENALTY, LONGEST_LATENCY)
        upstream.failures += 1
        upstream.faults += 1
        self._judge(upstream, upstream.failures - MOST_FAILURES, why, now)

    def denied(self, upstream: Upstream, why: str, seconds: float, now: float) -> None:
        """A resolver has said after so long a time that it has no answer, or gave one of no use.

        That may be the name's fault, and who asks for such names has no say in who is asked first: its latency stays.
        """
        upstream.latency = upstream.latency or seconds
        upstream.denials += 1
        upstream.refused += 1
        self._judge(upstream, upstream.denials - MOST_DENIALS, why, now)

    def _judge(self, upstream: Upstream, times: int, why: str, now: float) -> None:
        """Leave one alone for a while that was of no use so many times more than it may be, if at all."""
        if times >= 0:
            upstream.rests_until = now + min(FIRST_REST * 2 ** min(times, 10), LONGEST_REST)
            if why != upstream.trouble:
                upstream.trouble = why
                self._tell(upstream.resolver, why)

    def counts(self) -> dict[str, object]:
        """What is known of each, by its address."""
        return {
            each.resolver.text: {
                "answers": each.answers, "failures": each.faults, "refused": each.refused,
                "milliseconds": round(each.latency * 1000, 1), "resting": each.rests_until > 0, "trouble": each.trouble,
            }
            for each in self.all
        }  # fmt: skip
