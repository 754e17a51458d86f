"""The hosts that an address had before, whose clients may still come there: who was told of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group

TOLD = 16
"""Of so many groups it is remembered that they were told of a host."""
FORMERS = 2
"""Of so many hosts it is remembered who was told of them: one of them may be the host that is there."""

_Former = tuple[int, "dict[Group, float]"]


class Formers:
    """The last hosts of an address, or those for whose clients it is too late last, `FORMERS` at most.

    Attributes:
        told: Who was told of them: they are not looked at themselves while all of these are plain, as most are.
    """

    __slots__ = ("_hosts", "told")

    def __init__(self) -> None:
        self._hosts: tuple[_Former, ...] = ()
        self.told: tuple[Group, ...] = ()

    def note(self, host: int, told: dict[Group, float]) -> None:
        """A service leaves, and its host may stay.

        Args:
            host: Its index.
            told: Who was told of it, and when last, in monotonic seconds.
        """
        others = self._hosts
        if others and others[0][0] == host:
            told, others = _together(others[0][1], told), others[1:]
        elif len(others) == FORMERS:
            if others[-1][0] == host:
                told, others = _together(others[-1][1], told), others[:-1]
            else:
                others = others[:-1]
                for group in self.told:
                    if not group.habits.is_plain:
                        (host, told), *more = sorted(((host, told), *self._hosts), key=_latest, reverse=True)
                        others = tuple(more[: FORMERS - 1])
                        break
        self._hosts = (host, told), *others
        self.told = (*told, *others[0][1]) if others else (*told,)

    @property
    def are_kept(self) -> bool:
        """Whether any of those who were told of them keep answers, or are taken to do so."""
        for group in self.told:  # noqa: SIM110 - a generator costs a call for each
            if not group.habits.is_plain:
                return True
        return False

    def of(self, host: int) -> Mapping[Group, float]:
        """Who was told of a host (its index) when it was here before, and when last, in monotonic seconds."""
        return next((told for its, told in self._hosts if its == host), {})

    def of_others(self, host: int, now: float) -> list[Group]:
        """Whose clients may still come for another host than this one (its index).

        Args:
            host: It.
            now: The present, in monotonic seconds.
        """
        found: list[Group] = []
        for its, told in self._hosts if self.are_kept else ():
            if its != host:
                found += [one for one, at in told.items() if not one.habits.is_plain and is_expected(one, at, now)]
        return found


def expects_until(told: Mapping[Group, float]) -> float:
    """Until when clients may come for what groups were told, as far as is known of these now, in monotonic seconds.

    Args:
        told: Who was told of it, and when last, likewise.
    """
    latest = -math.inf
    for group, at in told.items():
        if not group.habits.is_plain and (until := at + group.spell) > latest:
            latest = until
    return latest


def are_kept(told: Mapping[Group, float], now: float) -> bool:
    """Whether clients may still come of those of some groups who are known to keep answers, or suspected.

    Args:
        told: Who was told something, and when last, in monotonic seconds.
        now: The present, likewise.
    """
    for group, at in told.items():
        habits = group.habits
        if habits.is_plain or not is_expected(group, at, now):
            continue
        if habits.keeps_answers or habits.caution.is_likely_to_keep:
            return True
    return False


def is_expected(group: Group, told: float, now: float) -> bool:
    """Whether clients may still come of a group that was told something then, as far as is known of it now."""
    group.habits.look(now)  # what is assumed may just have ended
    return told + group.spell > now


def _together(before: dict[Group, float], told: dict[Group, float]) -> dict[Group, float]:
    """Who was told of services of one host, and when last; `TOLD` of them, if possible all who may keep answers."""
    found = dict(before)
    for group, at in told.items():
        found[group] = max(at, found.get(group, at))
    if len(found) > TOLD:
        kept = sorted(found, key=lambda each: (each.habits.is_plain, -found[each]))[:TOLD]
        return {each: found[each] for each in kept}
    return found


def _latest(former: _Former) -> float:
    """When it is too late for the clients of a host; or when it was told last: it may turn out that this was kept."""
    told = former[1]
    return max(expects_until(told), max(told.values(), default=-math.inf))
