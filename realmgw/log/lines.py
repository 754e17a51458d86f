"""Events as lines: for people, for the journal, or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from realmgw.log.levels import OURS
from realmgw.system.writing import visible

LONGEST = 4000  # characters
"""The longest text of a line; of what is longer, the beginning is written, and how much is missing."""
PRIORITIES = {"debug": 7, "info": 6, "warn": 4, "error": 3, "critical": 2}
"""What syslog calls the levels."""

_FIELD = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


@attrs.frozen
class Line:
    """An event that is to be written."""

    time: str
    """When, as ISO 8601 has it."""
    level: str
    """How important."""
    part: str
    """Who tells it: the module without the package's name, as `logging.levels` has it."""
    text: str
    """What, in one line."""
    traceback: str = ""
    """Where a fault of ours was, in lines; empty: it is none."""
    values: Mapping[str, Any] = attrs.Factory(dict)
    """What is in the text's holes, by name."""
    event: str = ""
    """What it is called, see `realmgw.log.events`; empty: it is none of ours."""

    def plain(self) -> str:
        """For people: time, level, part and text; a traceback is below it, indented."""
        return f"{self.time} {self.level:5} [{self.part}] {self.text}{self._below()}\n"

    def journal(self) -> str:
        """For the journal of systemd, which knows the time and reads the level (sd-daemon(3))."""
        lines = f"[{self.part}] {self.text}{self._below()}".split("\n")
        return "".join(f"<{PRIORITIES[self.level]}>{line}\n" for line in lines)

    def fields(self) -> Mapping[str, str]:
        """For the journal, too, as fields of one entry (systemd.journal-fields(7)): values are fields of their own."""
        own = {"MESSAGE": f"[{self.part}] {self.text}{self._below()}", "PRIORITY": str(PRIORITIES[self.level])}
        values = {f"REALMGW_{key.upper()}": one_line(str(value)) for key, value in self.values.items()}
        found = {**values, "REALMGW_EVENT": self.event, "REALMGW_MODULE": self.part, **own}
        return {key: value for key, value in found.items() if value and _FIELD.fullmatch(key)}

    def json(self) -> str:
        """As an object of JSON."""
        said = {"time": self.time, "level": self.level, "part": self.part, "text": self.text}
        said = {**said, "event": self.event} if self.event else said
        values = {key: _simple(value) for key, value in self.values.items()}
        rest = {**({"values": values} if values else {}), **({"traceback": self.traceback} if self.traceback else {})}
        return json.dumps({**said, **rest}) + "\n"

    def _below(self) -> str:
        return "".join(f"\n    {one_line(line)}" for line in self.traceback.splitlines())


def part(namespace: str) -> str:
    """Who tells an event, by its namespace."""
    return namespace.removeprefix(f"{OURS}.") or "?"


def one_line(text: str) -> str:
    """A text of bounded length that ends no line and moves no cursor, whatever is in it."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... ({len(text) - LONGEST} more characters)"
    return visible(text)


def _simple(value: object) -> object:
    """A value as JSON has it; what it has not is told as text."""
    return value if isinstance(value, bool | int | float | None) else one_line(str(value))
