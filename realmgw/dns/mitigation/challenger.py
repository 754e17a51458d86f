"""Whether a query is due a challenge: the switches of its zone, what is known of its sender, and what that changes.

The fast path and the full one ask `demand`, and operators `foresee`, which decides the same and changes nothing.
"""

from __future__ import annotations

import attrs

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import PRESSED, Challenge, Proof, due, is_stray, note, passed
from realmgw.allocation.reputation.group import Group
from realmgw.config import settings
from realmgw.config.policy import Audit, Challenges
from realmgw.dns.codec.names import to_wire
from realmgw.dns.counts import Count
from realmgw.dns.mitigation.aliases import Alias, Aliases
from realmgw.dns.zones import ZoneTable

NO_CHALLENGES = Challenges()


@attrs.frozen
class Asking:
    """How a question comes."""

    resolver: str
    """From which address, as text."""
    proof: Proof = Proof.NONE
    """What it shows of its sender."""
    cookie: bool = False
    """It has a client cookie, and those are given."""
    now: float = 0.0
    """When, in monotonic seconds."""


class Challenger:
    """Decides on challenges, and tells the groups what they have passed.

    Args:
        allocator: Knows the groups, and how full the pool is.
        aliases: Those that were given.
        events: Counters by `Count`.

    Attributes:
        audit: Challenges are decided on and counted, and not made.
        active: Some zone wants something of its askers; if not, only aliases are a reason to ask this.
    """

    def __init__(self, allocator: Allocator, aliases: Aliases, events: list[int]) -> None:
        self._groups = allocator.groups
        self._pool = allocator.pool
        self._aliases = aliases
        self._events = events
        self._by_apex: dict[bytes, Challenges] = {}
        self._uniform: Challenges | None = None
        self.audit = False
        self.active = False

    def configure(self, settings: settings.Settings) -> None:
        """From now on, go by these zones and this policy."""
        policy, zones = settings.policy, settings.zones
        self.audit = Audit.CHALLENGES in policy.audit
        self._by_apex = {to_wire(zone.name): _known(zone.challenges or policy.challenges) for zone in zones}
        wanted = {self._by_apex[to_wire(zone.name)] for zone in zones if not zone.aliases}
        self.active = any(rules is not NO_CHALLENGES for rules in wanted)
        # What all zones want that names of subscribers are in; None if they are not of one mind.
        self._uniform = wanted.pop() if len(wanted) == 1 else None
        self._aliases.zone = next((to_wire(zone.name) for zone in zones if zone.aliases), None)

    def replace(self, table: ZoneTable) -> None:
        """From now on, this is what there is."""
        self._zones, self._static = table.zones, table.static
        self._aliases.is_ours = lambda zone: table.zones.of(zone) is not None

    def rules(self, name: bytes) -> Challenges:
        """What the zone of a name (wire form, lower case) wants of those who ask for it."""
        if self._uniform is not None:
            return self._uniform
        zone = self._zones.of(name)
        return NO_CHALLENGES if zone is None else self._by_apex.get(zone.apex, NO_CHALLENGES)

    def find(self, resolver: str) -> Group | None:
        """The group of a resolver, if it has one."""
        return self._groups.find(resolver)

    def follows_tc(self, resolver: str) -> bool:
        """Whether a resolver has come by TCP after an answer with TC before."""
        group = self._groups.find(resolver)
        return group is not None and bool(group.passed & Challenge.TC)

    def foresee(self, name: bytes, alias: Alias | None, asking: Asking) -> Challenge | None:
        """What `demand` would decide, enforced or not; nothing is changed or counted."""
        resolver, proof, cookie, now = asking.resolver, asking.proof, asking.cookie, asking.now
        if alias is None:
            return self._due(name, self.rules(name), self._groups.find(resolver), proof, cookie, now)
        if self._is_stray(alias, resolver, proof):
            return Challenge.COOKIE if cookie else Challenge.TC
        return _due_alias(self.rules(alias.owner), proof, cookie, now)

    def demand(
        self, name: bytes, alias: Alias | None, resolver: str, *, proof: Proof, cookie: bool, now: float
    ) -> Challenge | None:
        """The challenge that a query for the address of a service is due; its sender's group learns what it has passed.

        An alias that comes from another group than it was told makes the two one, if nothing is due.

        Args:
            name: What is asked for: wire form, lower case.
            alias: What that is, where it is no service's own name.
            resolver: Where the query came from, as text.
            proof: What it shows.
            cookie: It has a client cookie, and those are given.
            now: The present, in monotonic seconds.
        """
        if alias is not None:
            return self._of_alias(alias, resolver, proof, cookie, now)
        return self._of_name(name, resolver, proof, cookie, now) if self.active else None

    def vouch(self, resolver: str, proof: Proof, *, now: float) -> None:
        """A query that was looked at a moment ago comes on: what it shows of its sender counts still, for its claim."""
        group = self._groups.find(resolver) if proof else None
        if group is not None and group.passed:
            group.proven_at = now

    def _of_name(self, name: bytes, resolver: str, proof: Proof, cookie: bool, now: float) -> Challenge | None:
        rules = self.rules(name)
        group = self._groups.find(resolver) if rules.adaptive or rules.log_untrusted else None
        asked = self._due(name, rules, group, proof, cookie, now)
        if asked is None or self._only_counted():
            self._passed(rules, group, resolver, passed(proof, alias=False), now)
            return None
        if rules.log_untrusted:
            self._count(group, bool(proof))
        return asked

    def _due(
        self, name: bytes, rules: Challenges, group: Group | None, proof: Proof, cookie: bool, now: float
    ) -> Challenge | None:
        pressed = rules.adaptive and self._pool.load >= PRESSED
        asked = due(rules, proof=proof, alias=False, group=group, cookie=cookie, pressed=pressed, now=now)
        if asked is not Challenge.CNAME or name not in self._static:
            return asked
        # No CNAME beside SOA and NS (RFC 1034 section 3.6.2): a proof will do here.
        return None if proof else Challenge.COOKIE if cookie else Challenge.TC

    def _of_alias(self, alias: Alias, resolver: str, proof: Proof, cookie: bool, now: float) -> Challenge | None:
        rules = self.rules(alias.owner)
        stray = self._is_stray(alias, resolver, proof)
        asked = Challenge.COOKIE if cookie else Challenge.TC
        due_now = asked if stray else _due_alias(rules, proof, cookie, now)
        if due_now is not None and not self._only_counted():
            return due_now
        if not stray:
            self._proven(alias, rules, resolver, now)
        self._aliases.used(alias)
        return None

    def _is_stray(self, alias: Alias, resolver: str, proof: Proof) -> bool:
        if resolver == alias.resolver:
            return False
        mine, theirs = self._groups.find(resolver), self._groups.find(alias.resolver)
        return is_stray(proof=proof, same_group=mine is not None and mine is theirs)

    def _proven(self, alias: Alias, rules: Challenges, resolver: str, now: float) -> None:
        """An alias has come back: whoever was told it, and whoever asks for it, are one."""
        group = self._passed(rules, None, resolver, Challenge.CNAME, now)
        if group is None or resolver == alias.resolver:
            return
        theirs = self._groups.find(alias.resolver)
        if theirs is not group:
            theirs = self._groups.proven(alias.resolver, now=now)  # who else could have told this one?
            self._groups.merge(theirs, group, now=now)
            self._events[Count.MERGED] += 1

    def _only_counted(self) -> bool:
        if self.audit:
            self._events[Count.CHALLENGE_AUDITED] += 1
        return self.audit

    def _passed(
        self, rules: Challenges, group: Group | None, resolver: str, challenge: Challenge | None, now: float
    ) -> Group | None:
        """Whoever has passed a challenge has a group from then on, where challenges mean anything."""
        if challenge is not None and rules is not NO_CHALLENGES:
            group = self._groups.proven(resolver, now=now)
            note(group, challenge, now=now)
        if rules.log_untrusted:
            self._count(group, challenge is not None)
        return group

    def _count(self, group: Group | None, trusted: bool) -> None:
        self._events[Count.TRUSTED if trusted else Count.UNTRUSTED] += 1
        if group is not None:
            if trusted:
                group.trusted += 1
            else:
                group.untrusted += 1


def _due_alias(rules: Challenges, proof: Proof, cookie: bool, now: float) -> Challenge | None:
    return due(rules, proof=proof, alias=True, group=None, cookie=cookie, pressed=False, now=now)


def _known(rules: Challenges) -> Challenges:
    """Those that want nothing are all the same, so that one look tells."""
    return NO_CHALLENGES if rules == NO_CHALLENGES else rules
