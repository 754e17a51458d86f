"""Times of day and dates, as operators write them in the parameters of commands. Edge: the machine's time zone."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone

from realmgw.config.quoting import shortened
from realmgw.control import parameters
from realmgw.control.commands import CommandError, ExitStatus

_CLOCK = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")


def moment(text: str, name: str, now: float) -> float:
    """A time, in seconds since 1970: so long ago, a time of day, or as ISO 8601 has it.

    It is of this machine's zone, unless it names one.

    Args:
        text: `30m`; `10:42` or `10:42:07`, the last time that it was that; `2026-01-31T10:42`.
        name: The parameter's name.
        now: The present, in seconds since 1970.

    Raises:
        CommandError: It is none.
    """
    if (ago := parameters.span(text)) is not None:
        return now - ago
    try:
        if _CLOCK.fullmatch(text):
            today = datetime.fromtimestamp(now)  # noqa: DTZ006 - of this machine's zone, whatever that was then
            found = datetime.combine(today.date(), time.fromisoformat(text))
            return (found if found <= today else found - timedelta(days=1)).timestamp()
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()
    except (ValueError, OverflowError):
        why = f"{name}: {shortened(repr(text))} is no time: write 2h, 30m, 7d, 10:42, or 2026-01-31T10:42"
        raise CommandError(ExitStatus.USAGE, why) from None
