"""Resolvers as their users have them: as they come, and with the settings that people choose."""

from __future__ import annotations

import attrs

from testbed.realm.resolvers import RESOLVERS
from testbed.realm.root import ZONES
from testbed.realm.topology import GATEWAY

KINDS = {kind.title: kind for kind in RESOLVERS}
"""By their titles."""
AS_IT_COMES = "as it comes"
"""What the tables call a resolver with the configuration that Debian ships."""


LONG = 30.0  # seconds
"""Whoever keeps answers for so long has been told to."""


@attrs.frozen
class Row:
    """A resolver with its setting."""

    resolver: str
    """Its kind's title."""
    setting: str = AS_IT_COMES
    """What its user has set."""
    lines: tuple[str, ...] = ()
    """How that is said in its own words."""
    before: str | None = None
    """Of a forwarder: the resolver that it asks; None: the gateway itself."""
    kept: float = 0.0
    """How long it tells its clients an answer whose time to live is 0, in seconds."""
    renewed: bool = False
    """Whether it asks again whenever it has told a kept answer."""

    @property
    def title(self) -> str:
        """What the tables call it."""
        name = f"{self.resolver} before {self.before}" if self.before else self.resolver
        return name if self.setting == AS_IT_COMES else f"{name}, {self.setting}"

    @property
    def keeps(self) -> bool:
        """Whether it keeps answers for so long that the gateway has to learn it."""
        return self.kept >= LONG

    @property
    def usual(self) -> bool:
        """Whether it is as it comes."""
        return self.setting == AS_IT_COMES

    @property
    def missing(self) -> str | None:
        """Why it can not be started, or None."""
        needed = [self.resolver, *([self.before] if self.before else [])]
        return next((missing for title in needed if (missing := KINDS[title].missing())), None)


STRICT, OFF, PREFETCH, STALE = "minimisation strict", "minimisation off", "prefetch", "serve stale"
MINIMUM, AS_TOLD, ECS = "minimum TTL 60 s", "minimum TTL 0", "ECS"

ROWS = (
    Row("unbound"),
    Row("BIND"),
    Row("Knot Resolver", kept=5.0, renewed=True),
    Row("PowerDNS Recursor", kept=1.0),
    Row("dnsmasq"),
    Row("dnsmasq", before="unbound"),
    Row("systemd-resolved"),
    Row("systemd-resolved", before="unbound"),
    Row("unbound", STRICT, ("qname-minimisation-strict: yes",)),
    Row("unbound", OFF, ("qname-minimisation: no",)),
    Row("unbound", PREFETCH, ("prefetch: yes",)),
    Row("unbound", STALE, ("serve-expired: yes",)),
    Row("unbound", "0x20", ("use-caps-for-id: yes",)),
    Row("unbound", ECS, (f"send-client-subnet: {GATEWAY}",)),
    Row("unbound", MINIMUM, ("cache-min-ttl: 60",), kept=60.0),
    Row("BIND", STRICT, ("qname-minimization strict;",)),
    Row("BIND", OFF, ("qname-minimization off;",)),
    Row("BIND", STALE, ("stale-cache-enable yes;", "stale-answer-enable yes;", "stale-answer-client-timeout 0;")),
    Row("BIND", MINIMUM, ("min-cache-ttl 60;",), kept=60.0),
    Row("Knot Resolver", OFF, ("policy.add(policy.all(policy.FLAGS('NO_MINIMIZE')))",), kept=5.0, renewed=True),
    Row("Knot Resolver", STALE, ("modules.load('serve_stale < cache')",), kept=5.0, renewed=True),
    Row("Knot Resolver", AS_TOLD, ("cache.min_ttl(0)",), kept=1.0, renewed=True),
    Row("Knot Resolver", MINIMUM, ("cache.min_ttl(60)",), kept=60.0),
    Row("PowerDNS Recursor", OFF, ("qname-minimization=no",), kept=1.0),
    Row("PowerDNS Recursor", PREFETCH, ("refresh-on-ttl-perc=10",), kept=1.0),
    Row("PowerDNS Recursor", STALE, ("serve-stale-extensions=10",), kept=1.0),
    Row(
        "PowerDNS Recursor", ECS, (f"edns-subnet-allow-list={','.join(zone.rstrip('.') for zone in ZONES)}",), kept=1.0
    ),
    Row("PowerDNS Recursor", AS_TOLD, ("minimum-ttl-override=0",)),
    Row("PowerDNS Recursor", MINIMUM, ("minimum-ttl-override=60",), kept=60.0),
    Row("dnsmasq", STALE, ("use-stale-cache",)),
    Row("dnsmasq", MINIMUM, ("min-cache-ttl=60",), kept=60.0),
)
"""All of them; those as they come first."""
