"""Which group a resolver belongs to.

Three kinds of groups. *Preset* ones are the operator's, and always there. *Proven* ones have shown that they are where
they say, and are kept apart: only others that did the same can push them out. All others are *unproven*: anybody can
have written such an address, so there is a bounded number of them, and those that did not ask for longest are
forgotten. Where challenges are due, nothing asks for the group of an unproven resolver, and none is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any

from realmgw.allocation.reputation.group import Group
from realmgw.allocation.reputation.lru import TwoGenerationLRU
from realmgw.allocation.reputation.resolvers import Resolvers
from realmgw.allocation.reputation.score import Journal
from realmgw.config.policy import ResolverGroup
from realmgw.config.steps import PORTION, Steps, emptying, finish

MAX_NODES = 256
"""A group has at most so many addresses that were merged with it."""


class Presets:
    """The operator's groups, by network."""

    def __init__(self) -> None:
        self.groups: dict[ResolverGroup, Group] = {}
        self._networks: dict[tuple[int, int], dict[int, Group]] = {}  # by family and bits that are not looked at

    def of(self, resolver: Hashable) -> Group | None:
        """The group in whose longest prefix an address (as text) lies. O(different prefix lengths)."""
        if not self._networks or not isinstance(resolver, str):
            return None
        try:
            address = ip_address(resolver)
        except ValueError:
            return None
        number = int(address)
        for (version, shift), groups in self._networks.items():
            if version == address.version and (group := groups.get(number >> shift)) is not None:
                return group
        return None

    def tell_apart(self, address: IPv6Address, length: int) -> bool:
        """Whether an address lies in a prefix longer than so many bits. O(different prefix lengths)."""
        its, number = self._networks.items(), int(address)
        return any(key[0] == 6 and key[1] < 128 - length and number >> key[1] in groups for key, groups in its)

    def configuring(self, groups: dict[ResolverGroup, Group], tell: Callable[[], None]) -> Steps[None]:
        """From one moment to the next, these are all; who is to know is told at that moment."""
        networks: dict[tuple[int, int], dict[int, Group]] = {}
        every = ((node, group) for preset, group in groups.items() for node in preset.nodes)
        for count, (node, group) in enumerate(every, 1):
            shift = node.max_prefixlen - node.prefixlen
            networks.setdefault((node.version, shift), {})[int(node.network_address) >> shift] = group
            if not count % PORTION:
                yield None
        former: tuple[dict[Any, Group], ...] = self.groups, *self._networks.values()
        for preset, group in groups.items():
            group.preset, group.sla = preset, preset.sla
        self.groups, self._networks = groups, dict(sorted(networks.items()))  # the longest prefixes first
        tell()
        yield from emptying(*former)


