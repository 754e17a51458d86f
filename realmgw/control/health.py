"""What is wrong with the gateway now: its parts tell it, `status` shows it first, the log has its begin and its end.

Every part tells the whole of what is wrong with it whenever that may have changed; what is new and what is over is
found out here. So a trouble that lasts is one line of the log, not one for each time that it is looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable

import attrs


class Severity(enum.IntEnum):
    """How bad a trouble is."""

    NOTICE = 1
    """The gateway does its work; somebody should look."""
    LAST_GOOD = 2
    """What is written, or what a source of subscribers says, is not in force: what was good last is."""
    DEGRADED = 3
    """Something that flows need is broken: addresses that are lent now may be dead."""


class State(enum.Enum):
    """How the gateway is, in a word."""

    HEALTHY = "healthy"
    """It does its work."""
    LAST_GOOD = "last good"
    """It works, by the last good configuration, or what a source said last, not by what is written."""
    DEGRADED = "degraded"
    """Flows can not be carried, or not all of them."""


@attrs.frozen
class Trouble:
    """Something that is wrong."""

    part: str
    """Whose it is: datapath, repository, configuration and so on."""
    text: str
    """What it is and what to do, in one line. Two troubles with the same text are the same."""
    severity: Severity
    """How bad it is."""
    since: float = attrs.field(default=0.0, eq=False)
    """When it was told first, in monotonic seconds."""


class Health:
    """All that is wrong now.

    Args:
        monotonic: The present, in seconds.
        began: Called with each trouble that is new.
        ended: Called with each trouble that is over, and whether nothing is wrong with its part any more.
        degrade: Told, by `degraded`, whether addresses should be lent no more, whenever that changes; and `now`.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        began: Callable[[Trouble], object],
        ended: Callable[[Trouble, bool], object],
        degrade: Callable[..., object] = lambda **_: None,
    ) -> None:
        self._monotonic = monotonic
        self._began = began
        self._ended = ended
        self._degrade = degrade
        self._by_part: dict[str, dict[str, Trouble]] = {}
        self._count = dict.fromkeys(Severity, 0)

    def counts(self) -> dict[str, int]:
        """How many troubles have begun since the start, by how bad they are."""
        return {severity.name.lower(): count for severity, count in self._count.items()}

    def tell(self, part: str, lines: Iterable[str], severity: Severity = Severity.NOTICE) -> None:
        """Replace what is wrong with a part, at one severity.

        Args:
            part: Its name.
            lines: All that is wrong with it now at that severity, a line each; empty: nothing.
            severity: How bad these are. What the part has told at other severities stays.
        """
        was = self.state
        known = self._by_part.get(part, {})
        now = dict.fromkeys(lines)
        kept = {text: each for text, each in known.items() if each.severity is not severity or text in now}
        over = [each for text, each in known.items() if text not in kept]
        new = [Trouble(part, text, severity, self._monotonic()) for text in now if text not in kept]
        self._by_part[part] = {**kept, **{each.text: each for each in new}}
        self._count[severity] += len(new)
        for each in new:
            self._began(each)
        for each in over:
            self._ended(each, not self._by_part[part])
        if (was is State.DEGRADED) is not (self.state is State.DEGRADED):
            self._degrade(degraded=self.state is State.DEGRADED, now=self._monotonic())

    def tell_written(self, problems: tuple[str, ...]) -> None:
        """Tell why what is written is not in force; `realmgw check` says all of it.

        Args:
            problems: The reasons; none: it is in force.
        """
        more = f" (and {len(problems) - 1} more: `realmgw check` tells them)" if len(problems) > 1 else ""
        begin = "the last good configuration is in force, not what is written"
        lines = [f"{begin}: {problems[0]}{more}"] if problems else []
        self.tell("configuration", lines, Severity.LAST_GOOD)

    def tell_kept(self, lines: tuple[str, ...]) -> None:
        """Tell of which sources of subscribers what they said last is in force: they are wrong now, or not believed.

        Args:
            lines: One for each, with what is wrong; none: what they say is in force.
        """
        self.tell("subscribers", lines, Severity.LAST_GOOD)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """All that is wrong, the worst first, then the oldest."""
        every = (each for part in self._by_part.values() for each in part.values())
        return tuple(sorted(every, key=lambda each: (-each.severity, each.since, each.part, each.text)))

    @property
    def state(self) -> State:
        """How the gateway is."""
        worst = max((each.severity for part in self._by_part.values() for each in part.values()), default=None)
        if worst is Severity.DEGRADED:
            return State.DEGRADED
        return State.LAST_GOOD if worst is Severity.LAST_GOOD else State.HEALTHY
