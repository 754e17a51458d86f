"""Whether a query is due a challenge: the switches of its zone, what is known of its sender, and what that changes."""

from __future__ import annotations

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.challenges import PRESSED, Challenge, Proof, due, is_stray, note, passed
from realmgw.allocation.group import Group
from realmgw.config import settings
from realmgw.config.policy import Audit, Challenges
from realmgw.dns.aliases import Alias, Aliases
from realmgw.dns.counts import Count
from realmgw.dns.names import to_wire

NO_CHALLENGES = Challenges()


class Challenger:
    """Decides on challenges, and tells the groups what they have passed.

    Args:
        allocator: Knows the groups, and how full the pool is.
        aliases: Those that were given.
        events: Counters by `Count`.

    Attributes:
        audit: Challenges are decided on and counted, and not made.
        active: Some zone wants something of its askers; if not, there is nothing to ask this for.
        uniform: What all zones want that names of subscribers are in; None if they are not of one mind.
    """

    def __init__(self, allocator: Allocator, aliases: Aliases, events: list[int]) -> None:
        self._groups = allocator.groups
        self._pool = allocator.pool
        self._aliases = aliases
        self._events = events
        self._by_apex: dict[bytes, Challenges] = {}
        self.audit = False
        self.active = False
        self.uniform: Challenges | None = None

    def regard(self, settings: settings.Settings) -> None:
        """From now on, go by these zones and this policy."""
        policy, zones = settings.policy, settings.zones
        self.audit = Audit.CHALLENGES in policy.audit
        self._by_apex = {to_wire(zone.name): zone.challenges or policy.challenges for zone in zones}
        wanted = {self._by_apex[to_wire(zone.name)] for zone in zones if not zone.aliases}
        self.uniform = wanted.pop() if len(wanted) == 1 else None
        self.active = any(rules != NO_CHALLENGES for rules in (*wanted, self.uniform or NO_CHALLENGES))
        self._aliases.zone = next((to_wire(zone.name) for zone in zones if zone.aliases), None)

    def rules(self, apex: bytes) -> Challenges:
        """What a zone wants of those who ask for its names."""
        return self._by_apex.get(apex, NO_CHALLENGES)

    def find(self, resolver: str) -> Group | None:
        """The group of a resolver, if it has one."""
        return self._groups.find(resolver)

    def foresee(self, rules: Challenges, resolver: str, *, proof: Proof, cookie: bool, now: float) -> Challenge | None:
        """What `of_name` would say; nothing is changed or counted."""
        return due(
            rules,
            proof=proof,
            alias=False,
            group=self._groups.find(resolver),
            cookie=cookie,
            pressed=self._pool.load >= PRESSED,
            now=now,
        )

    def of_name(self, rules: Challenges, resolver: str, *, proof: Proof, cookie: bool, now: float) -> Challenge | None:
        """The challenge that a query for a name is due; if none is, its sender's group learns what it has passed.

        Args:
            rules: The zone's.
            resolver: Where the query came from, as text.
            proof: What it shows.
            cookie: It has a client cookie.
            now: The present, in monotonic seconds.
        """
        group, pressed = None, False
        if rules.adaptive or rules.log_untrusted:
            group = self._groups.find(resolver)
            pressed = self._pool.load >= PRESSED
        asked = due(rules, proof=proof, alias=False, group=group, cookie=cookie, pressed=pressed, now=now)
        if asked is None or self._only_counted():
            self._passed(rules, group, resolver, passed(proof, alias=False), now)
            return None
        if rules.log_untrusted:
            self._count(group, bool(proof))
        return asked

    def of_alias(
        self, alias: Alias, rules: Challenges, resolver: str, *, proof: Proof, cookie: bool, now: float
    ) -> Challenge | None:
        """The same of a query for an alias.

        If it comes from another group than it was told, and nothing is due, the two become one.

        Args:
            alias: It.
            rules: Those of the zone of the name that it stands for.
            resolver: Where the query came from, as text.
            proof: What it shows.
            cookie: It has a client cookie.
            now: The present, in monotonic seconds.
        """
        theirs = None
        if resolver != alias.resolver:
            mine, theirs = self._groups.find(resolver), self._groups.find(alias.resolver)
            same = mine is not None and mine is theirs
            if is_stray(proof=proof, same_group=same):
                return Challenge.COOKIE if cookie else Challenge.TC
            if not same:
                theirs = self._groups.proven(alias.resolver, now=now)  # who else could have told this one?
        asked = due(rules, proof=proof, alias=True, group=None, cookie=cookie, pressed=False, now=now)
        if asked is not None:
            return asked
        group = self._passed(rules, None, resolver, Challenge.CNAME, now)
        if theirs is not None and group is not None and group is not theirs:
            self._groups.merge(theirs, group, now=now)
            self._events[Count.MERGED] += 1
        self._aliases.used(alias)
        return None

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
