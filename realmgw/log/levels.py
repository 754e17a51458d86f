"""Which events are written, by the settings."""

from __future__ import annotations

from collections.abc import Mapping

from realmgw.config.external import Logging, LogLevel

OURS = "realmgw"
"""What the namespaces of our own events begin with."""
FRAMEWORK = ("twisted", "log_legacy")
"""Namespaces of Twisted's events. Below `warn` they tell of sockets and factories, which says nothing to operators."""


def levels(settings: Logging) -> Mapping[str, LogLevel]:
    """The lowest level that is written, by namespace, for all below it too; empty: of every other one."""
    quiet = max(settings.level, LogLevel.WARN, key=list(LogLevel).index)
    found = {"": settings.level, **dict.fromkeys(FRAMEWORK, quiet)}
    for part, level in settings.levels:
        if part in FRAMEWORK or part.startswith("twisted."):
            found.update(dict.fromkeys(FRAMEWORK if part == "twisted" else (part,), level))
        else:
            found[f"{OURS}.{part}"] = level
    return found
