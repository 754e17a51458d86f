"""Rules of groups of subscribers: a chain for each direction, which the classes of its hosts jump to. Pure, text.

The chains are there whether there is a host or not, so that what they hold can change under their hosts. What they let
pass comes back, and is asked of the next group, then of the host's own rules (`realmgw.datapath.policy.classes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from realmgw.config.nflog import Nflog
from realmgw.config.pipeline import Group
from realmgw.config.policy import PolicyStage
from realmgw.config.rules import Direction, Rule
from realmgw.config.settings import Settings
from realmgw.datapath.pipeline.parts import PREFIX, REFUSE, StagePlace, Stages, counters
from realmgw.datapath.policy import rules
from realmgw.datapath.policy.classes import group_chain

COUNTER = f"{PREFIX}groups"
"""Everything that rules of groups drop or refuse."""


@attrs.frozen
class GroupPlace(StagePlace):
    """Where a rule of a group stands."""

    counted = f'counter name "{COUNTER}"'
    refused = f'counter name "{COUNTER}" goto {REFUSE}'
    passes = "return"

    def own(self, rule: Rule) -> str:
        """See `Standing`: limits are kept for each host of the group."""
        return "srcip" if rule.direction is Direction.EGRESS else "dstip"


def told(settings: Settings) -> tuple[Group, ...]:
    """The groups whose rules hold; in the order of their names, in which a host's are asked."""
    if PolicyStage.GROUP_POLICY not in settings.datapath.policy_order:
        return ()
    return tuple(sorted(settings.policy.pipeline.groups, key=lambda each: each.name))


def stages(groups: Iterable[Group], nflog: Nflog | None) -> Stages:
    """What they place.

    Args:
        groups: Them.
        nflog: As for `rules.lines`.
    """
    objects, chains = dict[str, str](), dict[str, tuple[str, ...]]()
    for group in groups:
        for direction in Direction:
            chains[group_chain(group.name, direction)] = tuple(
                line
                for rule, place in placed(group)
                if rule.direction is direction
                for line in rules.lines(rule, place, nflog)
            )
        for rule, place in placed(group):
            objects[f"counter {place.counter}"] = "{ }"
            objects.update((f"set {name}", declared) for name, declared in rules.sets(rule, place))
    return Stages({**counters(chains), **objects}, chains)


def placed(group: Group) -> Iterator[tuple[Rule, GroupPlace]]:
    """The rules of a group, each with its place."""
    for at, each in enumerate(group.rules, 1):
        yield each.rule, GroupPlace(f"group_{group.name}", at, each.origin)
