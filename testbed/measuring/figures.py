"""Tables of measured figures: for the terminal, and for a document that has a place for them.

A document's place for a table is between two lines, `<!-- figures -->` and `<!-- end of figures -->`; where it has
several, `<!-- figures: NAME -->` begins the others.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import version
from pathlib import Path

from testbed.realm.topology import TestbedError

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
"""The lines around what `write` replaces."""
IMPOSSIBLE = 2
"""The exit status when nothing could be measured."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, aligned so that it reads well as text.

    Args:
        head: The column's titles.
        rows: The cells, as many in each row as there are titles.
    """
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def milliseconds(microseconds: float) -> str:
    """A duration as people read it: three digits, in ms or s.

    Args:
        microseconds: The duration.
    """
    value = microseconds / 1000
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def percent(share: float) -> str:
    """A part of the whole; 100 % only when nothing is missing.

    Args:
        share: 0 to 1.
    """
    return "100 %" if share >= 1 else f"{min(share * 100, 99.99):.2f} %"


def met(yes: bool) -> str:
    """Whether a target was met, for a table's last column.

    Args:
        yes: Whether.
    """
    return "yes" if yes else "**NO**"


def machine() -> str:
    """Where the figures come from: one Markdown list. Without this no figure means anything."""
    begun, ended = commit(), _commit()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    lines = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": f"{os.cpu_count()} x {_processor()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "interpreter": f"{python}, built by {platform.python_compiler()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in ("Twisted", "NetfilterQueue")),
        "commit": begun if begun == ended else f"{begun}; {ended} by the end, so they may speak of both",
    }
    return "".join(f"- {name}: {value}\n" for name, value in lines.items())


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


@cache
def commit() -> str:
    """The commit that is measured, and whether the checkout has changes, when it is asked for first in this process."""
    return _commit()


def _commit() -> str:
    """The present one; nothing of it where there is no git."""
    root = Path(__file__).parents[2]
    # Root may measure in somebody else's checkout, which git mistrusts.
    command = ["git", "-c", "safe.directory=*", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        described = ""
    return described or "unknown"


def place(document: Path, name: str = "") -> tuple[str, str]:
    """A document around its place for figures: all up to there, and from there on.

    Args:
        document: A file with the two lines.
        name: Of the place, where the document has several.

    Raises:
        SystemExit: It has none.
    """
    content = document.read_text() if document.is_file() else ""
    begin = BEGIN.replace("figures", f"figures: {name}") if name else BEGIN
    before, found, rest = content.partition(begin)
    _, end, after = rest.partition(END)
    if not found or not end:
        sys.exit(f"{document} has no lines {begin} and {END}: add them where the figures shall be")
    return before + found, end + after


def write(document: Path, text: str, name: str = "") -> None:
    """Puts text into a document's place for it.

    Args:
        document: A file with the two lines.
        text: What will stand between them.
        name: Of the place, where the document has several.
    """
    before, after = place(document, name)
    document.write_text(f"{before}\n\n{text.strip()}\n\n{after}")


def publish(program: str, measure: Callable[[], tuple[str, bool]], document: Path | None, name: str = "") -> int:
    """Measures, prints the report, and puts it into its place in a document.

    Args:
        program: Whom to name when it can not be measured.
        measure: Gives the report, and whether all targets were met.
        document: Where it has its place, if that is wanted.
        name: The name of that place.

    Returns:
        The exit status: 0 when every target was met, 1 when not, 2 when it could not be measured.

    Raises:
        SystemExit: The document has no such place; nothing was measured.
    """
    if document is not None:
        place(document, name)
    try:
        text, met = measure()
    except TestbedError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return IMPOSSIBLE
    print(text)
    if document is not None:
        write(document, text, name)
    return 0 if met else 1
