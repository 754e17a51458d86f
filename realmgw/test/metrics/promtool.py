"""Prometheus' own program, which looks at rules and at metrics."""

from __future__ import annotations

import subprocess

from realmgw.test import programs


def missing() -> str | None:
    """The reason to skip what needs it, or None."""
    return programs.missing("promtool")


def promtool(*arguments: str, text: str = "") -> tuple[int, str]:
    """Its exit status, and all that it says.

    Args:
        arguments: What it is asked.
        text: What it reads.
    """
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def found_in(metrics: bytes | str) -> tuple[int, str]:
    """What is wrong with the text that a program tells: (0, "") if nothing."""
    return promtool("check", "metrics", text=metrics if isinstance(metrics, str) else metrics.decode())
