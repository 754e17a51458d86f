"""A subscriber's firewall: its rules (`realmgw.config.rules`) in two lists, and their schema."""

from __future__ import annotations

from functools import lru_cache

import attrs

from realmgw.config.rules import RULES
from realmgw.config.rules import Direction as Direction
from realmgw.config.rules import Options as Options
from realmgw.config.rules import Rule as Rule
from realmgw.config.rules import Target as Target
from realmgw.config.validators import Key, Section


@attrs.frozen(cache_hash=True)
class Firewall:
    """A subscriber's own rules, in the order in which they are tried. The operator's come first."""

    admin: tuple[Rule, ...] = ()
    """The operator's."""
    user: tuple[Rule, ...] = ()
    """The subscriber's."""

    def __bool__(self) -> bool:
        return bool(self.admin or self.user)


NO_RULES = Firewall()
"""Of most subscribers."""


def _ordered(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(sorted(rules, key=lambda rule: rule.priority))


@lru_cache(4096)
def firewall(admin: tuple[Rule, ...] = (), user: tuple[Rule, ...] = ()) -> Firewall:
    """The firewall with these rules, ordered by priority: subscribers have a few different ones among them."""
    return Firewall(_ordered(admin), _ordered(user))


def _established(firewall_admin: tuple[Rule, ...] = (), firewall_user: tuple[Rule, ...] = ()) -> Firewall:
    return firewall(firewall_admin, firewall_user)


PLAIN = Section(firewall, {"admin": Key(RULES), "user": Key(RULES)})
"""As we write it."""
ESTABLISHED = Section(_established, {"firewall_admin": Key(RULES), "firewall_user": Key(RULES)}, any_case=True)
"""As existing collections have it."""
