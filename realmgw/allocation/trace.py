"""A decision that is only tried: whoever decides takes a trace, says there what is found, and changes nothing then."""

from __future__ import annotations

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


def dotted(address: bytes) -> str:
    """A packed address for humans."""
    if len(address) == 4:
        return ".".join(map(str, address))
    return ":".join(f"{address[at] << 8 | address[at + 1]:x}" for at in range(0, 16, 2))
