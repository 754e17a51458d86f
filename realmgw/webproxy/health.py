"""How hosts are that the proxy looks at, from one reading of its figures to the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from realmgw.webproxy.checked import State, name_of


@attrs.define
class Hosts:
    """By their names; one that is looked at in both ways is ill if it is so in one of them."""

    ill: dict[str, list[State]] = attrs.Factory(dict)
    """Those that get no clients, by at least one way: how they are by these."""
    well: int = 0
    """So many others."""

    def heard(self, states: Mapping[str, State]) -> tuple[list[str], list[str]]:
        """They are so now, by what HAProxy knows their servers by.

        Returns:
            The names that have become ill, and those that were and are well, or not looked at any more.
        """
        ill, former = dict[str, list[State]](), self.ill
        for known, state in states.items():
            if state.is_ill:
                ill.setdefault(name_of(known), []).append(state)
        self.ill = ill
        self.well = len({name_of(known) for known in states} - ill.keys())
        return sorted(ill.keys() - former.keys()), sorted(former.keys() - ill.keys())

    def shown(self, most: int) -> list[dict[str, object]]:
        """Those that are ill, at most so many of them, as plain values."""
        return [
            {"name": name, "by": each.way, "since": each.since, "reason": each.reason}
            for name in sorted(self.ill)[:most]
            for each in self.ill[name]
        ]
