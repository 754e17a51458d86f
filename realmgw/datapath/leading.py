"""Where a reload leads the rules, by which transaction, and back: pure, no kernel in sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from realmgw.config.settings import Dnat, Settings
from realmgw.datapath import ruleset, translation
from realmgw.datapath.batches import InSteps
from realmgw.datapath.hosts import HostChange
from realmgw.datapath.policy.classes import Classes
from realmgw.datapath.ruleset import Ruleset


@attrs.frozen
class Lead:
    """Where the rules are led to."""

    settings: Settings
    """In force from then on."""
    commands: Callable[[], str]
    """The transaction."""
    classes: Callable[[], Classes]
    """The classes that there are then; to be called once, when that is so."""
    octet: int | None
    """What the address of every host begins with then."""
    steps: Callable[[], InSteps | None] = lambda: None
    """The same in three transactions, which take no longer the more there is; None: it is more than hosts."""
    closed: bool = True
    """Whether there is to be no last step of the translation meanwhile."""


@attrs.frozen
class Leads:
    """There, and back again."""

    part: Lead
    """Elements and single chains only, if that is possible, of the table that stands."""
    whole: Lead
    """The whole table anew."""
    back: Lead
    """The whole table as it was."""


class Rulesets:
    """The ruleset that settings ask for: the same object as long as nothing is different.

    To make it, or what is written by it, takes as long as to change some hundred hosts.
    """

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._made: Ruleset

    def of(self, settings: Settings, *, asks_twice: bool = False, **how: Any) -> Ruleset:
        """See `Ruleset.of`, also for what it raises.

        Args:
            settings: The gateway's settings.
            asks_twice: Whether TCP is to come twice.
            how: Its other arguments.
        """
        of = settings, asks_twice, how
        if of != self._of:
            made = Ruleset.of(settings, **how)
            self._made = attrs.evolve(made, asks_twice=True) if asks_twice else made
            self._of = of
        return self._made


def leads(
    before: tuple[Settings, Ruleset], after: tuple[Settings, Ruleset], hosts: HostChange, octet: int | None
) -> Leads:
    """What leads from one state to another.

    Args:
        before: What is in force, and the rules of it.
        after: What shall be; flows are sent to their hosts in the same way.
        hosts: What becomes of the hosts.
        octet: What the address of every host begins with, before.

    Raises:
        ConfigurationError: A host can not be translated to.
    """
    (settings, rules), (wanted, other) = before, after
    then = translation.first_octet(hosts.after().values(), rules.dnat) if rules.dnat is not Dnat.MAP else None
    closed = then != octet or ruleset.is_replaced(rules, other)

    def anew() -> Classes:
        return Classes.of(hosts.after().values(), other.groups, other.nflog)

    def led() -> Classes:
        if ruleset.is_replaced(rules, other):
            return anew()
        hosts.classes.take(hosts.led)
        return hosts.classes

    def before_it() -> Classes:
        return Classes.of(hosts.before.values(), rules.groups, rules.nflog)

    def in_steps() -> InSteps | None:
        return ruleset.in_steps(rules, other, hosts)

    return Leads(
        part=Lead(wanted, lambda: ruleset.changes(rules, other, hosts), led, then, in_steps, closed=closed),
        whole=Lead(wanted, lambda: ruleset.replacement(other, hosts.after().values()), anew, then),
        back=Lead(settings, lambda: ruleset.replacement(rules, hosts.before.values()), before_it, octet),
    )
