"""Whether a query is due a challenge: the switches of its zone, what is known of its sender, and what that changes.

What is due is decided by `due`, which changes nothing; what a query that goes on has shown is learned by `accept`.
"""

from __future__ import annotations

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.reputation.challenges import PRESSED, Challenge, Proof, due, is_known, is_stray, note, passed
from realmgw.allocation.reputation.group import Group
from realmgw.config import settings
from realmgw.config.policy import Audit, Challenges
from realmgw.dns.codec.names import to_wire
from realmgw.dns.counts import Count
from realmgw.dns.mitigation.aliases import Alias, Aliases
from realmgw.dns.zones import ZoneTable

NO_CHALLENGES = Challenges()

_CNAME = Challenge.CNAME  # a member of an enum is slow to get at by name


class Challenger:
    """Decides on challenges, and tells the groups what they have passed.

    Args:
        allocator: Knows the groups, and how full the pool is.
        aliases: Those that were given.
        events: Counters by `Count`.

    Attributes:
        audit: Challenges are decided on and counted, and not made.
        active: Some zone wants something of its askers; if not, only aliases are a reason to ask this.
        logs: Some zone wants it to be counted who has shown nothing.
    """

    def __init__(self, allocator: Allocator, aliases: Aliases, events: list[int]) -> None:
        self._groups = allocator.groups
        self._pool = allocator.pool
        self._aliases = aliases
        self._events = events
        self._usual = NO_CHALLENGES
        self._by_apex: dict[bytes, Challenges] = {}  # of zones that have some of their own
        self._uniform: Challenges | None = None
        self.audit = False
        self.active = self.logs = self._trusts = False

    def configure(self, settings: settings.Settings, table: ZoneTable) -> None:
        """From now on, go by these zones and this policy, and by what there is."""
        policy, zones = settings.policy, settings.zones
        self.audit = Audit.CHALLENGES in policy.audit
        self._usual = _known(policy.challenges)
        self._by_apex = {to_wire(zone.name): _known(zone.challenges) for zone in zones if zone.challenges is not None}
        own = {zone.challenges for zone in zones if not zone.aliases}
        wanted = {self._usual if rules is None else _known(rules) for rules in own}
        self.active = any(rules is not NO_CHALLENGES for rules in wanted)
        self.logs = any(rules.log_untrusted for rules in (self._usual, *self._by_apex.values()))
        # What all zones want that names of subscribers are in; None if they are not of one mind.
        self._uniform = uniform = wanted.pop() if len(wanted) == 1 else None
        # Where what is known of a group is all that counts, and nobody counts those who come by bare UDP.
        self._trusts = uniform is not None and uniform.adaptive and not (uniform.tcpcname or uniform.log_untrusted)
        self._zones, self._static = table.zones, table.static
        self._aliases.zone = next((to_wire(zone.name) for zone in zones if zone.aliases), None)
        self._aliases.is_ours = lambda zone: table.zones.of(zone) is not None

    def alias(self, name: bytes, now: float) -> Alias | None:
        """What a name (wire form, lower case) stands for, if it is an alias."""
        return self._aliases.find(name, now=now)

    def rules(self, name: bytes) -> Challenges:
        """What the zone of a name (wire form, lower case) wants of those who ask for it."""
        if self._uniform is not None:
            return self._uniform
        zone = self._zones.of(name)
        return NO_CHALLENGES if zone is None else self._by_apex.get(zone.apex, self._usual)

    def find(self, resolver: str) -> Group | None:
        """The group of a resolver, if it has one."""
        return self._groups.find(resolver)

    def follows_tc(self, resolver: str) -> bool:
        """Whether a resolver has come by TCP after an answer with TC before."""
        group = self._groups.find(resolver)
        return group is not None and bool(group.passed & Challenge.TC)

    def lets_pass(self, resolver: str, now: float) -> bool:
        """Whether a query without any proof, for a service's own name, is due nothing, and says nothing new either.

        That is what becomes of most. For all others `due` and `accept` are called; they would say the same of these.

        Args:
            resolver: As for `due`.
            now: As for `due`.
        """
        if not self._trusts:
            return False
        pool, group = self._pool, self._groups.find(resolver)
        return is_known(group, pool.waiting >= PRESSED * pool.size, now)

    def due(
        self, name: bytes, alias: Alias | None, resolver: str, proof: Proof, cookie: bool, now: float
    ) -> Challenge | None:
        """The challenge that a query for the address of a service is due, enforced or not; nothing is changed.

        Args:
            name: What is asked for: wire form, lower case.
            alias: What that is, where it is no service's own name.
            resolver: Where the query came from, as text.
            proof: What it shows.
            cookie: It has a client cookie, and those are given.
            now: The present, in monotonic seconds.
        """
        if alias is not None:
            return self._due_alias(alias, resolver, proof, cookie, now)
        rules = self.rules(name)
        group = self._groups.find(resolver) if rules.adaptive else None
        pressed = rules.adaptive and self._pool.load >= PRESSED
        asked = due(rules, proof=proof, alias=False, group=group, cookie=cookie, pressed=pressed, now=now)
        if asked is not _CNAME or name not in self._static:
            return asked
        # No CNAME beside SOA and NS (RFC 1034 section 3.6.2): a proof will do here.
        return None if proof else _simple(cookie)

    def _due_alias(self, alias: Alias, resolver: str, proof: Proof, cookie: bool, now: float) -> Challenge | None:
        if self._is_stray(alias, resolver, proof):
            return _simple(cookie)
        rules = self.rules(alias.owner)
        return due(rules, proof=proof, alias=True, group=None, cookie=cookie, pressed=False, now=now)

    def _is_stray(self, alias: Alias, resolver: str, proof: Proof) -> bool:
        if resolver == alias.resolver:
            return False
        mine, theirs = self._groups.find(resolver), self._groups.find(alias.resolver)
        return is_stray(proof=proof, same_group=mine is not None and mine is theirs)

    def accept(
        self, name: bytes, alias: Alias | None, counted: Challenge | None, resolver: str, proof: Proof, now: float
    ) -> None:
        """A query goes on to the allocator: its sender's group learns what it has passed.

        An alias that comes from another group than it was told makes the two one.

        Args:
            name: As for `due`.
            alias: As for `due`.
            counted: What was due, and is not enforced.
            resolver: As for `due`.
            proof: As for `due`.
            now: As for `due`.
        """
        if counted is not None:
            self._events[Count.CHALLENGE_AUDITED] += 1
        if alias is not None:
            if not self._is_stray(alias, resolver, proof):
                self._proven(alias, resolver, now)
            self._aliases.used(alias)
        elif self.active and self._passed(self.rules(name), resolver, passed(proof, alias=False), now) is not None:
            return
        self.vouch(resolver, proof, now)

    def vouch(self, resolver: str, proof: Proof, now: float) -> None:
        """A query that was looked at a moment ago comes on: what it shows of its sender counts still, for its claim."""
        group = self._groups.find(resolver) if proof else None
        if group is not None and group.passed:
            group.proven_at = now

    def send_round(self, name: bytes, alias: Alias | None, resolver: str, proof: Proof) -> None:
        """A query was answered with its challenge."""
        if alias is None and self.rules(name).log_untrusted:
            self._count(resolver, bool(proof))

    def _proven(self, alias: Alias, resolver: str, now: float) -> None:
        """An alias has come back: whoever was told it, and whoever asks for it, are one."""
        group = self._passed(self.rules(alias.owner), resolver, Challenge.CNAME, now)
        if group is None or resolver == alias.resolver:
            return
        theirs = self._groups.find(alias.resolver)
        if theirs is not group:
            theirs = self._groups.proven(alias.resolver, now=now)  # who else could have told this one?
            self._groups.merge(theirs, group, now=now)
            self._events[Count.MERGED] += 1

    def _passed(self, rules: Challenges, resolver: str, challenge: Challenge | None, now: float) -> Group | None:
        """Whoever has passed a challenge has a group from then on, where challenges mean anything."""
        group = None
        if challenge is not None and rules is not NO_CHALLENGES:
            group = self._groups.proven(resolver, now=now)
            note(group, challenge, now=now)
        if rules.log_untrusted:
            self._count(resolver, challenge is not None)
        return group

    def _count(self, resolver: str, trusted: bool) -> None:
        self._events[Count.TRUSTED if trusted else Count.UNTRUSTED] += 1
        group = self._groups.find(resolver)
        if group is not None:
            if trusted:
                group.trusted += 1
            else:
                group.untrusted += 1


def _simple(cookie: bool) -> Challenge:
    """What shows where a sender is in one round."""
    return Challenge.COOKIE if cookie else Challenge.TC


def _known(rules: Challenges) -> Challenges:
    """Those that want nothing are all the same, so that one look tells."""
    return NO_CHALLENGES if rules == NO_CHALLENGES else rules
