"""Challenges: what a resolver must do, before an address is reserved, to show that he is where his query says.

By UDP anybody can write any sender into a query. Who came by TCP, or sends a valid server cookie, has received
something at the address that he asks from: that is a *proof*. So has, for once, who asks for an alias that was told
him alone.

What is due, by the switches of a zone; the first line whose switch is on counts. *Proven* is who has a proof, the
others ask by bare UDP. "TC" stands for: come by TCP, or, if the query has a client cookie, with the server cookie in
the answer (BADCOOKIE), which is one round trip less.

========  ==================  ==================  ==================  ==================
switch    name, bare UDP      name, proven        alias, bare UDP     alias, proven
========  ==================  ==================  ==================  ==================
tcpcname  TC                  CNAME               TC                  none
adaptive  see `_adaptive`     none                none                none
tcp       TC                  CNAME, with cname   none                none
cname     CNAME               CNAME               none                none
none      none                none                none                none
========  ==================  ==================  ==================  ==================

An alias that is asked for from another group's address by bare UDP shows nothing of that address: see `is_stray`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realmgw.allocation.reputation.group import Group
    from realmgw.config.policy import Challenges

KNOWN = 300.0  # seconds
"""For so long after it has passed a challenge a group of good standing is due none, while the pool is not pressed."""
JUST_PASSED = 10.0  # seconds
"""For so long not even then: who asks often is not sent round by TCP with one in each hundred of his queries."""
PRESSED = 0.5
"""Load (waiting addresses / pool size, 0 to 1) from which on being known does not help."""


class Proof(enum.IntEnum):
    """How a query shows that its sender's address is true."""

    NONE = 0
    """It came by UDP, and anybody can have written it."""
    COOKIE = 1
    """It has a server cookie that we gave to this address (RFC 7873)."""
    TCP = 2
    """It came by TCP, so there was a handshake."""


class Challenge(enum.IntEnum):
    """What can be asked of a resolver. The values are bits of `Group.passed`, the cheapest the lowest."""

    COOKIE = 1
    """BADCOOKIE with a fresh server cookie: the same query again, with that."""
    TC = 2
    """An answer with nothing but TC: the same query by TCP."""
    CNAME = 4
    """A one-time alias instead of an address: a query for that."""


_COOKIE, _TC, _CNAME = Challenge  # a member of an enum is slow to get at by name


def due(
    challenges: Challenges, *, proof: Proof, alias: bool, group: Group | None, cookie: bool, pressed: bool, now: float
) -> Challenge | None:
    """What a resolver must do next before he is given an address.

    Args:
        challenges: The switches of the zone.
        proof: What his query shows.
        alias: He asks for an alias that is his.
        group: His resolver group; None if he has none, which is so for whoever never passed anything.
        cookie: His query has a client cookie.
        pressed: The pool's load is at least `PRESSED`.
        now: The present, in monotonic seconds.

    Returns:
        None if nothing is: he gets his address, if there is one.
    """
    if challenges.tcpcname:
        if not proof:
            return _COOKIE if cookie else _TC
        return None if alias else _CNAME
    if alias:
        return None
    if challenges.adaptive:
        return None if proof or is_known(group, pressed, now) else _adaptive(group, cookie)
    if challenges.tcp and not proof:
        return _COOKIE if cookie else _TC
    return _CNAME if challenges.cname else None


def _adaptive(group: Group | None, cookie: bool) -> Challenge:
    # A cookie where there can be one; else TCP, which costs nothing to demand, unless the group only came by alias.
    if cookie:
        return _COOKIE
    return _CNAME if group is not None and group.passed & _CNAME and not group.passed & _TC else _TC


def is_known(group: Group | None, pressed: bool, now: float) -> bool:
    """Whether a group is due nothing in adaptive mode, because of what it has passed lately and of what it did since.

    Anybody can write its address into his queries; but then nobody comes, and it is soon no longer taken at its word.
    """
    return (
        group is not None
        and now - group.proven_at <= (JUST_PASSED if pressed else KNOWN)
        and now >= group.word.doubted_until
    )


def is_stray(*, proof: Proof, same_group: bool) -> bool:
    """Whether a query for an alias comes from where it was not told, and nothing shows that this address is true.

    Then it is due TC or a cookie, whatever the switches say: to merge the two groups on its word would let anybody put
    somebody else's good or bad name together with his own.
    """
    return not proof and not same_group


def passed(proof: Proof, *, alias: bool) -> Challenge | None:
    """Which challenge a query shows to be passed; None for a bare one."""
    return _CNAME if alias else _PASSED[proof]


_PASSED = (None, _COOKIE, _TC)


def note(group: Group, challenge: Challenge, *, now: float) -> None:
    """Note that a group has passed a challenge.

    Args:
        group: It.
        challenge: What it has passed.
        now: The present, in monotonic seconds.
    """
    group.proven_at = now
    if not group.passed & challenge:
        group.passed |= challenge
        group.changed()
