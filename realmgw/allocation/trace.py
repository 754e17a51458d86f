"""A decision that is only tried: whoever decides takes a trace, says there what is found, and changes nothing then."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

_TOLD = 4096
"""Of so many addresses it is remembered how they are written: those of a pool are told again and again."""

BESIDE = "where other services of its host stand"


class Trace:
    """What was looked at.

    Attributes:
        steps: In order, each with what was found.
        how: Of what is given: how it was found.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.how = ""

    def say(self, step: str) -> None:
        """One more step."""
        self.steps.append(step)


@lru_cache(_TOLD)
def dotted(address: bytes) -> str:
    """A packed address for humans."""
    return str(ip_address(address))