class Groups:
    """All groups that are known.

    Args:
        limit: How many resolvers are remembered, and twice as many proven ones.
        make: Makes a group for a resolver.
        journal: Where groups are noted whose outcomes changed.

    Attributes:
        resolvers: Tells which addresses are one resolver's.
    """

    def __init__(self, limit: int, make: Callable[[Hashable], Group] = Group, journal: Journal | None = None) -> None:
        self._make = make
        self._journal = journal
        self._seen: TwoGenerationLRU[Hashable, Group] = TwoGenerationLRU(limit)
        # Larger than the other one: who asks is young here again before two generations of others came.
        self._proven: TwoGenerationLRU[Hashable, Group] = TwoGenerationLRU(2 * limit)
        self._presets = Presets()
        self.resolvers = Resolvers(self._presets.tell_apart)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Group]:
        """Every group, once."""
        told = set(self._presets.groups.values())
        yield from tuple(told)
        for store in (self._proven, self._seen):
            for resolver in store:
                group = store.peek(resolver)
                if group is not None and group not in told and not self._is_gone(group):
                    told.add(group)
                    yield group

    @property
    def remembered(self) -> int:
        """How many addresses of resolvers that asked lately are remembered; O(1), `len` goes through all groups."""
        return len(self._seen)

    @property
    def proven_ones(self) -> int:
        """How many addresses of resolvers that have shown where they are; O(1)."""
        return len(self._proven)

    def configure(self, limit: int) -> None:
        """From now on, remember so many."""
        self._seen.configure(limit)
        self._proven.configure(2 * limit)

    def of(self, resolver: Hashable) -> Group:
        """The group of a resolver (any hashable address value); made if it is not known."""
        group = self._seen.young.get(resolver)
        return group if group is not None else self._recall(resolver)

    def find(self, resolver: Hashable) -> Group | None:
        """The group of a resolver; None, and nothing is made, if it is not known."""
        group = self._seen.young.get(resolver)
        return group if group is not None else self._look_up(resolver)

    def known(self, resolver: Hashable) -> Group:
        """The group of a resolver as it is, or would be; nothing is remembered."""
        return self.find(resolver) or self._make(resolver)

    def _look_up(self, resolver: Hashable) -> Group | None:
        group = self._presets.of(resolver) or self._proven.peek(resolver) or self._seen.peek(resolver)
        return None if group is None or self._is_gone(group) else group

    def _is_gone(self, group: Group) -> bool:
        """Whether the operator has taken a preset group away."""
        return group.preset is not None and self._presets.groups.get(group.preset) is not group

    def _recall(self, resolver: Hashable) -> Group:
        group = self._look_up(resolver)
        if group is None:
            group = self._make(resolver)
            group.journal = self._journal
        elif self._proven.peek(resolver) is group:
            self._prove(group, resolver)
        self._seen.put(resolver, group)
        return group

    def _prove(self, group: Group, resolver: Hashable) -> None:
        for node in (resolver, group.resolver, *group.others) if group.others else (resolver,):
            self._proven.put(node, group)

    def proven(self, resolver: Hashable, *, now: float) -> Group:
        """The group of a resolver that has just shown that he is where he says; made if it is not known.

        From now on no flood of unproven ones makes it forgotten.
        """
        group = self.of(resolver)
        if self._proven.young.get(resolver) is not group:
            self._prove(group, resolver)
        group.proven_at = now
        return group

    def preset(self, presets: Iterable[ResolverGroup], *, now: float) -> None:
        """From now on, these are the operator's groups.

        A group whose networks are the same as before keeps its reputation. O(resolvers remembered), at C's speed.
        """
        finish(self.presetting(presets, now=now))

    def presetting(self, presets: Iterable[ResolverGroup], *, now: float) -> Steps[None]:
        """What `preset` does, step by step: all of them count from one moment to the next."""
        before, groups = dict[object, Group](), dict[ResolverGroup, Group]()
        for count, (preset, group) in enumerate(self._presets.groups.items(), 1):
            before[preset.nodes] = group
            if not count % PORTION:
                yield None
        for count, preset in enumerate(presets, 1):
            if not count % PORTION:
                yield None
            former = before.get(preset.nodes)
            groups[preset] = self._made(preset, now) if former is None else former
        yield from self._presets.configuring(groups, self._seen.set_back)
        yield from emptying(before)

    def _made(self, preset: ResolverGroup, now: float) -> Group:
        group = Group(preset.nodes[0])
        group.journal = self._journal
        _set(group, preset.initial_reputation, now)
        return group

    def keep(self, group: Group) -> None:
        """From now on, no flood of unproven resolvers makes a group forgotten."""
        if group.preset is None:
            self._prove(group, group.resolver)

    def restored(self, resolver: str, others: tuple[str, ...], *, preset: bool) -> Group | None:
        """A group of an earlier run: where what it was is to be put; None if that counts no more.

        Args:
            resolver: What it was made for, as text.
            others: The addresses that were merged with it.
            preset: Whether it was the operator's: then he must still have it.
        """
        free = tuple(node for node in others if self.find(node) is None)
        if preset:
            group = next((one for one in self._presets.groups.values() if str(one.resolver) == resolver), None)
            if group is None:
                return None
        elif self.find(resolver) is not None:
            return None
        else:
            group = self.of(resolver)
        group.others = free
        for node in free:
            self._seen.put(node, group)
        return group

    def merge(self, one: Group, other: Group, *, now: float) -> Group:
        """Make two groups one, since a resolver of the other one asked for an alias that this one was given.

        Whoever calls this must know that both are where they say: else anybody could put somebody else's good or bad
        name together with his own. Which of the two is gone depends on them alone, not on their order.

        Returns:
            The group of all their resolvers; `one` if they stay apart: both are preset, the operator wants it for one
            of them, or they have too many addresses.
        """
        if one is other or not _may_merge(one, other):
            return one
        kept, gone = sorted((one, other), key=_rank)
        if self._journal is not None:
            self._journal.forget(gone)
        kept.absorb(gone, now=now)
        kept.changed()
        self._take(kept, gone)
        return kept

    def _take(self, kept: Group, gone: Group) -> None:
        """Have all resolvers of a group belong to another one."""
        proven = any(self._proven.peek(group.resolver) is group for group in (kept, gone))
        for node in (gone.resolver, *gone.others):
            self._seen.put(node, kept)
        if proven:
            self._prove(kept, kept.resolver)

    def forget(self, resolver: Hashable, *, now: float) -> bool:
        """Forget what is known of a resolver and of all others of his group; of a preset one, what was learned.

        Returns:
            Whether there was anything to forget.
        """
        group = self.find(resolver)
        if group is None:
            return False
        for node in (resolver, group.resolver, *group.others):
            self._seen.pop(node)
            self._proven.pop(node)
        group.reputation.set(0.0, now=now)  # who is forgotten is not the best of all any more
        if group.preset is not None:
            group.others = ()
            _set(group, group.preset.initial_reputation, now)
        return True

    def set(self, resolver: Hashable, standing: float, *, now: float) -> Group:
        """Give a resolver's group a reputation, 0 to 1; what it does from now on changes it."""
        group = self.proven(resolver, now=now) if self.find(resolver) is None else self.of(resolver)
        _set(group, standing, now)
        return group


def _set(group: Group, standing: float, now: float) -> None:
    group.reputation.set(standing, now=now)
    group.rate(standing)
    group.fresh_until = -math.inf  # it may be the best one of all: others may want to know at once


def _may_merge(one: Group, other: Group) -> bool:
    if one.preset is not None and other.preset is not None:
        return False
    if any(group.preset is not None and not group.preset.merges for group in (one, other)):
        return False
    return len(one.others) + len(other.others) < MAX_NODES


def _rank(group: Group) -> tuple[bool, float, str]:
    """Which of two groups takes the other in: a preset one, else the one of which more is known."""
    return group.preset is None, -group.reputation.weight, str(group.resolver)
