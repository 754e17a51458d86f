"""What became of a reload, as a value."""

from __future__ import annotations

import enum

import attrs

from realmgw.control.plan import Plan, joined


class Status(enum.Enum):
    """What became of a reload."""

    APPLIED = "applied"
    """What is written is in force, but for `problems`."""
    UNCHANGED = "unchanged"
    """What is written was in force already."""
    REFUSED = "refused"
    """What is written can not be used; all is as it was."""
    FAILED = "failed"
    """The kernel refused; all is as it was."""


@attrs.frozen
class Outcome:
    """What became of a reload."""

    status: Status
    """That."""
    plan: Plan = attrs.Factory(Plan)
    """What was to be changed."""
    problems: tuple[str, ...] = ()
    """What is not as it is written, and why; with REFUSED and FAILED, why nothing is."""
    seconds: float = 0.0
    """How long it took."""
    flows_ended: int = 0
    """Flows of hosts that are gone."""
    restored: tuple[str, ...] = ()
    """What others had removed or changed outside of the process, and is as it should be again."""
    waited: float = 0.0
    """For how much of that it waited until files that take something away were at rest."""

    def having_restored(self, lines: tuple[str, ...]) -> Outcome:
        """The same, of a reload before which these were put back: then something is not as it was."""
        status = Status.APPLIED if self.status is Status.UNCHANGED else self.status
        return attrs.evolve(self, status=status, restored=(*lines, *self.restored))

    def summary(self) -> str:
        """What is different, in one line."""
        told = [self.plan.summary()] if self.plan or not self.restored else []
        return ", ".join([*told, *([f"{len(self.restored)} things put back"] if self.restored else [])])


def both(first: Outcome, then: Outcome) -> Outcome:
    """What became of two passes of one reload."""
    if then.status in (Status.REFUSED, Status.FAILED):
        return attrs.evolve(first, problems=then.problems) if first.status is Status.APPLIED else then
    status = Status.APPLIED if Status.APPLIED in (first.status, then.status) else Status.UNCHANGED
    plan, ended = joined(first.plan, then.plan), first.flows_ended + then.flows_ended
    restored = (*first.restored, *then.restored)
    return Outcome(status, plan, then.problems, flows_ended=ended, restored=restored)
