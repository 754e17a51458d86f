"""What this process may do beside what its user may: capabilities (capabilities(7)). Edge: /proc."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def held() -> int:
    """The effective capabilities of this process, as bits."""
    return effective(Path("/proc/self/status").read_text())


def effective(status: str) -> int:
    """The effective capabilities, from the text of /proc/self/status."""
    fields: Mapping[str, str] = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(fields.get("CapEff", "0"), 16)
